"""The life of a server and what its clients get, against sections 4 and 10, "Process", of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why. Time is virtual, except where a
process or a socket is the point. Not here, and named by `trio-swap check`: the loading stream and ignored websockets of
4.6 and 10. Nor is 4.6's cancelling by request: a client hangs up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from proxy.processes import Command, SpawnError, open_process
from proxy.readiness import NO_CHECK, Readiness
from states.effects import StopServer
from states.events import Failure
from states.group import GroupState
from states.settings import ModelId
from tests.live.test_processes import AWAIT, is_there, linux_only, pids_printed, printed, runs, sh
from tests.live.test_readiness import OK, serving
from tests.proxy.fake_fleet import PROXY_PORT, Behaviour, Stage, stage, table
from tests.states.drama import Drama, group, model

from .config_stage import MODEL, load, refused
from .routing_stage import CHAT, said

M = ModelId("m")


def staged(folder: Path, behaviour: Behaviour, keys: str = "") -> AbstractAsyncContextManager[Stage]:
    """A proxy with one model, `m`."""
    return stage(folder, table("m", keys), {"m": behaviour})


async def after(seconds: float, what: Callable[[], object]) -> None:
    """Do something when so much time has passed."""
    await trio.sleep(seconds)
    what()


async def unload_after(seconds: float, scene: Stage) -> None:
    """Unload when so much time has passed."""
    await trio.sleep(seconds)
    await scene.proxy.driver.unload((M,))


async def running(scene: Stage) -> list[str]:
    """The states of servers, as `/running` tells them."""
    async with scene.network.client(PROXY_PORT) as client:
        return [each["state"] for each in (await client.get("/running")).json()["running"]]


# 4.1 States


def test_a_life_is_four_changes_of_state() -> None:
    """4.1, 10: exactly four, each told once, and no change from a state to itself."""
    play, moves = Drama(a=model()), list[str]()
    acts: list[Callable[[], object]] = [
        lambda: play.arrives("a1"),
        lambda: play.ready("a"),
        lambda: play.served("a1"),
        lambda: play.unload("a"),
        lambda: play.stopped("a"),
    ]
    for act in acts:
        act()
        moves += play.moves
    assert moves == ["idle -> loading", "loading -> active", "active -> unloading", "unloading -> idle"]


async def test_running_tells_states_in_the_same_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.1, 3.4: starting, ready, stopping; what is stopped is not there."""
    behaviour = Behaviour(load_s=2, service_s=2, stop_s=2)
    async with staged(tmp_path, behaviour) as scene, trio.open_nursery() as nursery:
        seen = [await running(scene)]
        nursery.start_soon(scene.ask, "m")
        await trio.sleep(1)
        seen.append(await running(scene))
        await trio.sleep(2)
        seen.append(await running(scene))
        await trio.sleep(2)
        nursery.start_soon(scene.proxy.driver.unload, (M,))
        await trio.testing.wait_all_tasks_blocked()
        seen.append(await running(scene))
        await trio.sleep(3)
        assert [*seen, await running(scene)] == [[], ["starting"], ["ready"], ["stopping"], []]


@pytest.mark.parametrize("failure", [Failure.LOAD_FAILED, Failure.LOAD_TIMEOUT])
def test_what_fails_to_start_is_stopped_in_the_end(failure: Failure) -> None:
    """4.1: an error, a timeout, an early exit. Different: `unloading` comes first, until nothing is left of it."""
    play = Drama(a=model())
    play.arrives("a1")
    play.failed("a", failure)
    assert play.state("a") is GroupState.UNLOADING
    play.stopped("a")
    assert play.state("a") is GroupState.IDLE


def test_a_stop_during_the_start_ends_it() -> None:
    """4.1, 10. Different: it is `unloading` meanwhile."""
    play = Drama(a=model())
    play.arrives("a1")
    assert play.unload("a") == ["stop a", "refuse a1: unloaded"]
    assert play.moves == ["loading -> unloading"]
    assert play.ready("a") == [], "it comes too late"
    play.stopped("a")
    assert play.state("a") is GroupState.IDLE


def test_who_asks_while_a_model_stops_waits_for_the_stop_and_starts_it_again() -> None:
    """4.1, 10."""
    play = Drama(a=model()).idle("a")
    play.unload("a")
    assert play.arrives("a1") == []
    assert play.stopped("a") == ["confirm 1", "start a"]


def test_a_server_is_started_once_whoever_asks_meanwhile() -> None:
    """10: there a second start that waits is rejected; here none is ever ordered."""
    play = Drama(a=model())
    play.arrives("a1", "a2")
    play.preload("a")
    play.ready("a")
    play.arrives("a3")
    assert play.loads == ["a"]


