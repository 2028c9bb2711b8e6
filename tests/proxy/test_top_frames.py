"""What `trio-swap top` draws: from the same answer at the same time the same lines, whatever the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from proxy.answers import CountsAnswer, GroupAnswer, QueueAnswer, SwapAnswer, TicketAnswer
from proxy.top.frame import STYLES, Sight, frame
from proxy.top.layout import ASCII, UNICODE, Glyphs, fitted, harmless, span, wrapped
from proxy.top.painting import Painter, glyphs_of
from proxy.top.polling import Look
from states.group import GroupState

from . import shown_queue

PAGE = (Path(__file__).parents[2] / "docs" / "top.md").read_text()
NOTHING = CountsAnswer(served=0, refused=0, cut_off=0, left=0, loads=0, swaps=0)
HELD = "explorer must leave and is held for another 3.7 s"


def group(name: str, model: str | None = None, state: str = "active", **more: Any) -> GroupAnswer:
    """A group with its model, or an idle one."""
    fields = {"next_model": None, "seats_taken": 0, "concurrency": 4 if model else 0, "hold_s": None} | more
    return GroupAnswer(group=name, state=state if model else "idle", model=model, **fields)


def ticket(number: int, model: str, why: str = HELD, **more: Any) -> TicketAnswer:
    """A ticket that waits."""
    fields = {"priority": 0, "age_s": 1.0, "overdue": False, "seated": False, "reason": None} | more
    return TicketAnswer(ticket=number, model=model, why=why, **fields)


def swap(model_out: str | None, model_in: str | None, outcome: str = "loaded", **more: Any) -> SwapAnswer:
    """A swap of a minute ago."""
    fields = {"age_s": 60.0, "group": "main", "cause": "ticket 2 needs its place", "stop_s": 0.5, "load_s": 6.4} | more
    return SwapAnswer(model_out=model_out, model_in=model_in, outcome=outcome, **fields)


def answer(
    *, groups: list[GroupAnswer] | None = None, waiting: list[TicketAnswer] | None = None, **more: Any
) -> QueueAnswer:
    """A proxy's answer."""
    fields = {"swaps": [], "counts": NOTHING, "strategy": "fifo+", "uptime_s": 22.3, "shutting_down": False} | more
    return QueueAnswer(groups=groups or [], waiting=waiting or [], **fields)


BUSY = answer(
    groups=[group("main", "explorer", "draining", seats_taken=3), group("small"), group("other")],
    waiting=[ticket(number, "coder", age_s=30.0 - number) for number in range(4, 24)],
    swaps=[swap("orchestrator", "explorer", age_s=12.0)],
)


def sight(queue: QueueAnswer, **more: Any) -> Sight:
    ailment = more.pop("ailment", "")
    return Sight(target="http://127.0.0.1:8080", look=Look(queue=queue, ailment=ailment), **more)


def drawn(
    queue: QueueAnswer,
    width: int = 80,
    height: int | None = None,
    glyphs: Glyphs = UNICODE,
    footer: str = "",
    **more: Any,
) -> list[str]:
    """The lines, without colours and without blanks at their ends."""
    return [line.plain.rstrip() for line in frame(sight(queue, **more), width, height, glyphs, footer=footer)]


