"""`trio-swap verify`: what it says of configurations, how it ends, and where it stops."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.config import load_config
from proxy.verifying.exploring import Findings, explore_all
from proxy.verifying.paragraphs import duration, text
from proxy.verifying.verdict import as_json, verdict
from states.contention import Contention
from states.excerpts import excerpts
from states.exploration import Caught, ViolationError
from states.settings import ModelId, ModelSettings, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "config.toml"
PAGE = ROOT / "docs" / "verification.md"
CMD = 'cmd = "server ${PORT}"'
LONG_ENOUGH = ("--time", "500")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config.toml"


@pytest.fixture(scope="module")
def of_the_root() -> str:
    """What is said of the root configuration: exploring it takes seconds, so it is asked once."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["verify", str(EXAMPLE), *LONG_ENOUGH]) == 0
    return said.getvalue()


def verify(*words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert main(["verify", *words]) == code
    ended = capsys.readouterr()
    assert ended.err == ""
    return ended.out


def plain(shown: str) -> str:
    """In one line, for words that may be anywhere in it."""
    return re.sub(r"\s+", " ", shown)


def models(**settings: str) -> str:
    return "\n".join(f"[models.{name}]\n{CMD}\n{lines}\n" for name, lines in settings.items())


def test_nobody_starves_under_the_root_configuration(of_the_root: str) -> None:
    shown = of_the_root
    assert "Nobody, as long as every request ends." in shown
    assert "orchestrator, explorer and coder: 5m + 4 x (101 S + 2m10s) = 13m40s + 404 S" in shown
    assert "one at a time: orchestrator, explorer and coder" in shown
    assert "Settings that can never matter\n  None.\n" in shown
    assert "No deadlock, nobody waits for ever, and every rule and bound holds." in shown
    assert "Not finished" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_whoever_can_starve_is_told_by_whom_and_what_to_do(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(models(low="max_wait = 0", high="priority = 2", calm="max_wait = 60"))
    shown = plain(verify("config.toml", *LONG_ENOUGH, capsys=capsys, code=1))
    assert "low: as long as requests for high or calm keep coming. Any of them has to leave first" in shown
    assert '-> give low a max_wait, such as max_wait = "5m", or a higher priority than high and calm' in shown
    assert "low: without bound, as said above" in shown
    assert "calm: 1m + 3 x (101 S + 2m10s)" in shown
    assert "Seen to wait without bound: low." in shown


def test_the_story_of_somebody_who_starves_is_told_step_by_step(
    write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write.write_text(models(low="max_wait = 0", high="priority = 2"))
    shown = verify("config.toml", "--story", capsys=capsys, code=1)
    assert "How low comes to wait without bound\n" in shown
    assert "and then for ever:" in shown
    assert "asks for high" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            models(low="priority = 1\nmax_wait = 0", slow="max_wait = 60"),
            "low: as long as requests for slow keep coming and wait for longer than its own max_wait",
        ),
        (
            models(low="max_wait = 0", one="priority = 1\nmax_wait = 0", two="priority = 1\nmax_wait = 0")
            + '[groups.aside]\nmembers = ["low"]\nexclusive = false',
            "low: as long as requests for two of one and two keep coming. These go first, one after the other,",
        ),
        (
            models(low="max_wait = 0", first="priority = 1\nmax_wait = 0", busy="priority = 1\nmax_wait = 0")
            + '[groups.aside]\nmembers = ["low"]\nexclusive = false\n'
            + '[groups.also]\nmembers = ["busy"]\nexclusive = false',
            "low: behind first, which goes first and can itself wait without bound.",
        ),
        (
            models(one="max_wait = 0", two="max_wait = 0"),
            "one and two: as long as requests for another of one and two keep coming.",
        ),
    ],
)
def test_every_way_to_starve_has_its_words(
    file: str, words: str, write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write.write_text(file)
    assert words in plain(verify("config.toml", "--states", "0", capsys=capsys, code=1))


def test_a_setting_that_never_matters_is_named(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(
        models(low="unload_delay = 90", high="priority = 1") + '[hooks.on_startup]\npreload = ["low", "high"]'
    )
    shown = plain(verify("config.toml", *LONG_ENOUGH, capsys=capsys))
    assert (
        "models.low.unload_delay = 1m30s: whoever makes it leave has a higher priority, and waits for no hold" in shown
    )
    assert "-> leave it out, or give the model a higher priority" in shown
    assert 'hooks.on_startup.preload = "high": low would have to leave for it, and is preloaded before' in shown


def test_under_fifo_the_bound_is_in_who_came_before(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(
        '[scheduler]\nstrategy = "fifo"\n' + models(a="priority = 7\nload_timeout = 50", b="load_timeout = 50")
    )
    shown = plain(verify("config.toml", *LONG_ENOUGH, capsys=capsys))
    assert "Nobody, as long as every request ends." in shown
    assert "a and b: with N requests that came before, waiting or being served, (N + 1) x (S + 1m)." in shown
    assert "models.a.priority = 7: strategy fifo serves in order of arrival" in shown


def test_models_that_do_not_meet_have_nothing_to_fear(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(models(a="max_wait = 0", b="") + '[groups.beside]\nmembers = ["a", "b"]\nswap = false')
    shown = plain(verify("config.toml", capsys=capsys))
    assert "a and b: 101 S + 2m10s" in shown
    assert "None: whatever two models are asked for, both can be there." in shown
    assert "Nothing: no model is in another one's way." in shown


def test_who_leaves_without_being_apart_is_told(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(models(big="", small="") + '[groups.aside]\nmembers = ["small"]\nexclusive = false')
    shown = plain(verify("config.toml", *LONG_ENOUGH, capsys=capsys))
    assert "small: leaves when big is loaded, but loads beside it." in shown


@pytest.mark.parametrize(
    "settings",
    [
        "".format,
        lambda number: f"priority = {number}\nmax_wait = {number % 3 * 60}\nunload_delay = {number % 7}",
    ],
    ids=["alike", "all different"],
)
def test_a_hundred_models_are_told_on_a_page(settings: object, write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(settings)
    write.write_text(models(**{f"m{number}": settings(number) for number in range(100)}))
    assert main(["verify", "config.toml", "--time", "5"]) in (0, 1)
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 100
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_limit_that_is_reached_is_told(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = plain(verify(str(EXAMPLE), "--states", "1000", capsys=capsys))
    assert re.search(r"Not finished: [\d,]+ states seen, \d of the worlds done\.", shown)
    assert "-> --time and --states say how much may be explored" in shown
    assert "Not finished: 0 states seen" in plain(verify(str(EXAMPLE), "--time", "0", capsys=capsys))


def test_what_json_says_is_what_the_words_say(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text(models(low="max_wait = 0", high="priority = 2\nload_timeout = 50"))
    said = json.loads(verify("config.toml", "--json", capsys=capsys, code=1))
    assert said["starving"] == [{"models": ["low"], "how": "serves", "by": ["high"]}]
    assert said["worst_waits"] == [{"models": ["high"], "fixed_s": 260.0, "services": 202}]
    assert said["never_together"] == [{"models": ["low", "high"], "others": []}]
    assert said["without_effect"] == []
    assert said["explored"]["starved"] == [{"model": "low", "by": ["high"]}]
    assert said["explored"]["worlds"] == said["explored"]["finished"] > 0


def test_a_file_that_is_wrong_is_told_as_check_tells_it(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.write_text("[models.a]\npriorty = 1\n")
    assert main(["verify", "config.toml"]) == 2
    said = capsys.readouterr()
    assert main(["check", "config.toml"]) == 2
    assert said == capsys.readouterr()
    assert "did you mean priority?" in said.err


@pytest.mark.parametrize("limit", ["-1", "soon", "nan", "inf"])
def test_a_limit_that_is_none_is_wrong_usage(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "config.toml", "--time", limit])
    assert ended.value.code == 2
    assert "expected a number that is not negative" in capsys.readouterr().err


def test_progress_is_told_while_worlds_are_explored() -> None:
    told: list[tuple[int, int, int]] = []
    worlds = list(excerpts(Contention(_two())))
    explore_all(worlds, most=10_000, is_late=lambda: False, progress=lambda *numbers: told.append(numbers))
    assert [done for done, _, _ in told] == list(range(len(worlds)))
    assert {every for _, every, _ in told} == {len(worlds)}


def test_who_interrupts_the_exploring_is_told_what_was_seen() -> None:
    worlds, looks = list(excerpts(Contention(_two()))), iter(range(100))

    def interrupted() -> bool:
        if next(looks) == 1:
            raise KeyboardInterrupt
        return False

    found = explore_all(worlds, most=10_000, is_late=interrupted, progress=None)
    assert (found.done, found.is_finished) == (1, False)
    assert found.states > 0


def test_what_the_contract_rules_out_is_a_mistake_of_ours() -> None:
    config = load_config(str(EXAMPLE))
    contention = Contention(config.settings)
    world = next(excerpts(contention))
    wrong = Findings(worlds=1, done=1, violations=[ViolationError(world, Caught.DEADLOCK, "everybody waits", ())])
    found = verdict(config, contention, wrong)
    assert not found.is_calm
    assert "This should never happen; it is a mistake of trio-swap, please report it:" in plain("\n".join(text(found)))
    assert as_json(found)["explored"]["violations"] == [str(wrong.violations[0])]


def _two() -> Settings:
    return Settings(models={ModelId("a"): ModelSettings(), ModelId("b"): ModelSettings(unload_delay_s=1.0)})


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5s"), (10, "10s"), (130, "2m10s"), (3600, "1h"), (5400, "1h30m"), (90.5, "90.5s")]
)
def test_a_duration_is_written_as_a_file_writes_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def blocks(language: str) -> list[str]:
    """Of the section about this verb on its page."""
    section = PAGE.read_text().split("## Your own configuration\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def counted(shown: str) -> str:
    """How many states there are is for `test_exploration` to say."""
    return re.sub(r"[\d,]+ states", "N states", plain(shown))


def test_the_page_shows_what_is_said_of_the_root_configuration(of_the_root: str) -> None:
    assert counted(blocks("text")[0]) == counted(of_the_root.replace(str(EXAMPLE), "config.toml"))


def test_the_page_shows_what_is_said_of_its_own_configuration(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.with_name("night.toml").write_text(blocks("toml")[0])
    shown = verify("night.toml", "--story", *LONG_ENOUGH, capsys=capsys, code=1)
    assert counted(blocks("text")[1]) == counted(shown)