# 4.2 Start


async def test_a_server_leads_a_group_says_all_in_one_log_and_has_our_environment_and_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """4.2: its own environment wins; the working directory is ours, standard input is empty."""
    monkeypatch.setenv("CONFORMANCE_A", "ours")
    monkeypatch.setenv("CONFORMANCE_B", "ours")
    script = "cat; echo $CONFORMANCE_A; echo $CONFORMANCE_B >&2; pwd; sleep 1000"
    command = Command(argv=("sh", "-c", script), env={"CONFORMANCE_B": "its"})
    async with open_process(command, name="m") as server:
        assert await printed(server, 3) == ["ours", "its", str(Path.cwd())]
        assert os.getpgid(server.pid) == server.pid


# 4.3 Health check


async def test_what_is_not_checked_is_ready_when_it_runs() -> None:
    """4.3: `none`."""
    with trio.fail_after(1):
        await Readiness("http://127.0.0.1:1", NO_CHECK).until_ready()


async def test_200_is_ready_and_nothing_else() -> None:
    """4.3. Better: asked from the first milliseconds, and every few; there after 250 ms, then every second."""
    statuses = iter([b"503 Loading", b"204 No Content", b"302 Found", b"404 Not Found", b"500 No"])

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        status = next(statuses, None)
        await stream.send_all(OK if status is None else b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with serving(handle) as url:
        with trio.fail_after(2):
            await Readiness(url, "/health").until_ready()
    assert not list(statuses), "each of them was asked for once more"


async def test_an_exit_before_it_is_ready_is_noticed_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.3. Better: there between two checks."""
    async with staged(tmp_path, Behaviour(load_s=600)) as scene, trio.open_nursery() as nursery:
        since = trio.current_time()
        nursery.start_soon(after, 7.1, partial(scene.fleet.kill, "m"))
        assert said(await scene.ask("m")) == "load_failed"
        assert trio.current_time() - since == pytest.approx(7.1)


async def test_the_time_to_be_ready_ends_when_it_says(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.3, 9 (W11). Better: there only between two checks, so a server that never answers one is waited for forever."""
    async with staged(tmp_path, Behaviour(load_s=600), "load_timeout = 15") as scene:
        since = trio.current_time()
        assert (await scene.ask("m")).status_code == httpx.codes.GATEWAY_TIMEOUT
        assert trio.current_time() - since == pytest.approx(15)


async def test_what_is_ready_is_not_checked_any_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.3: only its end is waited for."""
    async with staged(tmp_path, Behaviour(load_s=2)) as scene:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.ask, "m")
            await trio.sleep(1)
            assert tasks(scene) == {"watch", "load"}
        assert tasks(scene) == {"watch"}


def tasks(scene: Stage) -> frozenset[str]:
    """What runs for the only server."""
    (shell,) = scene.proxy.groups.values()
    assert shell.run is not None
    return shell.run.tasks


# 4.4 Stop


async def test_sigterm_reaches_the_whole_process_group_and_an_end_ends_the_grace() -> None:
    """4.4, 10: a wrapper that forks is stopped promptly, with what it started."""
    child_script = f"trap 'echo child; exit' TERM; echo $$; {AWAIT}"
    parent_script = "trap 'echo parent; exit' TERM; sh -c \"$1\" & wait"
    command = Command(argv=("sh", "-c", parent_script, "-", child_script))
    async with open_process(command, name="m") as server:
        (child,) = await pids_printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert not is_there(child)
        assert sorted(server.output.tail()[1:]) == ["child", "parent"]


async def test_what_ignores_sigterm_is_killed_with_its_group_after_the_grace() -> None:
    """4.4."""
    async with open_process(sh("trap '' TERM; sleep 1000 & echo $!; wait"), name="m") as server:
        (child,) = await pids_printed(server)
        with trio.move_on_after(0.2):
            await server.stop()
        assert runs(child)
    assert server.status == -signal.SIGKILL
    assert not is_there(child)


@linux_only
async def test_a_grandchild_outside_the_group_that_holds_the_pipe_delays_nothing_and_is_gone() -> None:
    """4.4. Better: there the pipe is closed ten seconds after the server's end, and the grandchild lives on."""
    script = "setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000' & sleep 0.1; exit 0"
    async with open_process(sh(script), name="m") as server:
        (grandchild,) = await pids_printed(server)
        with trio.fail_after(2):
            assert await server.exited() == 0
    assert not is_there(grandchild)


async def test_what_a_wrapper_leaves_behind_may_finish_what_it_does_on_sigterm() -> None:
    """10: there, unless it takes longer than ten seconds after its wrapper's end; here the grace is the only bound."""
    inner = f"trap 'sleep 0.2; echo saved; exit 0' TERM; echo up; {AWAIT}"
    async with open_process(sh(f'sh -c "{inner}" & wait'), name="m") as server:
        await printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert server.output.tail() == ["up", "saved"]


async def test_cmd_stop_takes_the_place_of_sigterm_with_the_pid_and_the_models_environment() -> None:
    """4.4. Better: what it says is in the model's log; there it is thrown away."""
    stop = ("sh", "-c", 'echo "$HOW $1"; kill -USR1 $1', "-", "${PID}")
    server_script = f"trap 'exit 0' USR1; trap '' TERM; echo up; {AWAIT}"
    command = Command(argv=("sh", "-c", server_script), env={"HOW": "gently"}, stop_argv=stop)
    async with open_process(command, name="m") as server:
        await printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert server.status == 0
        assert f"gently {server.pid}" in server.output.tail()


async def test_a_cmd_stop_that_cannot_be_run_is_replaced_by_sigterm(tmp_path: Path) -> None:
    """4.4. Better: one whose words cannot be told apart is refused when the file is read."""
    async with open_process(sh("sleep 1000", stop_argv=("no-such-program",)), name="m") as server:
        with trio.fail_after(5):
            await server.stop()
        assert server.status == -signal.SIGTERM
    assert refused(tmp_path, f'{MODEL}    cmdStop: "stop \'it"\n')


async def test_a_second_stop_waits_for_the_first() -> None:
    """10: stop is idempotent; SIGTERM is sent once."""
    async with open_process(sh(f"trap 'echo term' TERM; echo up; {AWAIT}"), name="m") as server:
        await printed(server)
        for _ in range(3):
            with trio.move_on_after(0.1):
                await server.stop()
        assert server.output.tail() == ["up", "term"]


def evicted(play: Drama) -> None:
    play.idle("a").arrives("b1")


def unloaded(play: Drama) -> None:
    play.idle("a").unload("a")


def expired(play: Drama) -> None:
    play.idle("a").at(60)


def too_slow(play: Drama) -> None:
    play.arrives("a1")
    play.failed("a", Failure.LOAD_TIMEOUT)


def dead(play: Drama) -> None:
    play.serving("a1").died("a")


def reloaded(play: Drama) -> None:
    play.idle("a").reload(restart="a", a=model(unload_timeout_s=7), b=model())


def shut(play: Drama) -> None:
    play.idle("a").shutdown(30)


def hurried(play: Drama) -> None:
    play.serving("a1").shutdown(30)
    play.hurry()


@pytest.mark.parametrize(
    ("why", "grace_s"),
    [
        pytest.param(evicted, 7, id="evicted: better, healthCheckTimeout there"),
        pytest.param(unloaded, 7, id="unloaded: the same"),
        pytest.param(expired, 7, id="ttl: the same"),
        pytest.param(too_slow, 7, id="not ready in time: different, 5 s there"),
        pytest.param(dead, 0, id="it ended: what it left behind is killed"),
        pytest.param(reloaded, 7, id="reload: different, 30 s there"),
        pytest.param(shut, 7, id="shutdown: different, what is left of 30 s there"),
        pytest.param(hurried, 0, id="second signal: better, swallowed there"),
    ],
)
def test_the_grace_is_the_models_own_whoever_asks(why: Callable[[Drama], None], grace_s: float) -> None:
    """4.4. Different: one setting, `unloadTimeout`, for every reason; there each has a time of its own."""
    play = Drama(a=model(unload_timeout_s=7, ttl_s=60), b=model())
    why(play)
    assert [each.grace_s for each in play.effects if isinstance(each, StopServer)][-1] == grace_s


@pytest.mark.parametrize(("at_s", "state"), [(1.0, GroupState.LOADING), (3.5, GroupState.ACTIVE)])
async def test_a_proxy_that_breaks_down_gives_its_servers_a_second(
    tmp_path: Path, autojump_clock: MockClock, at_s: float, state: GroupState
) -> None:
    """4.4, 10: when the parent is cancelled, also during a start."""
    async with staged(tmp_path, Behaviour(load_s=2, stop_s=600)) as scene:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.ask, "m")
            await trio.sleep(at_s)
            assert scene.state is state
            nursery.cancel_scope.cancel()
        cancelled_at = trio.current_time()
    assert trio.current_time() - cancelled_at == pytest.approx(1)


