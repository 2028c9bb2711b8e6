"""One core, put into any state of a small world and taken one step further, with everybody who judges looking on."""

from __future__ import annotations

from . import events as ev
from . import invariants
from .abstraction import Abstraction
from .core import Core
from .effects import Effect
from .frames import INSTANT_S, Frame
from .group import Group, GroupLife, GroupState, Signal
from .happenings import Step, What, event_of
from .recollection import remember
from .referee import Referee
from .restoring import put_back
from .small_world import SmallWorld, all_in_order
from .visits import Visits


class RememberedLife(GroupLife):
    """The machine, asked once for everything that it can be told: an event of the library takes its time.

    It looks at nothing of a record but what is in the key. Stories and causes are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[object, ...], tuple[GroupState, object, list[Effect]]] = {}
        self.moves: set[tuple[GroupState, Signal, GroupState]] = set()
        """Every transition that was taken."""

    def tell(self, group: Group, signal: Signal, *, now: float, cause: str, grace_s: float = 0.0) -> list[Effect]:
        """Move `group` as the machine would."""
        source = group.state
        awaits = bool(group.awaiting)
        key = (group.id, source, signal, group.pressure, group.resident, group.server, awaits, grace_s)
        known = self._known.get(key)
        if known is None:
            effects = super().tell(group, signal, now=now, cause=cause, grace_s=grace_s)
            self._known[key] = group.state, group.server, effects
            self.moves.add((source, signal, group.state))
            return effects
        group.state, group.server, effects = known  # type: ignore[assignment]
        return effects


class Player:
    """Takes steps, as many as one likes, out of one state after another."""

    def __init__(self, scene: SmallWorld, life: GroupLife | None = None) -> None:
        """Build a core for a world.

        Args:
            scene: whose states it will be put into.
            life: the machine of its groups; None: one of its own.
        """
        in_force = all_in_order(*scene.in_force)
        self.abstraction = Abstraction(scene, *in_force)
        self.core = Core(in_force[0], life)
        self._referees = _referees(self.abstraction)
        self._visits = Visits(self.abstraction)
        self._before = self._entered = remember(self.core.world)
        self._untouched = False
        self.event: ev.Event = ev.TimePassed()
        """What the core was told in the last step."""
        self._beyond = b""
        self.effects: list[Effect] = []
        """What the core wanted done in the last step."""

    def begin(self) -> bytes:
        """The first state."""
        world = self.core.world
        world.clock = 0.0
        return self.abstraction.write(world, self.abstraction.beyond_at_first())

    def enter(self, frame: Frame) -> None:
        """Look at a state before the first step out of it."""
        put_back(self.abstraction, frame, self.core)
        self._entered = remember(self.core.world)
        self._untouched = True

    def take(self, frame: Frame, step: Step) -> None:
        """Take a step out of the state that was entered.

        Raises:
            CoreError: the core noticed a mistake of its own.
        """
        core, abstraction, self.effects = self.core, self.abstraction, []
        if not self._untouched or step.timers:
            put_back(abstraction, frame, core, step.timers)
        self._untouched = False
        self.event, self._beyond, self._before = event_of(abstraction, frame, step), frame.beyond, self._entered
        if step.what is not What.TIME:
            self.effects = core.handle(self.event, 0.0)
            if step.what is What.ARRIVES:
                self._beyond = abstraction.one_less(frame.beyond, crowd=step.of)
            elif step.what is What.ASKED:
                self._beyond = abstraction.one_less(frame.beyond, operation=step.of)
            return
        self._before = remember(core.world, self._entered)
        if core.next_deadline() <= INSTANT_S:
            self.effects = core.handle(self.event, INSTANT_S)
        else:
            # Nobody wakes the core: what it has decided must still be right.
            core.world.clock = INSTANT_S

    def judge(self) -> bytes:
        """Judge the step that was taken, and say where it led.

        Raises:
            CoreError: a broken invariant.
            FoulError: a broken rule.
            BoundError: somebody came before an overdue ticket who should not.
        """
        world = self.core.world
        invariants.check(self.core, only_derived=True)
        referee = self._referees[self.abstraction.which(world.settings)]
        referee.judge(self._before, self.event, self.effects, world)
        return self.abstraction.write(world, self._visits.count(self._before, self.event, world, self._beyond))


def _referees(abstraction: Abstraction) -> list[Referee]:
    """One for each settings in force; those that were changed know what has to end for it."""
    (first, *rest), policies = abstraction.in_force, abstraction.policies
    homes = [policy.group_of for policy in policies]
    restart = abstraction.scene.restart
    moved = restart | {model for model in abstraction.models if homes[0][model] != homes[-1][model]}
    return [Referee(first, policies[0]), *(Referee(other, policies[-1], moved, restart) for other in rest)]
