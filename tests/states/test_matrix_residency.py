"""Models that may be there together, as the core lives by it."""

from __future__ import annotations

from states.matrix import Matrix, read_sets
from states.reasons import Held, InFlight, Outranked, Stopping
from states.residency import policy_of
from states.settings import ModelId, Settings

from .drama import Drama, model

A, B, C = ModelId("a"), ModelId("b"), ModelId("c")


def play(**sets: str) -> Drama:
    return Drama(matrix=matrix(**sets), a=model(), b=model(), c=model())


def matrix(costs: dict[ModelId, int] | None = None, **sets: str) -> Matrix:
    return Matrix(sets=read_sets(sets, ModelId), costs=costs or {})


def test_what_a_set_has_is_there_together() -> None:
    scene = play(s="a & b | c").serving("a1").serving("b1")
    assert scene.arrives("c1") == []
    assert scene.why("c1") == InFlight(victim=A, seats_taken=1)
    scene.served("a1")
    assert scene.served("b1") == ["stop a", "stop b"]
    scene.stopped("a")
    assert scene.why("c1") == Stopping(model=B)
    assert scene.stopped("b") == ["start c"]


def test_the_cheapest_leaves() -> None:
    scene = Drama(matrix=matrix({C: 9}, s="b & c | a & b | a & c"), a=model(), b=model(), c=model())
    scene.idle("b").idle("c")
    assert scene.arrives("a1") == ["stop b"]


def test_whoever_would_change_who_must_leave_waits_its_turn() -> None:
    sets = matrix(s="a & b | a & c & d | b & c & d")
    scene = Drama(matrix=sets, a=model(priority=1), b=model(), c=model(), d=model()).serving("b1").serving("c1")
    assert scene.arrives("a1") == []
    assert scene.why("a1") == InFlight(victim=C, seats_taken=1)
    assert scene.arrives("d1") == []  # with d there, b would have to leave in place of c
    assert isinstance(scene.why("d1"), Outranked)
    assert scene.served("c1") == ["stop c"]


def test_a_model_in_no_set_is_there_alone() -> None:
    policy = policy_of(Settings(models=dict.fromkeys((A, B, C), model()), matrix=matrix(s="a & b")))
    assert policy.displaced_by(C) == {A, B}
    assert policy.displaced_by(A) == {C}
    assert policy.victims(C, [A, B]) == (A, B)
    assert policy.group_of == {A: "a", B: "b", C: "c"}


def test_what_stops_is_in_the_way_of_what_no_set_has_beside_it() -> None:
    policy = policy_of(Settings(models=dict.fromkeys((A, B, C), model()), matrix=matrix(s="a & b | b & c | a & c")))
    assert list(policy.in_the_way(A, [B], [C])) == [C]
    assert list(policy.in_the_way(A, [], [B, C])) == [B, C]
    assert list(policy.in_the_way(A, [], [C])) == []
    assert list(policy.in_the_way(A, [], [A])) == [A]


def test_when_an_idle_model_has_gone_who_must_leave_is_asked_again() -> None:
    sets = matrix(s="a & c | b & c & d | a & b")
    models = {"a": model(), "b": model(), "c": model(ttl_s=5), "d": model(unload_delay_s=100)}
    scene = Drama(matrix=sets, **models).idle("d").idle("c").serving("b1")
    assert scene.arrives("a1") == []
    assert scene.why("a1") == InFlight(victim=B, seats_taken=1)
    assert scene.at(5) == ["stop c"]
    assert scene.why("a1") == Held(victim=ModelId("d"), until=100)


def test_when_a_commit_is_taken_back_the_gates_are_asked_again() -> None:
    """Found by exploration: with c on its way a would displace b; when nobody wants c any more, it does not."""
    sets = matrix({C: 9}, s="b & c | a & b | a & c")
    scene = Drama(matrix=sets, a=model(max_wait_s=10), b=model(concurrency=1), c=model())
    scene.arrives("a1", "b1", "b2", "c1")
    assert scene.left("a1") == ["stop a"]
    scene.arrives("a2")
    scene.at(10)
    scene.left("b1")
    assert isinstance(scene.why("b2"), Outranked)
    scene.left("c1")
    assert scene.seated("b") == {"b2"}