async def test_the_frame_on_the_page_is_the_answer_on_the_other_page_drawn(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    # `python -m tests.proxy.shown_queue` prints both.
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
    assert shown == shown_queue.as_drawn(await shown_queue.play(tmp_path))


SCREEN_OF_80_BY_24 = """\
trio-swap  http://127.0.0.1:8080  healthy  up 22s  fifo+
1 loaded · 20 waiting · 0 served · 0 swaps

GROUP STATE     MODEL    SEATS      HOLD
main  draining  explorer ███░ 3/4
small idle      -        -
other idle      -        -

TICKET MODEL PRI    AGE WAITS BECAUSE
     4 coder   0    26s explorer must leave and is held for another 3.7 s
     5 coder   0    25s explorer must leave and is held for another 3.7 s
     6 coder   0    24s explorer must leave and is held for another 3.7 s
     7 coder   0    23s explorer must leave and is held for another 3.7 s
     8 coder   0    22s explorer must leave and is held for another 3.7 s
     9 coder   0    21s explorer must leave and is held for another 3.7 s
    10 coder   0    20s explorer must leave and is held for another 3.7 s
    11 coder   0    19s explorer must leave and is held for another 3.7 s
    12 coder   0    18s explorer must leave and is held for another 3.7 s
and 11 more

   AGO GROUP SWAP                     STOP  LOAD
   12s main  orchestrator → explorer  0.5s  6.4s
    ticket 2 needs its place
q quits"""
SCREEN_OF_40_BY_14 = """\
trio-swap  http://127.0.0.1:8080
1 loaded | 20 waiting | 0 served

GROUP STATE     MODEL    SEATS      HOLD
main  draining  explorer ###. 3/4
and 2 more

TICKET MODEL PRI    AGE
     4 coder   0    26s
    explorer must leave and is held for
    another 3.7 s
and 19 more

q quits"""


def test_a_screen_of_80_by_24() -> None:
    assert "\n".join(drawn(BUSY, 80, 24, footer="q quits")) == SCREEN_OF_80_BY_24


def test_a_narrow_and_low_screen_without_unicode() -> None:
    assert "\n".join(drawn(BUSY, 40, 14, ASCII, footer="q quits")) == SCREEN_OF_40_BY_14


def test_on_a_wide_screen_every_sentence_stands_beside_its_row() -> None:
    queue = answer(groups=[group("main", "a"), group("small")], waiting=[ticket(1, "b")], swaps=[swap("b", "a")])
    assert drawn(queue, 120)[-5:] == [
        "TICKET MODEL PRI    AGE WAITS BECAUSE",
        f"     1 b       0   1.0s {HELD}",
        "",
        "   AGO GROUP SWAP   STOP  LOAD WHY",
        " 1m00s main  b → a  0.5s  6.4s ticket 2 needs its place",
    ]


def test_a_proxy_that_has_done_nothing_yet_says_so() -> None:
    assert drawn(answer(groups=[group("main")]))[3:] == [
        "GROUP STATE     MODEL SEATS   HOLD",
        "main  idle      -     -",
        "",
        "nobody waits",
        "",
        "nothing was loaded yet",
    ]


def test_between_two_answers_ages_go_on_and_holds_run_down_to_nothing() -> None:
    queue = answer(groups=[group("main", "a", "debounce", hold_s=3.7)], waiting=[ticket(1, "b", age_s=58.2)])
    now, soon, over = ("\n".join(drawn(queue, elapsed_s=elapsed_s)) for elapsed_s in (0.0, 2.0, 4.0))
    assert "3.7s" in now
    assert "58s" in now
    assert "1.7s" in soon
    assert "1m00s" in soon
    assert "up 26s" in over
    assert "0/4" in over
    assert not re.search(r"0/4 +\S", over)


def test_whoever_is_served_first_comes_first() -> None:
    waiting = [
        ticket(1, "a", priority=1),
        ticket(2, "b", priority=3),
        ticket(3, "c", priority=0, overdue=True),
        ticket(4, "d", priority=2, seated=True),
        ticket(5, "b", priority=3),
    ]
    for strategy, numbers in (("fifo+", [4, 3, 2, 5, 1]), ("fifo", [4, 3, 1, 2, 5])):
        lines = drawn(answer(waiting=waiting, strategy=strategy))
        assert [int(line.split()[0]) for line in lines if re.match(r" +\d+ [abcd] ", line)] == numbers
        assert any("overdue; explorer must leave" in line for line in lines)


def test_a_swap_that_is_not_whole_says_what_it_lacks() -> None:
    swaps = [
        swap("a", None, "unloading", stop_s=None, load_s=None),
        swap(None, "a", "failed", stop_s=None, load_s=3.0),
        swap("b", None, "unloaded", load_s=None),
    ]
    lines = drawn(answer(groups=[group("main", "a")], swaps=swaps), 120)[-3:]
    assert [line.split()[1:6] for line in lines] == [
        ["a", "→", "-", "-", "unloading"],
        ["-", "→", "a", "-", "failed"],
        ["b", "→", "-", "0.5s", "-"],
    ]


def test_who_comes_next_is_told_while_who_was_there_stops() -> None:
    lines = drawn(answer(groups=[group("main", "a", "unloading", next_model="b")]))
    assert "main  unloading a → b" in lines[4]


def test_where_not_every_group_fits_the_idle_ones_go_last() -> None:
    groups = [group(f"g{number}") for number in range(9)] + [group("last", "a"), group("next", None, next_model="b")]
    shown = drawn(answer(groups=groups), 80, 18)
    assert [line.split()[0] for line in shown[4:7]] == ["last", "next", "g0"]
    assert shown[13] == "and 2 more"
    assert len(shown) == 18
    assert [line.split()[0] for line in drawn(answer(groups=groups), 80, 60)[4:6]] == ["g0", "g1"]


def test_many_groups_leave_room_for_who_waits_and_for_swaps() -> None:
    groups = [group(f"g{number}", "a") for number in range(50)]
    shown = drawn(answer(groups=groups, waiting=BUSY.waiting, swaps=[swap("a", "b")] * 20), 120, 40)
    titles = [number for number, line in enumerate(shown) if "MODEL" in line or "SWAP" in line]
    assert titles == [3, 15, 33]
    assert len(shown) == 40


def test_a_model_with_many_seats_has_a_bar_that_fits_and_is_never_empty_with_somebody_there() -> None:
    (line,) = drawn(answer(groups=[group("main", "a", seats_taken=1, concurrency=500)]))[4:5]
    assert "█░░░░░░░░░ 1/500" in line


def test_when_no_answer_comes_any_more_that_is_red_and_the_rest_is_dim_and_stands_still() -> None:
    seen = sight(BUSY, trouble="connection refused", silent_s=7.4, elapsed_s=1.0)
    lines = frame(seen, 80, 24, UNICODE, footer="q quits")
    assert lines[2].plain == "no answer for 7.4s: connection refused; trying again"
    assert "red" in str(lines[2].style)
    assert "healthy" not in lines[0].plain
    assert all(any(str(span.style) == "dim" for span in line.spans) for line in lines[3:18] if line.plain)


def test_an_unhealthy_proxy_and_one_that_ends_say_so_first() -> None:
    lines = drawn(BUSY, ailment="the scheduler is broken: two and two is five")
    assert lines[2] == "unhealthy: the scheduler is broken: two and two is five"
    assert "healthy" not in lines[0]
    assert "shutting down" in drawn(answer(shutting_down=True))[0]


def test_what_seldom_happens_is_counted_when_it_happened() -> None:
    counts = CountsAnswer(served=9, refused=1, cut_off=0, left=2, loads=3, swaps=1)
    assert drawn(answer(counts=counts))[1] == "0 loaded · 0 waiting · 9 served · 1 swap · 1 refused · 2 left early"


def test_every_state_of_a_group_has_its_colour() -> None:
    assert set(STYLES) == {state.value for state in GroupState}


HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["\x1b[2J\x1b]0;owned\x07", "模型" * 20, "a\u202eb", "x\r\ny", "e\u0301"]
)