def test_who_comes_while_a_model_stops_never_meets_the_dying_server() -> None:
    """4.4. Better: there requests that were granted already still go to it."""
    play = Drama(a=model(unload_timeout_s=5), b=model()).serving("a1")
    play.unload("a")
    assert play.arrives("a2") == []
    assert play.at(5) == ["cut a1: unloaded", "stop a"], "nobody is on it when it is told to stop"
    assert play.stopped("a") == ["confirm 1", "start a"]


# 4.5 TTL


def test_a_model_leaves_when_its_last_request_was_over_ttl_ago() -> None:
    """4.5, 10: not under traffic; a request in progress keeps it."""
    play = Drama(a=model(ttl_s=60)).idle("a")
    play.later(50).arrives("a1")
    assert play.at(1000) == []
    play.later(1001).served("a1")
    assert play.at(1060) == []
    assert play.at(1061) == ["stop a"], "to the moment; there within a second"


def test_a_ttl_of_zero_is_never() -> None:
    """4.5, 10."""
    play = Drama(a=model(ttl_s=0)).idle("a")
    assert play.at(1e9) == []


def test_the_ttl_of_a_model_that_nobody_has_used_runs_from_its_load() -> None:
    """4.5, 9 (W4). Better: there such a model leaves a second after it is ready."""
    play = Drama(a=model(ttl_s=60))
    play.preload("a")
    play.later(30).ready("a")
    assert play.at(89) == []
    assert play.at(90) == ["stop a"]


