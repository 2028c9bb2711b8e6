"""`trio-swap simulate`: what it prints, what it draws, and what it says of what it cannot do."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.config import load_config
from proxy.simulating.casting import cast_of
from proxy.simulating.staging import made_up
from proxy.simulating.timing import durations
from proxy.simulating.variants import KEYS, NAMES, variant
from states.settings import ModelId, Strategy
from states.simulation import Durations
from states.workloads import WORKLOADS

EXAMPLE = Path(__file__).parents[2] / "config.toml"


def simulate(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["simulate", str(EXAMPLE), *words]) == 0
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], name: str) -> list[str]:
    """The cells of a variant's line in the table."""
    found = next(line for line in lines if line.split()[:1] == [name])
    return found.replace(" s ", " ").removesuffix(" s").split()


def test_it_says_how_often_models_are_loaded_and_who_waits(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys)
    assert lines[0] == f"{EXAMPLE}, workload story, seed 0"
    assert lines[1].split() == "loads swap makespan mean wait p95 worst starved gave up".split()  # noqa: SIM905
    assert row(lines, "fifo+")[1] == "4"
    assert [line.split()[0] for line in lines[3:6]] == ["orchestrator", "explorer", "coder"]


def test_variants_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--compare", "fifo,fifo+,no-holds,unload_delay=2", "--no-timeline")
    loads = {name: int(row(lines, name)[1]) for name in ("fifo", "fifo+", "no-holds", "unload_delay=2")}
    assert loads == {"fifo": 13, "fifo+": 4, "no-holds": 10, "unload_delay=2": 4}


def test_without_names_everything_that_matters_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--workload", "thread", "--no-timeline", "--compare")
    assert set(NAMES) <= {line.split()[0] for line in lines[2:] if not line.startswith(" ")}


def test_one_setting_can_be_swept(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--sweep", "unload_delay=0,1.5,5", "--no-timeline")
    assert [row(lines, f"unload_delay={value}")[1] for value in ("0", "1.5", "5")] == ["10", "4", "4"]


def test_the_best_possible_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--workload", "thread", "--compare", "fifo,fifo+", "--optimum", "--no-timeline")
    head = next(place for place, line in enumerate(lines) if line.startswith("the best possible"))
    assert lines[head + 1].split() == ["requests", "3", "44.0", "s", "20.4", "s", "39.7", "s"]
    assert lines[head + 2].split()[:3] == ["fifo", "x", "2.00"]
    assert lines[head + 3].split()[:3] == ["fifo+", "x", "1.00"]


def test_a_bound_is_told_where_the_best_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--workload", "mix-100", "--requests", "300", "--optimum", "--no-timeline")
    assert ">= is a bound from below" in lines[-1]


def test_a_timeline_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, "--workload", "thread", "--ascii")
    begin = next(place for place, line in enumerate(lines) if line.startswith("fifo+:"))
    drawn = lines[begin:]
    assert drawn[0] == "fifo+: 3 loads, 54 s"
    assert max(map(len, drawn)) <= 80
    assert all(line.isascii() for line in drawn)
    assert all(set(line.split()[-1]) <= set("/#=\\") for line in drawn if line.startswith(("orchestrator", "coder")))


def test_pictures_are_whole_svg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg, plot = tmp_path / "a.svg", tmp_path / "b.svg"
    simulate(capsys, "--compare", "fifo,fifo+", "--svg", str(svg), "--plot", str(plot))
    for file in (svg, plot):
        root = ET.fromstring(file.read_text())
        assert root.tag.endswith("svg")
        assert "fifo+" in (root.findtext("{http://www.w3.org/2000/svg}desc") or "")
    assert {"loading", "serving", "held", "stopping", "waiting"} <= {
        each.get("class") for each in ET.fromstring(svg.read_text()).iter()
    }


def test_a_very_long_simulation_is_drawn_in_pieces_of_a_pixel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg = tmp_path / "a.svg"
    simulate(capsys, "--workload", "mix", "--requests", "8000", "--svg", str(svg), "--no-timeline")
    assert svg.stat().st_size < 800_000


def test_a_trace_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"arrival": 0, "model": "coder"}\n{"arrival": 1, "model": "gpt-4o", "service": 1}\n')
    lines = simulate(capsys, "--trace", str(trace), "--load", "30", "--load", "coder=5", "--no-timeline")
    assert lines[0].endswith(f", trace {trace}, seed 0")
    # coder is there after 5, done after 9, held until 14 and gone after 15; the other one loads for 30 s
    assert [row(lines, name)[2] for name in ("orchestrator", "coder")] == ["44.0", "5.0"]


