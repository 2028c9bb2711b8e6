"""A core made from a checkpoint goes on as the one of which it was taken: in a hostile world, after every event."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import HealthCheck, settings

from states import checkpoint as written
from states import effects as fx
from states import events as ev
from states.checkpoint import checkpoint, core_of
from states.group import Group
from states.settings import ModelId
from states.waiting import Line, Ticket
from states.world import Model

from .drama import Drama, model
from .test_hostile_world import HostileWorld


class ResumedWorld(HostileWorld):
    """The same, with a second core that is made anew before every event."""

    def _feed(self, event: ev.Event) -> None:
        twin = core_of(checkpoint(self.core.world))
        super()._feed(event)
        assert twin.handle(event, self.now) == self.last
        assert checkpoint(twin.world) == checkpoint(self.core.world)
        assert twin.next_deadline() == self.core.next_deadline()

    def _look_at(self, effects: list[fx.Effect]) -> None:
        super()._look_at(effects)
        self.last = effects


TestResumedWorld = ResumedWorld.TestCase
TestResumedWorld.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def test_nothing_that_a_record_holds_is_forgotten() -> None:
    """Whoever gives a record a new field is told here to write it down, too."""
    assert _names(Group) == _names(written.GroupRecord)
    assert _names(Ticket) == _names(written.TicketRecord)
    said = {"boosted": "line", "load_s": "estimates", "stop_s": "estimates", "service_s": "estimates"}
    assert _names(Model) == {said.get(name, name) for name in _names(written.ModelRecord)}
    assert _names(Line) == {"ranked", "due", "next_due", "boosted"}, "the first three follow from the tickets"
    world = Drama(a=model()).core.world
    derived = {"policy"}
    assert set(vars(world)) - derived == (_names(written.Records) | {"settings"})


def test_a_checkpoint_does_not_change_with_the_world() -> None:
    play = Drama(a=model(), b=model(unload_delay_s=3))
    play.arrives("a1", "b1")
    taken = checkpoint(play.core.world)
    before = repr(taken)
    play.ready("a")
    play.served("a1")
    assert repr(taken) == before
    assert checkpoint(core_of(taken).world) == taken


def test_seats_that_are_too_many_since_a_reload_stay_so() -> None:
    play = Drama(a=model(concurrency=2))
    play.arrives("a1", "a2")
    play.ready("a")
    fewer = replace(play.core.world.settings, models={ModelId("a"): model(concurrency=1)})
    play.core.handle(ev.SettingsChanged(asker=ev.AskerId(9), settings=fewer), play.now)
    assert play.core.world.models[ModelId("a")].surplus == 1
    assert core_of(checkpoint(play.core.world)).world.models[ModelId("a")].surplus == 1


def _names(record: type) -> set[str]:
    return {each.name for each in fields(record)}  # type: ignore[arg-type]
