"""The machine of a group: every state, every event, every guard; and the table of the contract."""

from __future__ import annotations

from copy import deepcopy
from itertools import product

import pytest

from states.effects import ReportTransition, StartServer, StopServer
from states.errors import CoreError
from states.group import Group, GroupLife, GroupMachine, GroupState, Pressure, Signal
from states.settings import GroupId, ModelId

from .drama import Drama, model

IDLE, LOADING, ACTIVE = GroupState.IDLE, GroupState.LOADING, GroupState.ACTIVE
DRAINING, DEBOUNCE, UNLOADING = GroupState.DRAINING, GroupState.DEBOUNCE, GroupState.UNLOADING

BY_PRESSURE = {Pressure.NONE: ACTIVE, Pressure.BLOCKED: DRAINING, Pressure.HELD: DEBOUNCE}
OLD, NEXT = ModelId("old"), ModelId("next")


def target(source: GroupState, signal: Signal, pressure: Pressure, *, committed: bool) -> GroupState | None:
    """The contract's table; None: it has no such edge."""
    match source, signal:
        case GroupState.IDLE, Signal.START:
            return LOADING
        case GroupState.LOADING, Signal.READY:
            return BY_PRESSURE[pressure]
        case ((GroupState.ACTIVE | GroupState.DRAINING | GroupState.DEBOUNCE), Signal.PRESSURE):
            return None if BY_PRESSURE[pressure] is source else BY_PRESSURE[pressure]
        case GroupState.ACTIVE, Signal.EXPIRED:
            return UNLOADING
        case (
            (GroupState.LOADING | GroupState.ACTIVE | GroupState.DRAINING | GroupState.DEBOUNCE),
            (Signal.EVICTED | Signal.UNLOAD | Signal.FAILED),
        ):
            return UNLOADING
        case GroupState.UNLOADING, Signal.STOPPED:
            return LOADING if committed else IDLE
        case _:
            return None


EVERYTHING = list(product(GroupState, Signal, Pressure, [False, True]))


@pytest.mark.parametrize(("source", "signal", "pressure", "committed"), EVERYTHING)
def test_the_machine_has_the_edges_of_the_table_and_no_others(
    *, source: GroupState, signal: Signal, pressure: Pressure, committed: bool
) -> None:
    server = None if source is IDLE else OLD
    resident: ModelId | None = NEXT if committed or source is IDLE else OLD
    if source is UNLOADING and not committed:
        resident = None
    group = Group(id=GroupId("g"), state=source, server=server, resident=resident, pressure=pressure)
    wanted = target(source, signal, pressure, committed=committed)
    if wanted is None:
        with pytest.raises(CoreError, match=f"in {source.value}: no transition for {signal.value}"):
            GroupLife().tell(group, signal, now=1.0, cause="why")
        assert group.state is source
    else:
        effects = GroupLife().tell(group, signal, now=1.0, cause="why")
        assert group.state is wanted
        assert isinstance(effects[-1], ReportTransition)


def test_a_group_that_is_committed_goes_idle_while_victims_elsewhere_still_stop() -> None:
    group = Group(id=GroupId("g"), state=UNLOADING, server=OLD, resident=NEXT, awaiting={GroupId("h")})
    GroupLife().tell(group, Signal.STOPPED, now=1.0, cause="why")
    assert group.state is IDLE
    assert group.server is None


def test_loading_starts_the_server_and_unloading_stops_it() -> None:
    group = Group(id=GroupId("g"), resident=NEXT)
    life = GroupLife()
    start, _ = life.tell(group, Signal.START, now=1.0, cause="why")
    assert start == StartServer(group=GroupId("g"), model=NEXT)
    stop, report = life.tell(group, Signal.EVICTED, now=2.0, cause="because", grace_s=3.0)
    assert stop == StopServer(group=GroupId("g"), model=NEXT, grace_s=3.0)
    assert report == ReportTransition(
        group=GroupId("g"), model=NEXT, source="loading", target="unloading", signal="claim_committed", cause="because"
    )


def test_unknown_events_and_errors_in_callbacks_are_not_swallowed() -> None:
    """The library's defaults for both."""
    with pytest.raises(CoreError, match="no transition"):
        GroupLife().tell(Group(id=GroupId("g")), Signal.READY, now=0.0, cause="")
    life = GroupLife()
    life.tell(Group(id=GroupId("g"), resident=NEXT), Signal.START, now=0.0, cause="")
    with pytest.raises(GroupMachine.TransitionNotAllowed):
        life._machine.send("no_such_event")


