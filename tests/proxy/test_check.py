"""What `trio-swap check` says of a file that is right, beyond groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli import main


def explained(folder: Path, capsys: pytest.CaptureFixture[str], models: str, text: str) -> list[str]:
    """Return the explanation of a file with these models, one letter each, without its first lines."""
    file = folder / "config.toml"
    file.write_text("".join(f'[models.{name}]\ncmd = "x ${{PORT}}"\n' for name in models) + text)
    assert main(["check", str(file)]) == 0
    return capsys.readouterr().out.splitlines()[2:]


def test_of_a_matrix_it_says_what_each_model_unloads_at_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = "[matrix]\nevict_costs.b = 3\nsets = { x = 'a & b', y = '(a | b) & c' }\n"
    assert explained(tmp_path, capsys, "abcd", matrix) == [
        "loading  a  unloads at worst  c, d",
        "loading  b  unloads at worst  c, d",
        "loading  c  unloads at worst  a, d",
        "loading  d  unloads at worst  a, b, c",
        "at worst: were all the others there; whoever fits beside it, as the sets and costs have it, stays",
    ]


def test_of_a_matrix_with_very_many_combinations_it_says_who_never_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st", "uv", "wx"]
    matrix = f"[matrix]\nsets.x = '{' & '.join(f'({one} | {other})' for one, other in pairs)}'\n"
    first, *_, last = explained(tmp_path, capsys, "".join(pairs), matrix)
    assert first == "loading  a  unloads  b"
    assert last == "there are too many combinations to say the worst: these are the models that no set has beside it"


def test_it_says_each_selector_profile_and_peer_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "secret.example")
    text = """
        [groups.both]
        members = ["a", "b"]
        swap = false
        [selectors.first]
        strategy = "pin"
        targets = ["b", "a"]
        [selectors.any]
        strategy = "warm"
        targets = ["a", "b"]
        [selectors.more]
        strategy = "spillover"
        targets = ["a", "b", "far/m"]
        spillover = 2
        [profiles.night]
        pins = { a = "b", big = "far/m", c = "" }
        [peers.far]
        proxy = "https://${env.HOST}/v1"
        models = ["m", "org/n"]
        [peers.near]
        proxy = "http://127.0.0.1:9"
        models = ["n"]
        concurrency = 1
    """
    assert explained(tmp_path, capsys, "ab", text)[2:] == [
        "",
        "selector first: the first of b, a",
        "selector any: one that is loaded of a, b, else the first",
        "selector more: the least busy of a, b, far/m; one more of them when each in use has 2 requests",
        "profile night, when it is the active one: a -> b, big -> far/m, c is off",
        "peer far at https://${env.HOST}/v1: far/m, far/org/n",
        "peer near at http://127.0.0.1:9, 1 request at once: near/n",
    ]


def test_what_is_not_carried_over_is_still_said_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "swap.yaml"
    file.write_text(
        "logTimeFormat: rfc3339\nmodels: {a: {cmd: 'x ${PORT}'}}\nselectors: {s: {strategy: pin, targets: [a]}}\n"
    )
    assert main(["check", str(file)]) == 0
    *_, selector, _, heading, note = capsys.readouterr().out.splitlines()
    assert selector == "selector s: the first of a"
    assert heading == "What llama-swap reads and nothing here answers to:"
    assert note.startswith("  line 1: ")
