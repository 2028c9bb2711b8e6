"""Every row of the contract's worked examples, in its words."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from states import effects as fx
from states import events as ev
from states.effects import Effect
from states.settings import ModelId, ModelSettings, Settings, Strategy, TicketId

from .drama import Drama, model
from .environment import Durations, Environment

FIFO, FIFO_PLUS = Strategy.FIFO, Strategy.FIFO_PLUS


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize(
    ("strategy", "loads", "served"),
    [(FIFO_PLUS, "ABC", "AAABBBC"), (FIFO, "ABCBAB", "AABCBAB")],
)
def test_a_a_b_c_b_a_b_all_while_a_loads(concurrency: int, strategy: Strategy, loads: str, served: str) -> None:
    settings = Settings(
        models={ModelId(name): ModelSettings(concurrency=concurrency) for name in "ABC"}, strategy=strategy
    )
    order: list[str] = []

    def watch(_event: ev.Event, _now: float, effects: list[Effect]) -> None:
        order.extend(effect.model for effect in effects if isinstance(effect, fx.GrantSeat))

    durations = Durations(load_s=lambda _: 5.0, stop_s=lambda _: 1.0, service_s=lambda _: 2.0)
    world = Environment(settings, durations, Random(0), watch)
    for number, name in enumerate("AABCBAB"):
        world.plan(0.1 * number, ev.TicketArrived(ticket=TicketId(number), model=ModelId(name)))
    world.run()
    assert "".join(world.loads) == loads
    assert "".join(order) == served


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("low_is_loading", [False, True])
def test_low_in_flight_or_still_loading_then_high_then_low(
    *, strategy: Strategy, concurrency: int, low_is_loading: bool
) -> None:
    play = Drama(strategy=strategy, low=model(concurrency=concurrency), high=model(priority=5))
    play.arrives("low1")
    if low_is_loading:
        assert play.arrives("high1", "low2") == []
        assert play.ready("low") == ["grant low1"]
    else:
        play.ready("low")
        assert play.arrives("high1", "low2") == []
    assert play.served("low1") == ["stop low"]
    assert play.swapped("low", "high") == ["grant high1"]
    assert play.served("high1") == ["stop high"]
    assert play.swapped("high", "low") == ["grant low2"]


@pytest.mark.parametrize("strategy", Strategy)
def test_high_arrives_while_a_stops_for_low(strategy: Strategy) -> None:
    play = Drama(strategy=strategy, a=model(), low=model(), high=model(priority=5)).idle("a")
    assert play.arrives("low1", "low2") == ["stop a"]
    assert play.arrives("high1") == []
    assert play.stopped("a") == ["start low"]
    assert play.ready("low") == ["grant low1", "grant low2"]
    play.served("low1")
    assert play.served("low2") == ["stop low"]


def delayed_high(strategy: Strategy = FIFO_PLUS) -> Drama:
    play = Drama(strategy=strategy, high=model(unload_delay_s=1, priority=5), low=model()).serving("high1")
    play.later(10).served("high1")
    return play


def test_high_done_and_low_arrives_at_once() -> None:
    play = delayed_high()
    assert play.arrives("low1") == []
    assert play.deadline == 11
    assert play.at(11) == ["stop high"]


def test_high_done_and_low_arrives_at_once_in_fifo() -> None:
    assert delayed_high(FIFO).arrives("low1") == ["stop high"]


@pytest.mark.parametrize("low_first", [False, True])
def test_high_done_and_a_little_later_high_again_and_low_arrives(*, low_first: bool) -> None:
    play = delayed_high()
    if low_first:
        play.later(10.1).arrives("low1")
    assert play.later(10.2).arrives("high2") == ["grant high2"]
    if not low_first:
        play.later(10.3).arrives("low1")
    play.later(12).served("high2")
    assert play.deadline == 13
    assert play.at(13) == ["stop high"]


def test_low_done_and_high_arrives() -> None:
    play = Drama(low=model(unload_delay_s=10), high=model(priority=5)).idle("low")
    assert play.arrives("high1") == ["high1 bypasses low", "stop low"]


def test_a_done_and_b_arrives_with_the_same_priority() -> None:
    play = Drama(a=model(unload_delay_s=1), b=model()).idle("a")
    assert play.later(0.5).arrives("b1") == []
    assert play.at(0.999) == []
    assert play.at(1) == ["stop a"]


def test_four_clients_keep_a_busy_for_ever_and_one_b() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3)).serving("a1", "a2", "a3", "a4")
    play.later(1).arrives("b1")
    number = 4
    for now in (1.5, 2.0, 2.5, 3.0, 3.5):
        number += 1
        play.later(now).served(f"a{number - 4}")
        assert play.arrives(f"a{number}") == [f"grant a{number}"]
    assert play.deadline == 4
    for done, now in (("a6", 4.0), ("a7", 4.2), ("a8", 4.4)):
        play.later(now).served(done)
        assert play.arrives(f"a{number + 1}") == []
        number += 1
    # The longest in flight, then the stop, then the load.
    assert play.later(5).served("a9") == ["stop a"]
    assert play.later(6).stopped("a") == ["start b"]
    assert play.later(8).ready("b") == ["grant b1"]


def test_four_clients_keep_a_busy_for_ever_in_fifo() -> None:
    play = Drama(strategy=FIFO, a=model(), b=model(max_wait_s=3)).serving("a1")
    play.later(1).arrives("b1")
    assert play.arrives("a2") == []
    assert play.later(2).served("a1") == ["stop a"]


@pytest.mark.parametrize("strategy", Strategy)
def test_low_in_flight_and_a_rival_high_arrives_then_leaves(strategy: Strategy) -> None:
    play = Drama(strategy=strategy, low=model(), high=model(priority=5)).serving("low1")
    play.arrives("high1")
    assert play.moves == ["active -> draining"]
    assert play.left("high1") == []
    assert play.moves == ["draining -> active"]
    assert play.served("low1") == []
    assert play.deadline == inf
    assert play.loads == ["low"]


def test_b_in_flight_then_a1_and_a2_then_b_again_and_again() -> None:
    play = Drama(a=model(concurrency=1, max_wait_s=10), b=model(concurrency=1, max_wait_s=10)).serving("b0")
    play.arrives("a1", "a2")
    for second in range(1, 10):
        play.later(second).arrives(f"b{second}")
        play.served(f"b{second - 1}")
        assert play.seated("b") == {f"b{second}"}
    play.later(10).arrives("b10")
    assert play.served("b9") == ["stop b"]
    play.later(11).swapped("b", "a")
    # b10 is overdue at 20, a1 and a2 were at 10.
    assert play.later(21).served("a1") == ["grant a2"]
    assert play.later(22).served("a2") == ["stop a"]
    assert play.loads == ["b", "a"]