def test_the_whole_state_lives_in_the_record() -> None:
    """So a record can be copied, compared and put back, and one machine serves all of them."""
    life = GroupLife()
    group = Group(id=GroupId("g"), resident=NEXT)
    life.tell(group, Signal.START, now=0.0, cause="")
    kept = deepcopy(group)
    life.tell(group, Signal.READY, now=1.0, cause="")
    assert group != kept
    life.tell(kept, Signal.READY, now=1.0, cause="")
    assert group == kept


def test_two_groups_live_by_one_machine_without_noticing_each_other() -> None:
    life = GroupLife()
    one, other = Group(id=GroupId("g"), resident=OLD), Group(id=GroupId("h"), resident=NEXT)
    life.tell(one, Signal.START, now=0.0, cause="")
    life.tell(one, Signal.READY, now=0.0, cause="")
    life.tell(other, Signal.START, now=0.0, cause="")
    assert (one.state, other.state) == (ACTIVE, LOADING)


def test_an_error_ends_with_the_last_transitions_of_its_group() -> None:
    life = GroupLife()
    group = Group(id=GroupId("g"), resident=NEXT)
    life.tell(group, Signal.START, now=1.5, cause="ticket 1 asks for next")
    with pytest.raises(CoreError, match=r"1\.500 idle -> loading \(next\): ticket 1 asks for next"):
        life.tell(group, Signal.START, now=2.0, cause="")


def test_a_story_is_bounded() -> None:
    life = GroupLife()
    group = Group(id=GroupId("g"))
    for _ in range(20):
        group.resident = NEXT
        life.tell(group, Signal.START, now=0.0, cause="")
        life.tell(group, Signal.FAILED, now=0.0, cause="")
        group.resident = None
        life.tell(group, Signal.STOPPED, now=0.0, cause="")
    assert len(group.story) == 20


# The same edges, as the rules drive them.


def test_a_rival_drains_a_model_that_serves_and_debounces_one_that_is_held() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).serving("a1")
    play.arrives("b1")
    assert play.moves == ["active -> draining"]
    play.served("a1")
    assert play.moves == ["draining -> debounce"]
    play.arrives("a2")
    assert play.moves == ["debounce -> draining"]
    play.served("a2")
    play.left("b1")
    assert play.moves == ["debounce -> active"]
    play.arrives("b2")
    assert play.moves == ["active -> debounce"]
    play.at(5)
    assert play.moves == ["debounce -> unloading"]
    play.stopped("a")
    assert play.moves == ["unloading -> loading"]


def test_a_rival_who_leaves_unloads_nobody() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    assert play.left("b1") == []
    assert play.moves == ["draining -> active"]


def test_the_last_of_several_rivals_is_the_one_that_counts() -> None:
    play = Drama(a=model(), b=model(), c=model()).serving("a1")
    play.arrives("b1", "c1")
    play.left("b1")
    assert play.moves == []
    play.left("c1")
    assert play.moves == ["draining -> active"]


def test_a_ready_model_that_a_rival_waits_for_is_draining_at_once() -> None:
    play = Drama(a=model(), b=model())
    play.arrives("a1", "b1")
    play.ready("a")
    assert play.moves == ["loading -> draining"]


def test_an_unload_drains_a_model_that_serves() -> None:
    play = Drama(a=model()).serving("a1")
    play.unload("a")
    assert play.moves == ["active -> draining"]
    play.served("a1")
    assert play.moves == ["draining -> unloading"]


def test_requests_are_none_of_the_machines_business() -> None:
    """An event of the machine costs about a hundred microseconds."""
    play = Drama(a=model()).serving("a1")
    for act, name in ((play.arrives, "a2"), (play.served, "a2"), (play.arrives, "a3"), (play.left, "a3")):
        act(name)
        assert play.moves == []


def test_a_commit_elsewhere_leaves_a_group_idle_until_its_victims_have_stopped() -> None:
    from .test_claims import BESIDE_A

    play = Drama(groups=BESIDE_A, a=model(), b=model(), x=model()).idle("a")
    play.arrives("x1")
    assert play.state("x") is IDLE
    play.stopped("a")
    assert play.moves == ["unloading -> idle", "idle -> loading"]
