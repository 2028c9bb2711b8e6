"""Selectors, profiles, peers and several files, against sections 1.7, 2.9 to 2.11 and 10 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, ConfigError, load_config
from proxy.config.routing import SelectorStrategy

from .config_stage import load, refused, scheduling

MODELS = "models:\n" + "".join(f"  {name}: {{cmd: 'server --port ${{PORT}}'}}\n" for name in "abc")
PEER = "peers: {far: {proxy: 'http://127.0.0.1:9/base/', models: [x, y]}}\n"


def test_selectors_profiles_and_peers_are_read(tmp_path: Path) -> None:
    """2.9, 2.10, 2.11: responseHeader of a peer is 60 s when nothing is said."""
    text = f"""{MODELS}
peers:
  far:
    {{proxy: "http://127.0.0.1:9/base/", models: [x, y], apiKey: k,
     filters: {{stripParams: t}}, timeouts: {{connect: 3}}}}
selectors:
  any:
    {{strategy: spillover, targets: [a, far/x], settings: {{spillover: 2}},
     name: Any, unlisted: true, metadata: {{a: 1}}}}
profiles:
  night: {{description: d, pins: {{a: b, big: null, small: any, c: ""}}}}
"""
    config = load(tmp_path, text)
    peer = config.peers["far"]
    assert (peer.url, peer.models, peer.api_key, peer.filters.strip) == (
        "http://127.0.0.1:9/base",
        ("x", "y"),
        "k",
        ("t",),
    )
    assert (peer.timeouts.connect_s, peer.timeouts.response_header_s) == (3, 60)
    selector = config.selectors["any"]
    assert (selector.strategy, selector.targets, selector.spillover) == (SelectorStrategy.SPILLOVER, ("a", "far/x"), 2)
    assert (selector.name, selector.unlisted, selector.metadata) == ("Any", True, {"a": 1})
    assert config.profiles["night"].pins == {"a": "b", "big": None, "small": "any", "c": None}


@pytest.mark.parametrize(
    ("selector", "mistake"),
    [
        ("{targets: [a]}", "strategy is missing"),
        ("{strategy: warm}", "targets is missing"),
        ("{strategy: warm, targets: []}", "expected a list of at least one name"),
        ("{strategy: best, targets: [a]}", 'expected "pin", "warm" or "spillover"'),
        ("{strategy: pin, targets: [other]}", '"other" is a selector'),
        ("{strategy: pin, targets: [nope]}", 'there is no model "nope"'),
        ("{strategy: warm, targets: [far/x]}", "is a peer's"),
        ("{strategy: spillover, targets: [a, a]}", "is the same model"),
        ("{strategy: spillover, targets: [a, b]}", "cannot be loaded together"),
        ("{strategy: spillover, targets: [a], settings: {spillover: 0}}", "expected a whole number of at least 1"),
    ],
)
def test_what_no_selector_can_be_is_refused(tmp_path: Path, selector: str, mistake: str) -> None:
    """2.9, 10."""
    text = f"{MODELS}{PEER}selectors:\n  s: {selector}\n  other: {{strategy: pin, targets: [a]}}\n"
    said = refused(tmp_path, text)
    assert any(mistake in each and each.startswith("7:") for each in said), said


@pytest.mark.parametrize("together", ["groups: {g: {members: [a, b], swap: false}}", "matrix: {sets: {s: a & b}}"])
def test_targets_of_spillover_have_to_fit_together(tmp_path: Path, together: str) -> None:
    """2.9, 10: in a group without swap, or in one combination of the matrix."""
    load(tmp_path, f"{MODELS}{together}\nselectors: {{s: {{strategy: spillover, targets: [a, b]}}}}\n")


@pytest.mark.parametrize("name", ["a", "nick", "far/x"])
def test_a_selector_takes_no_name_that_is_taken(tmp_path: Path, name: str) -> None:
    """2.9."""
    models = MODELS.replace("}'}", "}', aliases: [nick]}", 1)
    text = f"{models}{PEER}selectors: {{{name}: {{strategy: pin, targets: [b]}}}}\n"
    assert any("already: choose another name" in each for each in refused(tmp_path, text))


@pytest.mark.parametrize(
    ("profile", "mistake"),
    [
        ("[a, b]", "the profiles of old"),
        ("{pins: {}}", "expected a table of at least one"),
        ("{description: d}", "pins is missing"),
        ("{pins: {x: nope}}", 'there is no model "nope"'),
        ("{pins: {far/x: a}}", "which no pin can stand before"),
    ],
)
def test_what_no_profile_can_be_is_refused(tmp_path: Path, profile: str, mistake: str) -> None:
    """2.10, 10."""
    said = refused(tmp_path, f"{MODELS}{PEER}profiles: {{p: {profile}}}\n")
    assert any(mistake in each and each.startswith("6:") for each in said), said


@pytest.mark.parametrize(
    ("peer", "mistake"),
    [
        ("{models: [x]}", "proxy is missing"),
        ("{proxy: 'http://h:1'}", "models is missing"),
        ("{proxy: 'http://h:1', models: []}", "expected a list of at least one"),
        ("{proxy: 'not a url', models: [x]}", "is not a URL"),
    ],
)
def test_what_no_peer_can_be_is_refused(tmp_path: Path, peer: str, mistake: str) -> None:
    """2.11."""
    said = refused(tmp_path, f"{MODELS}peers: {{p: {peer}}}\n")
    assert any(mistake in each and each.startswith("5:") for each in said), said


def test_a_peers_model_has_a_name_of_its_own(tmp_path: Path) -> None:
    """2.11: `peer/model` is reserved."""
    models = f"{MODELS}  far/x: {{cmd: 'server --port ${{PORT}}'}}\n"
    assert 'a name of the model "far/x"' in refused(tmp_path, models + PEER)[0]


# Several files


def merged(folder: Path, *texts: str, first: str | None = None) -> Config:
    """Read the files of a folder, after another file if one is given."""
    inner = folder / "conf.d"
    inner.mkdir()
    for number, text in enumerate(texts):
        (inner / f"{number}.{'yml' if number % 2 else 'yaml'}").write_text(text)
    (inner / "below").mkdir()
    (inner / "below" / "no.yaml").write_text("[")
    (inner / "notes.txt").write_text("[")
    if first is None:
        return load_config(inner, {})
    (folder / "first.yaml").write_text(first)
    return load_config(folder / "first.yaml", {}, more=[inner])


def model_text(name: str, more: str = "") -> str:
    return f"models:\n  {name}: {{cmd: 'server --port ${{PORT}} ${{arg}}'{more}}}\n"


def test_a_folders_files_are_one_and_macros_are_shared(tmp_path: Path) -> None:
    """1.7: by name; folders in it and other files are not read; a main file comes before them."""
    config = merged(tmp_path, model_text("b"), model_text("a"), first="macros: {arg: 1}\nglobalTTL: 5\n")
    assert list(config.models) == ["b", "a"]
    assert config.models["a"].command(2) == ["server", "--port", "2", "1"]  # type: ignore[index]
    assert scheduling(config, "a").ttl_s == 5


def test_lists_are_joined_mappings_merged_and_equal_values_are_one(tmp_path: Path) -> None:
    """1.7."""
    config = merged(
        tmp_path,
        "apiKeys: [k1]\nglobalTTL: 5\nmacros: {arg: 1}\nhooks: {on_startup: {preload: [b]}}\n" + model_text("a"),
        "apiKeys: [k2]\nglobalTTL: 5\nmacros: {b: 2}\nhooks: {on_startup: {preload: [a]}}\n" + model_text("b"),
    )
    assert config.api_keys == ("k1", "k2")
    assert config.preload == ("b", "a")


def test_a_priority_may_be_said_in_another_file(tmp_path: Path) -> None:
    """1.7."""
    text = "macros: {arg: 1}\nrouting: {scheduler: {settings: {fifo: {priority: {a: 3}}}}}\n" + model_text("b")
    assert scheduling(merged(tmp_path, text, model_text("a")), "a").priority == 3


@pytest.mark.parametrize(
    ("first", "second", "mistake"),
    [
        ("globalTTL: 5\n", "globalTTL: 6\n", "1.yml:1:12: globalTTL: "),
        ("models: {a: {cmd: 'x ${PORT}'}}\n", "models: {a: {cmd: 'x ${PORT}'}}\n", "1.yml:1:10: models.a: is in "),
        ("matrix: {sets: {s: a}}\n", "matrix: {sets: {t: a}}\n", "1.yml:1:10: matrix.sets: is in "),
        ("groups: {g: {members: [a]}}\n", "groups: {g: {members: [a]}}\n", "1.yml:1:10: groups.g: is in "),
        ("apiKeys: [k]\n", "apiKeys: ['bad key']\n", "1.yml:1:11: apiKeys[0]: "),
    ],
)
def test_what_two_files_say_in_two_ways_is_refused_at_the_later_one(
    tmp_path: Path, first: str, second: str, mistake: str
) -> None:
    """1.7."""
    model = "" if "models" in first else "models: {a: {cmd: 'x ${PORT}'}}\n"
    with pytest.raises(ConfigError) as caught:
        merged(tmp_path, first + model, second)
    assert mistake in str(caught.value)


def test_a_folder_without_files_and_a_file_named_twice_are_refused(tmp_path: Path) -> None:
    """1.7."""
    (tmp_path / "conf.d").mkdir()
    with pytest.raises(ConfigError, match=r"there is no \.toml, \.yaml or \.yml file in this folder"):
        load_config(tmp_path / "conf.d")
    file = tmp_path / "conf.d" / "a.yaml"
    file.write_text(MODELS)
    with pytest.raises(ConfigError, match="is read twice"):
        load_config(file, {}, more=[tmp_path / "conf.d"])


def test_toml_and_yaml_go_together(tmp_path: Path) -> None:
    """1.7. More than there: a file of ours beside one of llama-swap's."""
    (tmp_path / "a.toml").write_text("[defaults]\nunload_delay = 5\n")
    (tmp_path / "b.yaml").write_text(MODELS)
    config = load_config(tmp_path, {})
    assert scheduling(config, "a").unload_delay_s == 5