def test_a_request_at_the_instant_of_the_ttl_is_served() -> None:
    """4.5, 9 (W4). Better: there it may be granted, and killed with the server."""
    play = Drama(a=model(ttl_s=60)).idle("a")
    assert play.later(60).arrives("a1") == ["stop a"]
    assert play.stopped("a") == ["start a"]
    assert play.ready("a") == ["grant a1"]


# 4.6 What a client gets


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        pytest.param(Behaviour(launch_error="no such command"), 503, "load_failed", id="cannot be started"),
        pytest.param(Behaviour(load_s=600), 504, "load_timeout", id="never ready"),
    ],
)
async def test_a_start_that_fails_is_no_500(
    tmp_path: Path, autojump_clock: MockClock, behaviour: Behaviour, status: int, code: str
) -> None:
    """4.6, 9 (W16). Better: statuses that say whether to try again, codes for programs; there all of them are 500."""
    async with staged(tmp_path, behaviour, "load_timeout = 15") as scene:
        response = await scene.ask("m")
        assert (response.status_code, said(response)) == (status, code)


def test_a_command_line_is_nobodys_business() -> None:
    """4.6, 7.3. Better: there a start that fails tells every client the whole command line."""

    async def start() -> None:
        async with open_process(Command(argv=("no-such-program", "--api-key", "s3cret")), name="m"):
            pass

    with pytest.raises(SpawnError, match="'no-such-program' was not found on PATH") as caught:
        trio.run(start)
    assert "s3cret" not in str(caught.value)


