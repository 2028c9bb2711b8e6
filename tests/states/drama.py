"""Facts about the Core, told as a play: who arrives, what servers do, and what the Core wants done about it.

    play = Drama(a=model(), b=model(unload_delay_s=5))
    assert play.arrives("a1") == ["start a"]
    assert play.ready("a") == ["grant a1"]

A ticket is called after its model. Every line gives back what is to be done, in order, as short sentences; changes of
state are kept apart, in `moves`. After every event the invariants are checked, and every waiting ticket has a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from states import effects as fx
from states import events as ev
from states import invariants
from states.core import Core
from states.effects import Effect
from states.group import GroupState
from states.matrix import Matrix
from states.reasons import Reason
from states.settings import GroupId, GroupSettings, ModelId, ModelSettings, Settings, Strategy, TicketId
from states.views import TicketView
from states.world import Model

model = ModelSettings
"""Reads better in a play."""


def group(*members: str, swap: bool = True, exclusive: bool = True, persistent: bool = False) -> GroupSettings:
    """A configured group."""
    names = tuple(ModelId(member) for member in members)
    return GroupSettings(members=names, swap=swap, exclusive=exclusive, persistent=persistent)


class Drama:
    """One core, and the time on its clock."""

    def __init__(
        self,
        *,
        strategy: Strategy = Strategy.FIFO_PLUS,
        groups: Mapping[str, GroupSettings] | None = None,
        matrix: Matrix | None = None,
        **models: ModelSettings,
    ) -> None:
        self.core = Core(_settings(strategy, groups, matrix, models))
        self.now = 0.0
        self.moves: list[str] = []
        """The changes of state of the last event, without their causes."""
        self.effects: list[Effect] = []
        """Everything that the last event asked for."""
        self.loads: list[str] = []
        """Every server started so far."""
        self._tickets: dict[str, TicketId] = {}
        self._names: dict[int, str] = {}

    # What happens

    def arrives(self, *names: str, priority: int | None = None) -> list[str]:
        """Tickets arrive, one after the other at the same instant."""
        return [
            line
            for name in names
            for line in self._feed(
                ev.TicketArrived(ticket=self._ticket(name), model=_model_of(name), priority=priority)
            )
        ]

    def served(self, *names: str) -> list[str]:
        return [line for name in names for line in self._feed(ev.TicketServed(ticket=self._ticket(name)))]

    def left(self, *names: str) -> list[str]:
        return [line for name in names for line in self._feed(ev.TicketLeft(ticket=self._ticket(name)))]

    def ready(self, name: str) -> list[str]:
        return self._feed(ev.ServerReady(group=self._group(name)))

    def stopped(self, name: str) -> list[str]:
        return self._feed(ev.ServerStopped(group=self._group(name)))

    def failed(self, name: str, failure: ev.Failure = ev.Failure.LOAD_FAILED) -> list[str]:
        return self._feed(ev.ServerFailed(group=self._group(name), failure=failure, detail=f"{name}: {failure.value}"))

    def died(self, name: str) -> list[str]:
        return self.failed(name, ev.Failure.DIED)

    def unload(self, *names: str, asker: int = 1, keep: bool = False) -> list[str]:
        models = tuple(ModelId(name) for name in names)
        return self._feed(ev.UnloadAsked(asker=ev.AskerId(asker), models=models, keep_waiting=keep))

    def reload(
        self,
        *,
        restart: str = "",
        asker: int = 1,
        strategy: Strategy = Strategy.FIFO_PLUS,
        groups: Mapping[str, GroupSettings] | None = None,
        matrix: Matrix | None = None,
        **models: ModelSettings,
    ) -> list[str]:
        """The configuration is read again; `restart` has the models, a letter each, whose server is another one now."""
        settings = _settings(strategy, groups, matrix, models)
        changed = frozenset(ModelId(name) for name in restart)
        return self._feed(ev.SettingsChanged(asker=ev.AskerId(asker), settings=settings, restart=changed))

    def preload(self, *names: str) -> list[str]:
        return self._feed(ev.PreloadAsked(models=tuple(ModelId(name) for name in names)))

    def shutdown(self, drain_s: float, asker: int = 99) -> list[str]:
        return self._feed(ev.ShutdownAsked(asker=ev.AskerId(asker), drain_s=drain_s))

    def hurry(self) -> list[str]:
        return self._feed(ev.ShutdownHurried())

    # Time

    def at(self, now: float) -> list[str]:
        """It is `now`; what was due by then is done."""
        self.now = now
        return self._feed(ev.TimePassed())

    def later(self, now: float) -> Drama:
        """The next event happens at `now`, and is the first thing that the core hears since."""
        self.now = now
        return self

    @property
    def deadline(self) -> float:
        return self.core.next_deadline()

    # Scenes that many facts begin with

    def serving(self, *names: str) -> Drama:
        """The tickets' model, wanted by nobody before, is loaded now and serves them."""
        self.arrives(*names)
        self.ready(_model_of(names[0]))
        assert self.seated(_model_of(names[0])) == set(names)
        return self

    def idle(self, name: str) -> Drama:
        """The model is loaded now and has served somebody now."""
        self.serving(f"{name}0")
        self.served(f"{name}0")
        return self

    def swapped(self, old: str, new: str) -> list[str]:
        """`old` was told to stop for `new`: it stops and `new` loads, at this instant."""
        self.stopped(old)
        return self.ready(new)

    # What can be seen

    def state(self, name: str) -> GroupState:
        return self.record(name).group.state

    def record(self, name: str) -> Model:
        return self.core.world.models[ModelId(name)]

    def seated(self, name: str) -> set[str]:
        return {self._names[ticket] for ticket in self.record(name).seated}

    def waiting(self, name: str) -> list[str]:
        """In queue order."""
        return [self._names[ticket.id] for ticket in self.record(name).line]

    def view(self, name: str) -> TicketView:
        seen = self.core.why(self._ticket(name), self.now)
        assert seen is not None, f"{name} has all that it wants"
        return seen

    def why(self, name: str) -> Reason | None:
        return self.view(name).reason

    def number(self, name: str) -> TicketId:
        """The id that effects and reasons know a ticket by."""
        return self._ticket(name)

    # Behind the curtain

    def _feed(self, event: ev.Event) -> list[str]:
        self.effects = self.core.handle(event, self.now)
        invariants.check(self.core)
        self.loads += [effect.model for effect in self.effects if isinstance(effect, fx.StartServer)]
        self.moves = [f"{e.source} -> {e.target}" for e in self.effects if isinstance(e, fx.ReportTransition)]
        return [self._line(effect) for effect in self.effects if not isinstance(effect, fx.ReportTransition)]

    def _line(self, effect: Effect) -> str:
        match effect:
            case fx.StartServer(model=name):
                return f"start {name}"
            case fx.StopServer(model=name):
                return f"stop {name}"
            case fx.GrantSeat(ticket=ticket):
                return f"grant {self._names[ticket]}"
            case fx.RefuseTicket(ticket=ticket, refusal=refusal):
                return f"refuse {self._names[ticket]}: {refusal.code.value}"
            case fx.CutSeat(ticket=ticket, refusal=refusal):
                return f"cut {self._names[ticket]}: {refusal.code.value}"
            case fx.ConfirmUnload(asker=asker):
                return f"confirm {asker}"
            case fx.ReportBypass(ticket=ticket, victim=victim):
                return f"{self._names[ticket]} bypasses {victim}"
            case fx.ReportPreload(model=name):
                return f"no preload of {name}"
            case fx.ReportTransition():
                return f"{effect.source} -> {effect.target}"
            case _:
                assert_never(effect)

    def _ticket(self, name: str) -> TicketId:
        ticket = self._tickets.setdefault(name, TicketId(len(self._tickets)))
        self._names[ticket] = name
        return ticket

    def _group(self, name: str) -> GroupId:
        return self.record(name).group.id


def _settings(
    strategy: Strategy,
    groups: Mapping[str, GroupSettings] | None,
    matrix: Matrix | None,
    models: Mapping[str, ModelSettings],
) -> Settings:
    named = {ModelId(name): settings for name, settings in models.items()}
    return Settings(models=named, groups=groups or {}, matrix=matrix, strategy=strategy)


def _model_of(ticket: str) -> ModelId:
    return ModelId(ticket.rstrip("0123456789"))
