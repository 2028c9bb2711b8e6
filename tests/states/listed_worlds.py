"""The small worlds that are explored, how many states each has, and what may be found there.

Every number is exact: a world that grows or shrinks has other rules than it had. `tests.benchmarks.explore` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from states.exploration import Explored, explore
from states.matrix import Matrix, read_sets
from states.promises import assert_ends, starvation
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy
from states.small_world import Crowd, Operation, SmallWorld, Wish


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A small world, and what is known of it."""

    name: str
    about: str
    scene: SmallWorld
    observed: str = ""
    """The models of which one more client is watched, each in an exploration of its own; empty: all come to an end."""
    states: int
    steps: int
    starves: str = ""
    """Who can be made to wait for ever, and by whom: only where there is no `max_wait`."""

    def scenes(self) -> Iterator[SmallWorld]:
        """What is explored: the world itself, or the world with somebody who is watched."""
        if not self.observed:
            yield self.scene
        for model in self.observed:
            yield self.scene.observing(ModelId(model))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What exploring a world has shown."""

    states: int
    steps: int
    starves: str
    graphs: tuple[Explored, ...]
    """Of each scene of the world."""

    def is_listed(self, world: Listed) -> bool:
        return (self.states, self.steps, self.starves) == (world.states, world.steps, world.starves)


@cache
def find(name: str) -> Found:
    """Explore a world, as often as somebody is to be watched, and search the graphs.

    Raises:
        ViolationError: something that must never be.
    """
    graphs = tuple(explore(scene) for scene in ALL[name].scenes())
    starves: list[str] = []
    for explored in graphs:
        if explored.abstraction.scene.observed is None:
            assert_ends(explored)
        elif (seen := starvation(explored)) is not None:
            starves.append(f"{seen.waiter} by {', '.join(sorted(seen.by))}")
    return Found(
        states=sum(len(explored.states) for explored in graphs),
        steps=sum(len(explored.targets) for explored in graphs),
        starves="; ".join(starves),
        graphs=graphs,
    )


def row(world: Listed) -> str:
    """A world as a line of the table in docs/verification.md."""
    return f"| `{world.name}` | {world.about} | {world.states:,} | {world.steps:,} | {world.starves or 'nobody'} |"


def model(**settings: float) -> ModelSettings:
    """One seat and no deadline, unless it says so."""
    return ModelSettings(**{"concurrency": 1, "max_wait_s": 0.0, **settings})  # type: ignore[arg-type]


def group(members: str, *, swap: bool = True, exclusive: bool = True, persistent: bool = False) -> GroupSettings:
    return GroupSettings(
        members=tuple(ModelId(name) for name in members), swap=swap, exclusive=exclusive, persistent=persistent
    )


def settings(
    groups: dict[str, GroupSettings] | None = None,
    strategy: Strategy = Strategy.FIFO_PLUS,
    matrix: Matrix | None = None,
    **models: ModelSettings,
) -> Settings:
    named = {ModelId(name): chosen for name, chosen in models.items()}
    return Settings(models=named, groups=groups or {}, strategy=strategy, matrix=matrix)


def sets(text: str, **costs: int) -> Matrix:
    """Which models may be there together, and what it costs that one leaves."""
    named = {ModelId(name): cost for name, cost in costs.items()}
    return Matrix(sets=read_sets({"sets": text}, ModelId), costs=named)


def once(*crowds: str) -> tuple[Crowd, ...]:
    """Clients who come once, and may go away at any time; "aa": two for a."""
    return tuple(Crowd(model=ModelId(crowd[0]), size=len(crowd), leaves=True) for crowd in crowds)


def ever(*crowds: str) -> tuple[Crowd, ...]:
    """Clients who come again and again, and may go away at any time."""
    return tuple(Crowd(model=ModelId(crowd[0]), size=len(crowd), leaves=True, returns=True) for crowd in crowds)


def models(names: str) -> frozenset[ModelId]:
    return frozenset(ModelId(name) for name in names)


def asked(wish: Wish, names: str = "", times: int = 1) -> Operation:
    return Operation(wish=wish, models=tuple(ModelId(name) for name in names), times=times)


_TWO_GROUPS = {"g": group("ab"), "h": group("c")}
_BESIDE = {"g": group("ab", swap=False)}
_KEPT = {"g": group("a", persistent=True), "h": group("bc")}
_ASIDE = {"g": group("a", exclusive=False), "h": group("b")}
_LENIENT = {"g": group("ab", exclusive=False), "h": group("c")}

LISTED = (
    Listed(
        name="swap",
        about="three models of a swap group, two requests for one; holds, priorities, deadlines; every load may fail",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1), c=model(max_wait_s=20)
            ),
            crowds=once("aa", "b", "c"),
            fails=models("abc"),
        ),
        states=2_087,
        steps=8_896,
    ),
    Listed(
        name="queue",
        about="one seat a model and three requests for the first, two for the other; hold, priority, deadlines",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1)),
            crowds=once("aaa", "bb"),
        ),
        states=1_652,
        steps=8_448,
    ),
    Listed(
        name="queue-limit",
        about="a place in line for one; whoever finds it taken is refused; loads may fail",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5, queue_limit=1), b=model(max_wait_s=10, queue_limit=1)
            ),
            crowds=once("aaa", "bb"),
            fails=models("ab"),
        ),
        states=1_558,
        steps=6_306,
    ),
    Listed(
        name="beside",
        about="two models that may be there together (`swap = false`), and one that displaces both and is displaced",
        scene=SmallWorld(
            settings=settings(
                _BESIDE,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(priority=1, unload_delay_s=5),
                c=model(max_wait_s=20),
            ),
            crowds=once("aa", "b", "c"),
            fails=models("c"),
        ),
        states=961,
        steps=3_703,
    ),
    Listed(
        name="exclusive",
        about="a swap group that is not exclusive beside a model that is: it displaces them, they do not displace it",
        scene=SmallWorld(
            settings=settings(
                _LENIENT,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20),
            ),
            crowds=once("a", "b", "cc"),
            fails=models("a"),
        ),
        states=1_323,
        steps=5_622,
    ),
    Listed(
        name="persistent",
        about="a persistent model that displaces a swap group, and is never displaced",
        scene=SmallWorld(
            settings=settings(
                _KEPT,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20),
            ),
            crowds=once("aa", "b", "c"),
            fails=models("b"),
        ),
        states=1_332,
        steps=5_544,
    ),
    Listed(
        name="two-groups",
        about="two groups that displace each other, holds of both kinds on both sides; loads may fail",
        scene=SmallWorld(
            settings=settings(
                _TWO_GROUPS,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20, unload_delay_s=5, min_loaded_s=3),
            ),
            crowds=once("a", "b", "cc"),
            fails=models("c"),
        ),
        states=1_681,
        steps=7_661,
    ),
    Listed(
        name="apart",
        about="two swap groups of two that have nothing to do with each other: nobody waits for the other group",
        scene=SmallWorld(
            settings=settings(
                {"g": group("ab", exclusive=False), "h": group("cd", exclusive=False)},
                a=model(unload_delay_s=5),
                b=model(priority=1, max_wait_s=10),
                c=model(),
                d=model(max_wait_s=10),
            ),
            crowds=once("a", "b", "c", "d"),
        ),
        states=876,
        steps=3_122,
    ),
    Listed(
        name="matrix",
        about="any two of three models may be there together: who has to leave depends on who is there; `ttl`",
        scene=SmallWorld(
            settings=settings(
                matrix=sets("b & c | a & b | a & c", c=9),
                a=model(max_wait_s=10),
                b=model(ttl_s=10, priority=1),
                c=model(),
            ),
            crowds=once("aa", "bb", "c"),
        ),
        states=2_054,
        steps=9_574,
    ),
    Listed(
        name="unload",
        about="unload of both models on request, and of one with its line kept; loads may fail",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1)),
            crowds=once("aa", "b"),
            operations=(asked(Wish.UNLOAD, "ab"), asked(Wish.UNLOAD_KEEPING, "a")),
            fails=models("a"),
        ),
        states=1_343,
        steps=5_765,
    ),
    Listed(
        name="unload-seats",
        about="one model of two seats, three requests, an unload on request: nobody new is seated meanwhile",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, concurrency=2), b=model()),
            crowds=once("aaa", "b"),
            operations=(asked(Wish.UNLOAD_KEEPING, "a"),),
        ),
        states=655,
        steps=2_836,
    ),
    Listed(
        name="shutdown",
        about="shutdown with time to finish, hurried perhaps, before, after or amid an unload on request",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1)),
            crowds=once("aa", "b"),
            operations=(asked(Wish.UNLOAD, "a"), asked(Wish.SHUTDOWN), asked(Wish.HURRY)),
            fails=models("a"),
        ),
        states=629,
        steps=2_562,
    ),
    Listed(
        name="shutdown-at-once",
        about="shutdown with no time to finish, of models beside each other and one that displaces them",
        scene=SmallWorld(
            settings=settings(_BESIDE, a=model(max_wait_s=10, unload_delay_s=5), b=model(), c=model()),
            crowds=once("aa", "b", "c"),
            operations=(asked(Wish.SHUTDOWN_AT_ONCE),),
        ),
        states=568,
        steps=2_517,
    ),
    Listed(
        name="preload",
        about="preload of three models of which two can be there together; loads may fail",
        scene=SmallWorld(
            settings=settings(_BESIDE, a=model(max_wait_s=10, unload_delay_s=5), b=model(), c=model()),
            crowds=once("a", "b", "c"),
            operations=(asked(Wish.PRELOAD, "abc"),),
            fails=models("ac"),
        ),
        states=1_323,
        steps=4_439,
    ),
    Listed(
        name="ttl",
        about="a `ttl` longer than the hold, one shorter than it, and `min_loaded`",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5, ttl_s=10),
                b=model(ttl_s=2, unload_delay_s=5, min_loaded_s=3),
                c=model(max_wait_s=10),
            ),
            crowds=once("aa", "b", "c"),
        ),
        states=966,
        steps=4_170,
    ),
    Listed(
        name="fifo",
        about="strict order of arrival: a priority and a hold that play no part, a `ttl`; loads may fail",
        scene=SmallWorld(
            settings=settings(
                strategy=Strategy.FIFO, a=model(priority=3, unload_delay_s=5), b=model(ttl_s=10), c=model()
            ),
            crowds=once("aa", "b", "c"),
            fails=models("abc"),
        ),
        states=929,
        steps=2_899,
    ),
    Listed(
        name="change-settings",
        about="the configuration is changed: a model restarts, priorities, holds, a `ttl` and seats are others at once",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5, concurrency=2), b=model(priority=1), c=model(max_wait_s=10)
            ),
            changed=settings(a=model(max_wait_s=10, priority=2), b=model(ttl_s=3), c=model(max_wait_s=10)),
            restart=models("b"),
            fails=models("b"),
            crowds=once("aa", "b", "c"),
            operations=(asked(Wish.CHANGE),),
        ),
        states=2_503,
        steps=11_540,
    ),
    Listed(
        name="change-groups",
        about="the configuration is changed: two models that displaced each other no more do",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(), c=model(max_wait_s=10)),
            changed=settings(_BESIDE, a=model(max_wait_s=10, unload_delay_s=5), b=model(), c=model(max_wait_s=10)),
            crowds=once("aa", "b", "c"),
            operations=(asked(Wish.CHANGE),),
        ),
        states=2_439,
        steps=11_303,
    ),
    Listed(
        name="change-beside",
        about="the configuration is changed: a model restarts, and clients of one beside it do not wait for that",
        scene=SmallWorld(
            settings=settings(_ASIDE, a=model(unload_delay_s=5), b=model(max_wait_s=10)),
            changed=settings(_ASIDE, a=model(unload_delay_s=5), b=model(max_wait_s=10)),
            restart=models("b"),
            crowds=once("aa", "bb"),
            operations=(asked(Wish.CHANGE),),
        ),
        states=1_340,
        steps=6_019,
    ),
    Listed(
        name="endless-swap",
        about="a swap group, clients without end, deadlines on both sides",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=20, priority=1)),
            crowds=ever("aa", "b"),
        ),
        observed="b",
        states=2_619,
        steps=12_222,
    ),
    Listed(
        name="endless-seats",
        about="the same with two seats, and no deadline for those who have priority",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5, concurrency=2), b=model(priority=1, unload_delay_s=5)
            ),
            crowds=ever("aa", "b"),
        ),
        observed="ab",
        states=1_185,
        steps=5_432,
        starves="b by a",
    ),
    Listed(
        name="endless-three",
        about="three models of a swap group, clients without end for two of them",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1), c=model(max_wait_s=20)
            ),
            crowds=ever("a", "b"),
        ),
        observed="c",
        states=499,
        steps=1_806,
    ),
    Listed(
        name="endless-undated",
        about="no deadlines: whoever comes in time keeps others out for ever, and no hold or priority prevents it",
        scene=SmallWorld(
            settings=settings(a=model(unload_delay_s=5), b=model(priority=1), c=model()), crowds=ever("a", "bb")
        ),
        observed="abc",
        states=706,
        steps=2_720,
        starves="a by b; c by b",
    ),
    Listed(
        name="endless-failures",
        about="a swap group whose loads may fail again and again, clients without end, deadlines",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10)),
            crowds=ever("a", "b"),
            fails=models("a"),
        ),
        observed="ab",
        states=2_743,
        steps=10_598,
    ),
    Listed(
        name="endless-two-groups",
        about="two groups that displace each other, clients without end for a model of each, holds and deadlines",
        scene=SmallWorld(
            settings=settings(
                _TWO_GROUPS,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20, unload_delay_s=5),
            ),
            crowds=ever("a", "c"),
        ),
        observed="abc",
        states=1_534,
        steps=5_592,
    ),
    Listed(
        name="endless-beside",
        about="two models beside each other, and one that displaces both and waits: neither may keep it out in turn",
        scene=SmallWorld(
            settings=settings(
                _BESIDE, a=model(max_wait_s=10, unload_delay_s=5), b=model(priority=1), c=model(max_wait_s=20)
            ),
            crowds=ever("aa", "b"),
        ),
        observed="ac",
        states=769,
        steps=3_459,
    ),
    Listed(
        name="endless-exclusive",
        about="a model that displaces a group without being displaced by it, clients without end",
        scene=SmallWorld(
            settings=settings(_LENIENT, a=model(max_wait_s=10), b=model(max_wait_s=10), c=model(max_wait_s=20)),
            crowds=ever("a", "c"),
        ),
        observed="bc",
        states=727,
        steps=2_612,
    ),
    Listed(
        name="endless-persistent",
        about="a persistent model and those that it displaces, clients without end",
        scene=SmallWorld(
            settings=settings(_KEPT, a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10), c=model()),
            crowds=ever("a", "b"),
        ),
        observed="abc",
        states=1_007,
        steps=3_622,
        starves="c by a, b",
    ),
    Listed(
        name="endless-matrix",
        about="any two of three models may be there together, clients without end for two of them, deadlines",
        scene=SmallWorld(
            settings=settings(
                matrix=sets("b & c | a & b | a & c", c=9),
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20),
            ),
            crowds=ever("a", "b"),
        ),
        observed="bc",
        states=318,
        steps=1_215,
    ),
    Listed(
        name="endless-unload",
        about="clients without end, deadlines, and an unload on request of everything that keeps who waits",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10)),
            crowds=ever("a", "b"),
            operations=(asked(Wish.UNLOAD_KEEPING, "ab"),),
        ),
        observed="ab",
        states=2_598,
        steps=10_837,
    ),
    Listed(
        name="endless-change",
        about="clients without end, deadlines, and a change of the configuration that restarts or moves every model",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10)),
            changed=settings({"g": group("b")}, a=model(max_wait_s=10), b=model(max_wait_s=10, priority=1)),
            restart=models("a"),
            crowds=ever("a", "b"),
            operations=(asked(Wish.CHANGE),),
        ),
        observed="ab",
        states=2_591,
        steps=10_798,
    ),
    Listed(
        name="endless-ttl",
        about="clients without end, deadlines, a `ttl` on either side of the hold, and `min_loaded`",
        scene=SmallWorld(
            settings=settings(
                a=model(max_wait_s=10, unload_delay_s=5, ttl_s=10), b=model(max_wait_s=10, ttl_s=2, min_loaded_s=5)
            ),
            crowds=ever("a", "b"),
        ),
        observed="ab",
        states=1_002,
        steps=3_680,
    ),
    Listed(
        name="endless-fifo",
        about="strict order of arrival, three models, clients without end",
        scene=SmallWorld(
            settings=settings(strategy=Strategy.FIFO, a=model(priority=3), b=model(ttl_s=10), c=model()),
            crowds=ever("aa", "b"),
        ),
        observed="abc",
        states=699,
        steps=2_702,
    ),
)
"""What is explored on every change."""

_OF_ALL = settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1), c=model(max_wait_s=20))

DEEP = (
    Listed(
        name="deep-pair",
        about="two models of a swap group, two clients without end for each, deadlines on both sides",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=20, priority=1)),
            crowds=ever("aa", "bb"),
        ),
        observed="ab",
        states=36_051,
        steps=206_457,
    ),
    Listed(
        name="deep-once",
        about="three models, five requests that come once, loads that may fail, an unload of everything, a shutdown",
        scene=SmallWorld(
            settings=_OF_ALL,
            crowds=once("aa", "bb", "c"),
            fails=models("ab"),
            operations=(asked(Wish.UNLOAD, "abc"), asked(Wish.SHUTDOWN)),
        ),
        states=28_789,
        steps=194_500,
    ),
    Listed(
        name="deep-swap",
        about="three models of a swap group, clients without end for each, holds, priorities, deadlines",
        scene=SmallWorld(settings=_OF_ALL, crowds=ever("a", "b", "c")),
        observed="abc",
        states=20_139,
        steps=96_098,
    ),
    Listed(
        name="deep-two-groups",
        about="two groups that displace each other, clients without end for every model",
        scene=SmallWorld(
            settings=settings(
                _TWO_GROUPS,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20, unload_delay_s=5),
            ),
            crowds=ever("a", "b", "c"),
        ),
        observed="abc",
        states=20_154,
        steps=96_184,
    ),
    Listed(
        name="deep-beside",
        about="two models beside each other and one that displaces both, clients without end for every model",
        scene=SmallWorld(
            settings=settings(_BESIDE, a=model(max_wait_s=10, unload_delay_s=5), b=model(), c=model(max_wait_s=20)),
            crowds=ever("a", "b", "c"),
        ),
        observed="abc",
        states=12_953,
        steps=65_148,
        starves="b by a, c",
    ),
    Listed(
        name="deep-exclusive",
        about="a model that displaces a group without being displaced by it, clients without end for every model",
        scene=SmallWorld(
            settings=settings(
                _LENIENT,
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20),
            ),
            crowds=ever("a", "b", "c"),
        ),
        observed="abc",
        states=18_550,
        steps=91_164,
    ),
    Listed(
        name="deep-persistent",
        about="a persistent group and one that it displaces, clients without end for every model",
        scene=SmallWorld(
            settings=settings(
                {"g": group("ab", persistent=True), "h": group("c")},
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(),
                c=model(max_wait_s=20),
            ),
            crowds=ever("a", "b", "c"),
        ),
        observed="abc",
        states=14_455,
        steps=73_608,
        starves="b by a, c",
    ),
    Listed(
        name="deep-failures",
        about="a swap group whose every load may fail, again and again, clients without end",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10, priority=1)),
            crowds=ever("aa", "b"),
            fails=models("ab"),
        ),
        observed="ab",
        states=37_731,
        steps=197_807,
    ),
    Listed(
        name="deep-queue",
        about="one seat, three clients of one model and one of the other, without end",
        scene=SmallWorld(
            settings=settings(a=model(max_wait_s=10, unload_delay_s=5), b=model(max_wait_s=10)),
            crowds=ever("aaa", "b"),
        ),
        observed="ab",
        states=15_353,
        steps=85_978,
    ),
    Listed(
        name="deep-matrix",
        about="any two of three models may be there together, clients without end for all of them, deadlines",
        scene=SmallWorld(
            settings=settings(
                matrix=sets("b & c | a & b | a & c", c=9),
                a=model(max_wait_s=10, unload_delay_s=5),
                b=model(max_wait_s=10, priority=1),
                c=model(max_wait_s=20),
            ),
            crowds=ever("a", "b", "c"),
        ),
        observed="abc",
        states=8_805,
        steps=45_695,
    ),
)
"""What takes minutes: `--deep`."""

ALL = {world.name: world for world in (*LISTED, *DEEP)}