async def test_a_start_that_an_unload_ends_is_503(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.6. Different: `unloaded`, not 500."""
    async with staged(tmp_path, Behaviour(load_s=600)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(unload_after, 1.0, scene)
        response = await scene.ask("m")
        assert (response.status_code, said(response)) == (503, "unloaded")


async def test_a_server_that_dies_before_its_answer_is_502_with_the_reason(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """4.6, 9 (W17). Better: there the body is empty."""
    async with staged(tmp_path, Behaviour(load_s=1, service_s=5)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(after, 3, partial(scene.fleet.kill, "m"))
        response = await scene.ask("m")
        assert (response.status_code, said(response)) == (502, "server_died")
        assert "exit status 3" in response.json()["error"]["message"]


async def test_a_server_that_takes_no_connection_is_502_with_the_reason(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """4.6, 9 (W17). Better: there the body is empty."""
    async with staged(tmp_path, Behaviour()) as scene:
        scene.proxy.driver.preload((M,))
        await trio.sleep(10)
        scene.network.unplug(1000)
        response = await scene.ask("m")
        assert (response.status_code, said(response)) == (502, "bad_gateway")


async def test_an_answer_that_a_server_did_not_finish_does_not_look_finished(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """4.6, 9 (W6). Better: there it ends cleanly, and its client takes half for the whole."""
    async with staged(tmp_path, Behaviour(load_s=1, answer_s=5)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(after, 4, partial(scene.fleet.kill, "m"))
        with pytest.raises(httpx.RemoteProtocolError):
            await scene.ask("m")


@pytest.mark.parametrize(("grace_s", "is_whole"), [(10, True), (2, False)])
async def test_an_unload_lets_an_answer_finish_for_a_while(
    tmp_path: Path, autojump_clock: MockClock, grace_s: int, *, is_whole: bool
) -> None:
    """4.6. Better: within `unloadTimeout`; there it is cut, and looks finished."""
    behaviour = Behaviour(load_s=1, answer_s=5)
    async with staged(tmp_path, behaviour, f"unload_timeout = {grace_s}") as scene, trio.open_nursery() as nursery:
        nursery.start_soon(unload_after, 3.0, scene)
        if is_whole:
            assert (await scene.ask("m")).text == "half whole"
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await scene.ask("m")


async def test_a_model_that_is_not_there_is_404(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.6."""
    async with staged(tmp_path, Behaviour()) as scene:
        response = await scene.ask("n")
        assert (response.status_code, said(response)) == (404, "model_not_found")


# 4.7 Crash and restart


async def test_a_server_that_ends_is_started_again_by_the_next_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """4.7: and by nothing else. Better: whoever fails twice in a row is given a pause, a growing one."""
    async with staged(tmp_path, Behaviour()) as scene:
        await scene.ask("m")
        scene.fleet.kill("m")
        await trio.sleep(600)
        assert (scene.state, scene.fleet.loads) == (GroupState.IDLE, ["m"])
        assert said(await scene.ask("m")) == "m"
        scene.fleet.behaviours["m"].launch_error = "gone"
        scene.fleet.kill("m")
        await trio.sleep(1)
        assert [said(await scene.ask("m")) for _ in range(3)] == ["load_failed", "paused", "paused"]


def test_a_swap_that_fails_does_not_bring_back_who_left_for_it() -> None:
    """4.7: nor is it tried again for those whom it refused."""
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    play.stopped("a")
    assert play.failed("b") == ["refuse b1: load_failed", "stop b"]
    assert play.stopped("b") == []
    assert play.loads == ["a", "b"]


# 4.8 The request


async def test_a_server_gets_what_the_client_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.8. Different: Host is the server's own, as many servers compare it; X-Forwarded-For and Accept-Encoding are
    as the client sent them, or not at all. What concerns one connection only stays on it."""
    sent = {"authorization": "Bearer k", "x-own": "1", "te": "trailers", "x-forwarded-for": "192.0.2.1"}
    async with staged(tmp_path, Behaviour()) as scene, scene.network.client(PROXY_PORT) as client:
        await client.post(CHAT, headers=sent, json={"model": "m"})
        got = scene.fleet.last_head
        assert {name.encode(): value.encode() for name, value in sent.items() if name != "te"}.items() <= got.items()
        assert got[b"host"] == b"127.0.0.1:1000"
        assert not {b"te", b"accept-encoding"} & got.keys()


# 4.9 Preload


async def test_a_preload_loads_and_asks_the_server_for_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.9. Better: there the root page is asked for, which counts as a request and may fail."""
    async with staged(tmp_path, Behaviour()) as scene:
        scene.proxy.driver.preload((M,))
        await trio.sleep(10)
        assert (scene.state, scene.fleet.loads, scene.fleet.served) == (GroupState.ACTIVE, ["m"], [])
        assert scene.proxy.driver.history.counts.served == 0


def test_preloads_that_fit_load_at_once_and_nobody_leaves_for_one() -> None:
    """4.9. Different: there one after the other, each in the place of the last; here the first keeps it."""
    play = Drama(groups={"g": group("a", "b", swap=False)}, a=model(), b=model(), c=model())
    assert play.preload("a", "b", "c") == ["start a", "start b", "no preload of c"]


async def test_a_reload_preloads_what_is_new_and_leaves_the_rest(tmp_path: Path, autojump_clock: MockClock) -> None:
    """4.9. Different: there everything is loaded again, as everything was stopped."""
    async with staged(tmp_path, Behaviour()) as scene:
        with_preload = load(tmp_path, f"hooks: {{on_startup: {{preload: [m]}}}}\n{MODEL}")
        scene.proxy.reconfigure(with_preload, frozenset())
        await trio.sleep(10)
        assert scene.fleet.loads == ["m"]
        await scene.proxy.driver.unload((M,))
        scene.proxy.reconfigure(with_preload, frozenset())
        await trio.sleep(10)
        assert scene.fleet.loads == ["m"]


def test_names_to_preload_are_models_or_aliases_and_others_are_told(tmp_path: Path) -> None:
    """4.9, 2.1."""
    config = load(tmp_path, f"hooks: {{on_startup: {{preload: [' nick ', nope]}}}}\n{MODEL}    aliases: [nick]\n")
    assert config.preload == (M,)
    assert [note.message for note in config.notes if "nope" in note.message]