@given(name=HOSTILE, why=HOSTILE, width=st.integers(2, 140), height=st.none() | st.integers(0, 50), trouble=HOSTILE)
def test_no_line_is_wider_than_the_terminal_and_no_frame_higher_and_no_name_moves_the_cursor(
    name: str, why: str, width: int, height: int | None, trouble: str
) -> None:
    queue = answer(
        groups=[group(name, name), group("small", None, next_model=name)],
        waiting=[ticket(number, name, why) for number in range(3)],
        swaps=[swap(name, name, cause=why), swap(None, name, "failed")],
        strategy=name,
    )
    for glyphs in (UNICODE, ASCII):
        lines = frame(sight(queue, trouble=trouble, ailment=why), width, height, glyphs, footer="q quits")
        assert height is None or len(lines) <= height
        for line in lines:
            assert line.cell_len <= width
            assert line.plain.isprintable()
            assert glyphs is UNICODE or line.plain.isascii()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.95, "9s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86399, "23h59m"),
        (86400, "1d00h"),
        (1e12, "999d23h"),
    ],
)
def test_a_time_is_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_text_is_cut_and_broken_where_it_has_to_be() -> None:
    assert fitted("explorer", 8, UNICODE) == "explorer"
    assert fitted("explorer", 5, UNICODE) == "expl…"
    assert fitted("模型模型", 5, UNICODE) == "模型…"
    assert fitted("explorer", 0, UNICODE) == ""
    assert wrapped("one two three", 7, 3, UNICODE) == ["one two", "three"]
    assert wrapped("one two three", 7, 1, UNICODE) == ["one tw…"]
    assert wrapped("unbreakable", 4, 9, UNICODE) == ["unbr", "eaka", "ble"]
    assert wrapped("", 10, 3, UNICODE) == [""]


def test_a_text_only_shows_itself() -> None:
    assert harmless("a\x1b[31mb\nc\td", UNICODE) == "a�[31mb c d"
    assert harmless("naïve 模型", UNICODE) == "naïve 模型"
    assert harmless("naïve 模型", ASCII) == "na?ve ??"
    assert cell_len(harmless("x" * 10_000, UNICODE)) == 400


def painted(*, is_terminal: bool) -> str:
    return "\n".join(Painter(is_terminal=is_terminal).paint(frame(sight(BUSY), 80, 24, UNICODE)))


def test_colours_are_for_terminals_and_for_whoever_has_not_turned_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    assert "\x1b[35m" in painted(is_terminal=True)
    assert "\x1b" not in painted(is_terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3[0-7]", painted(is_terminal=True))


def test_nothing_is_drawn_that_the_terminal_cannot_show() -> None:
    assert glyphs_of("utf-8", {"LANG": "en_GB.UTF-8"}) is UNICODE
    assert glyphs_of("utf-8", {}) is UNICODE
    assert glyphs_of("utf-8", {"LANG": "en_GB.UTF-8", "LC_ALL": "C"}) is ASCII
    assert glyphs_of("iso8859-1", {"LANG": "en_GB.ISO-8859-1"}) is ASCII
    assert glyphs_of(None, {}) is ASCII