@pytest.mark.parametrize("what", ["--workload", "--compare"])
def test_what_there_is_can_be_listed(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = simulate(capsys, what, "list")
    expected = WORKLOADS if what == "--workload" else [*NAMES, *(f"{key}=VALUE" for key in KEYS)]
    assert [line.split()[0] for line in lines] == list(expected)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--workload", "stroy"], "there is no workload 'stroy': expected one of story, lone-agent"),
        (["--compare", "lifo"], "there is no variant 'lifo': expected fifo+, fifo"),
        (["--compare", "fifo,ttl=x"], "ttl=x: expected a number"),
        (["--sweep", "unload_delay"], "--sweep unload_delay: expected KEY=A,B,C"),
        (["--sweep", "queue=1,2"], "'queue' cannot be changed, only unload_delay"),
        (["--sweep", "concurrency=0"], "concurrency=0: expected at least 1"),
        (["--map", "coder"], "--map coder: expected ROLE=MODEL"),
        (["--map", "boss=coder"], "there is no role 'boss': expected one of explorer, coder, orchestrator"),
        (["--map", "coder=x"], "there is no model 'x': expected one of orchestrator, explorer, coder"),
        (["--load", "soon"], "soon: expected seconds, MODEL=seconds or FROM..TO=seconds"),
        (["--stop", "x=3"], "x=3: there is no model 'x'"),
        (["--trace", "/nowhere/trace.jsonl"], "/nowhere/trace.jsonl: No such file or directory"),
        (["--svg", "/nowhere/a.svg"], "cannot write /nowhere/a.svg: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(EXAMPLE), *words]) == 2
    assert capsys.readouterr().err.startswith(f"trio-swap simulate: {complaint}")


def test_the_best_is_not_known_where_models_are_there_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    servers = "".join(f'[models.{name}]\ncmd = "server ${{PORT}}"\n' for name in "abc")
    file.write_text(f'{servers}[groups.all]\nmembers = ["a", "b", "c"]\nswap = false\n')
    assert main(["simulate", str(file), "--workload", "thread", "--optimum"]) == 2
    assert "--optimum: it is known only where all models displace each other" in capsys.readouterr().err


def test_too_few_models_can_play_several_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text("".join(f'[models.{name}]\ncmd = "server ${{PORT}}"\n' for name in "ab"))
    assert main(["simulate", str(file)]) == 2
    assert capsys.readouterr().err.rstrip().endswith("let one play several roles, such as --map orchestrator=a")
    assert main(["simulate", str(file), "--map", "orchestrator=a"]) == 0


def test_roles_are_given_by_name_then_by_priority() -> None:
    config = load_config(EXAMPLE)
    assert cast_of(WORKLOADS["story"], config, {}) == {name: name for name in ("explorer", "coder", "orchestrator")}
    assert list(cast_of(WORKLOADS["thread"], config, {}).values()) == ["explorer", "coder", "orchestrator"]
    assert list(cast_of(WORKLOADS["thread"], config, {"b": "gpt-4o"}).values()) == ["explorer", "orchestrator", "coder"]


def test_made_up_models_have_the_settings_of_real_ones_in_turn() -> None:
    settings = load_config(EXAMPLE).settings
    made = made_up(settings, 7)
    assert [model.priority for model in made.models.values()] == [1, 3, 2, 1, 3, 2, 1]
    assert not made.groups


def test_seconds_are_said_for_all_for_one_and_for_a_pair() -> None:
    names = {"a": ModelId("a"), "b": ModelId("b")}
    read = durations(["3", "a=4", "b..a=5"], Durations(usual_s=1.0, of={ModelId("b"): 9.0}), names.get)
    assert [read.of_model(names["a"]), read.of_model(names["a"], names["b"]), read.of_model(names["b"])] == [4, 5, 3]


@pytest.mark.parametrize("name", [*NAMES, "ttl=60"])
def test_a_variant_changes_what_it_says_and_nothing_else(name: str) -> None:
    settings = load_config(EXAMPLE).settings
    changed = variant(name, settings).settings
    assert changed.models.keys() == settings.models.keys()
    assert changed.strategy is (Strategy.FIFO if name == "fifo" else Strategy.FIFO_PLUS)
    one, other = settings.models[ModelId("explorer")], changed.models[ModelId("explorer")]
    differ = {field for field in KEYS.values() if getattr(one, field) != getattr(other, field)}
    expected = {"no-priorities": {"priority"}, "no-holds": {"unload_delay_s"}, "no-bounds": {"max_wait_s"}}
    assert differ == expected.get(name, {"ttl_s"} if name == "ttl=60" else set())
