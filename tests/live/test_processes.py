"""Servers are started, told to stop, and gone with everything they started: real processes, real signals."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from proxy import processes
from proxy.process_output import KEPT_CHARACTERS, KEPT_LINES
from proxy.process_tree import MARK, GroupTree, adopted, claim, disclaim
from proxy.processes import Command, ServerProcess, SpawnError, adopt_orphans, describe_exit, open_process

from .conditions import until

ROOT = Path(__file__).parents[2]
AWAIT = "while :; do sleep 0.01; done 2>/dev/null"
"""So a shell waits for a signal; without a word about the `sleep` that the same signal has ended."""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a guarantee that only Linux gives")


def sh(script: str, *, stop_argv: tuple[str, ...] | None = None) -> Command:
    return Command(argv=("sh", "-c", script), stop_argv=stop_argv)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] not in {"", "Z"}


def is_there(pid: int) -> bool:
    """Whether a process is there, be it as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def printed(server: ServerProcess, lines: int = 1) -> list[str]:
    """Wait for the first lines of output."""
    await until(lambda: len(server.output.tail()) >= lines)
    return server.output.tail()


async def pids_printed(server: ServerProcess, n: int = 1) -> list[int]:
    return [int(line) for line in (await printed(server, n))[:n]]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


# Exits.


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("exit 0", 0, "exit status 0"),
        ("exit 7", 7, "exit status 7"),
        ("kill -KILL $$", -9, "killed by SIGKILL"),
        ("kill -TERM $$", -15, "killed by SIGTERM"),
    ],
)
async def test_the_status_says_how_a_server_ended(script: str, status: int, words: str) -> None:
    async with open_process(sh(script), name="m") as server:
        with trio.fail_after(5):
            assert await server.exited() == status
            assert await server.exited() == status
    assert describe_exit(status) == words


async def test_an_exit_is_noticed_at_once_by_everybody_who_waits_for_it() -> None:
    noticed_at: list[float] = []

    async def wait(server: ServerProcess) -> None:
        await server.exited()
        noticed_at.append(trio.current_time())

    async with open_process(Command(argv=("sleep", "1000")), name="m") as server:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(wait, server)
                await trio.testing.wait_all_tasks_blocked()
                killed_at = trio.current_time()
                os.kill(server.pid, signal.SIGKILL)
    assert len(noticed_at) == 3
    assert max(noticed_at) - killed_at < 0.1


async def test_the_last_words_of_a_server_are_there_when_its_exit_is_noticed() -> None:
    for _ in range(20):
        async with open_process(sh("echo loading; echo no such file >&2; exit 1"), name="m") as server:
            with trio.fail_after(5):
                await server.exited()
            assert server.output.tail() == ["loading", "no such file"]


# Stops.


async def test_a_server_that_ends_on_sigterm_stops_at_once() -> None:
    async with open_process(sh(f"trap 'echo bye; exit 5' TERM; echo up; {AWAIT}"), name="m") as server:
        await printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert server.status == 5
        assert server.output.tail() == ["up", "bye"]


async def test_a_server_that_ignores_sigterm_is_killed_after_the_grace_and_not_before() -> None:
    """R23."""
    async with open_process(sh("trap '' TERM; echo up; sleep 1000"), name="m") as server:
        await printed(server)
        started_at = trio.current_time()
        with trio.move_on_after(0.5) as grace:
            await server.stop()
        assert grace.cancelled_caught
        assert trio.current_time() - started_at >= 0.5
        assert runs(server.pid)
    assert trio.current_time() - started_at < 1.5
    assert server.status == -signal.SIGKILL
    assert not is_there(server.pid)


async def test_a_server_is_sent_sigterm_once_however_often_it_is_stopped() -> None:
    """Many servers take a second SIGTERM for impatience."""
    async with open_process(sh(f"trap 'echo term' TERM; echo up; {AWAIT}"), name="m") as server:
        await printed(server)
        for _ in range(3):
            with trio.move_on_after(0.2):
                await server.stop()
        assert server.output.tail() == ["up", "term"]


async def test_a_server_that_has_ended_already_stops_at_once() -> None:
    async with open_process(sh("exit 0"), name="m") as server:
        with trio.fail_after(5):
            await server.exited()
            await server.stop()


async def test_a_stop_command_runs_instead_of_sigterm() -> None:
    """R24."""
    command = sh(f"trap 'echo usr1; exit 0' USR1; trap '' TERM; echo up; {AWAIT}")
    command = Command(argv=command.argv, stop_argv=("sh", "-c", "echo stopping $1; kill -USR1 $1", "-", "${PID}"))
    async with open_process(command, name="m") as server:
        await printed(server)
        with trio.fail_after(30):
            await server.stop()
        assert server.status == 0
        assert sorted(server.output.tail()) == [f"stopping {server.pid}", "up", "usr1"]


@pytest.mark.parametrize(
    ("stop_argv", "why"),
    [(("no-such-program-here",), "not found on PATH"), (("sh", "-c", "exit 4"), "cmd_stop: exit status 4")],
)
async def test_a_stop_command_that_fails_is_replaced_by_sigterm(stop_argv: tuple[str, ...], why: str) -> None:
    async with open_process(sh("sleep 1000", stop_argv=stop_argv), name="m") as server:
        with trio.fail_after(5):
            await server.stop()
        assert server.status == -signal.SIGTERM
        assert any(why in line for line in server.output.tail())


async def test_a_stop_command_that_hangs_is_gone_with_its_server_after_the_grace() -> None:
    async with open_process(
        sh("echo up; sleep 1000", stop_argv=("sh", "-c", "echo $$; sleep 1000")), name="m"
    ) as server:
        with trio.move_on_after(0.5):
            await server.stop()
        pids = [int(line) for line in server.output.tail() if line.isdecimal()]
    assert len(pids) == 1
    assert not is_there(pids[0])
    assert not is_there(server.pid)


# Whole trees.


async def test_a_grandchild_that_keeps_the_pipe_open_does_not_delay_the_exit_and_is_killed() -> None:
    """R22."""
    async with open_process(sh("sleep 1000 & echo $!; exit 0"), name="m") as server:
        with trio.fail_after(2):
            assert await server.exited() == 0
        (grandchild,) = await pids_printed(server)
        assert runs(grandchild)
    assert not runs(grandchild)


async def test_a_server_behind_a_shell_wrapper_is_stopped_with_it() -> None:
    """R22."""
    async with open_process(sh("sleep 1000 & echo $!; wait"), name="m") as server:
        (grandchild,) = await pids_printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert not runs(grandchild)


async def test_a_server_behind_a_shell_wrapper_has_the_whole_grace_although_the_wrapper_ends_at_once() -> None:
    inner = f"trap 'sleep 0.3; echo saved; exit 0' TERM; echo up; {AWAIT}"
    async with open_process(sh(f'sh -c "{inner}" & wait'), name="m") as server:
        await printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert server.output.tail() == ["up", "saved"]


async def test_children_that_ignore_sigterm_are_killed_with_the_block_although_their_leader_ended() -> None:
    script = "sh -c 'trap \"\" TERM; echo $$; sleep 1000' & wait"
    async with open_process(sh(script), name="m") as server:
        (grandchild,) = await pids_printed(server)
        with trio.move_on_after(0.3) as grace:
            await server.stop()
        assert grace.cancelled_caught
        assert server.status == -signal.SIGTERM
        assert runs(grandchild)
    assert not is_there(grandchild)


@linux_only
@pytest.mark.parametrize("leader_then", ["wait", "exit 0"])
async def test_a_grandchild_in_a_session_of_its_own_is_killed(leader_then: str) -> None:
    script = f"setsid sh -c 'echo $$; sleep 1000' & sleep 0.1; {leader_then}"
    async with open_process(sh(script), name="m") as server:
        (grandchild,) = await pids_printed(server)
        if leader_then != "wait":
            await server.exited()
        assert os.getsid(grandchild) != server.pid
    assert not is_there(grandchild)


@linux_only
async def test_a_grandchild_in_a_session_of_its_own_is_told_to_stop_when_its_leader_has_ended() -> None:
    inner = f"trap 'echo told; exit 0' TERM; echo up; {AWAIT}"
    async with open_process(sh(f'setsid sh -c "{inner}" & wait'), name="m") as server:
        await printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert server.output.tail() == ["up", "told"]


@linux_only
async def test_a_tree_that_forks_all_the_time_is_killed() -> None:
    script = "while :; do sleep 1000 & setsid sleep 1000 & sleep 0.002; echo x; done"
    async with open_process(sh(script), name="m") as server:
        await printed(server, 20)
        (mark,) = [word for word in environment(server.pid) if word.startswith(f"{MARK}=")]
        assert len(bearers(mark)) > 20
        with trio.fail_after(5):
            await server.kill()
        assert bearers(mark) == []
    assert server.leftovers == ()


def bearers(mark: str) -> list[int]:
    """The processes with this mark in their environment."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if mark in environment(pid)]


def environment(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def members_of_session(leader: int) -> str:
    return subprocess.run(
        ["ps", "-o", "pid=,stat=", "-s", str(leader)], capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.parametrize("script", ["exit 0", "sleep 1000", "sleep 1000 & exit 0", "(sleep 0.05 &) ; sleep 1000"])
async def test_no_zombie_is_left(script: str) -> None:
    """R21."""
    async with open_process(sh(script), name="m") as server:
        await trio.sleep(0.1)
    assert not is_there(server.pid)
    assert members_of_session(server.pid) == ""


@linux_only
async def test_orphans_that_end_while_their_server_runs_are_reaped() -> None:
    """R21."""
    async with adopt_orphans(), open_process(sh("sh -c 'sleep 0.1 & echo $!'; sleep 1000"), name="m") as server:
        (orphan,) = await pids_printed(server)
        await until(lambda: not is_there(orphan))
        assert server.status is None


@linux_only
async def test_orphans_that_nothing_ties_to_a_server_end_with_the_proxy() -> None:
    script = "env -i setsid sh -c 'echo $$; sleep 1000' & sleep 0.2"
    async with adopt_orphans(), open_process(sh(script), name="m") as server:
        await server.exited()
        (orphan,) = await pids_printed(server)
    assert not is_there(orphan)


async def test_children_of_other_code_are_left_to_it() -> None:
    async with adopt_orphans():
        other = subprocess.Popen(["sh", "-c", "exit 3"])  # noqa: ASYNC220 (other code, as blunt as it may be)
        async with open_process(sh("exit 0"), name="m") as server:
            await server.exited()
            await until(lambda: not runs(other.pid))
    assert other.wait() == 3


class OrphansReaped(GroupTree):
    """On macOS somebody else reaps orphans. Here that is us, and as zombies they would keep their group alive."""

    def __init__(self, leader: int) -> None:
        super().__init__(leader)
        self.leader = leader
        claim(leader)

    def living(self) -> list[int]:
        adopted()
        return super().living()

    def forget(self) -> None:
        super().forget()
        disclaim(self.leader)


async def test_without_what_only_linux_has_a_server_and_its_process_group_end_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way of macOS: a thread waits for the leader, and the tree is the process group."""
    monkeypatch.setattr(processes, "tree_of", lambda leader, _: OrphansReaped(leader))
    monkeypatch.setattr(processes, "_open_pidfd", lambda _: None)
    async with open_process(sh("sleep 1000 & echo $!; exit 3"), name="m") as server:
        with trio.fail_after(5):
            assert await server.exited() == 3
        (abandoned,) = await pids_printed(server)
    async with open_process(sh("sleep 1000 & echo $!; wait"), name="m") as server:
        (behind_wrapper,) = await pids_printed(server)
        with trio.fail_after(5):
            await server.stop()
        assert not runs(behind_wrapper)
    async with open_process(sh("trap '' TERM; echo $$; sleep 1000"), name="m") as server:
        (stubborn,) = await pids_printed(server)
        with trio.move_on_after(0.2) as grace:
            await server.stop()
        assert grace.cancelled_caught
    assert server.status == -signal.SIGKILL
    assert not any(map(runs, (abandoned, behind_wrapper, stubborn)))


# The block.


async def test_nothing_is_left_when_the_block_is_cancelled() -> None:
    with trio.move_on_after(0.2) as scope:
        async with open_process(sh("trap '' TERM; sleep 1000 & echo $!; wait; wait; wait"), name="m") as server:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    (grandchild,) = await pids_printed(server)
    assert not runs(grandchild)
    assert not is_there(server.pid)


async def test_nothing_is_left_when_the_block_fails() -> None:
    pids: list[int] = []

    async def fail() -> None:
        async with open_process(Command(argv=("sleep", "1000")), name="m") as server:
            pids.append(server.pid)
            raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        await fail()
    assert not is_there(pids[0])


async def test_no_descriptor_is_left() -> None:
    async with open_process(sh("exit 0"), name="m") as server:  # whatever the first one brings along for ever
        await server.exited()
    before = descriptors()
    missing = Command(argv=("no-such-program-here",))
    async with adopt_orphans():
        for _ in range(5):
            async with open_process(sh("sleep 1000 & exit 0"), name="m") as server:
                await server.exited()
            with pytest.raises(SpawnError):
                await start(missing)
    assert descriptors() == before


# Starts.


async def start(command: Command) -> None:
    async with open_process(command, name="explorer"):
        pass


async def test_a_command_that_is_not_found_says_what_to_do() -> None:
    with pytest.raises(
        SpawnError, match=r"^explorer: the command 'no-such' was not found on PATH; install it, or give"
    ):
        await start(Command(argv=("no-such",)))
    with pytest.raises(SpawnError, match=r"^explorer: the command '/no/such' was not found; check the path in `cmd`"):
        await start(Command(argv=("/no/such",)))
    with pytest.raises(SpawnError, match=r"variables belong into `env`$"):
        await start(Command(argv=("CUDA_VISIBLE_DEVICES=0", "llama-server")))
    with pytest.raises(SpawnError, match=r"no shell runs it: write \$\{env.HOME\} for your own ~$"):
        await start(Command(argv=("~/llama.cpp/llama-server",)))
    with pytest.raises(SpawnError, match=r'no shell runs it: for that, cmd = \["sh", "-c", "exec ..."\]$'):
        await start(Command(argv=("no-such", "venv/bin/activate", "&&", "vllm", "serve")))


async def test_a_command_that_cannot_be_executed_says_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(SpawnError, match=r"^explorer: the command '.*/server' was not executable; make it executable"):
        await start(Command(argv=(str(script),)))
    script.write_bytes(b"\x00\x01")
    script.chmod(0o755)
    with pytest.raises(SpawnError, match=r"was not a program for this machine; a script needs a first line"):
        await start(Command(argv=(str(script),)))


async def test_a_working_directory_that_is_missing_is_named() -> None:
    with pytest.raises(SpawnError, match=r"^explorer: cannot start in the working directory '/no/such': no such file"):
        await start(Command(argv=("true",), cwd="/no/such"))


async def test_a_server_has_the_proxys_environment_and_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OF_THE_PROXY", "a")
    monkeypatch.setenv("OF_BOTH", "b")
    command = Command(
        argv=("sh", "-c", "echo $OF_THE_PROXY $OF_BOTH $OWN; pwd"), env={"OF_BOTH": "c", "OWN": "d"}, cwd=str(tmp_path)
    )
    async with open_process(command, name="m") as server:
        await server.exited()
    assert server.output.tail() == ["a c d", str(await trio.Path(tmp_path).resolve())]


async def test_a_server_leads_a_session_of_its_own_and_reads_nothing() -> None:
    async with open_process(sh("cat; sleep 1000"), name="m") as server:
        assert os.getsid(server.pid) == os.getpgid(server.pid) == server.pid
    async with open_process(sh("cat; echo end"), name="m") as server:
        with trio.fail_after(5):
            await server.exited()
        assert server.output.tail() == ["end"]


# Output.


@pytest.mark.parametrize("flood", ["yes 'a line of output as servers write them'", "cat /dev/zero"])
async def test_a_flood_of_output_neither_blocks_the_server_nor_fills_memory(flood: str) -> None:
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with open_process(sh(f"{flood} | head -c 50000000; echo; echo end"), name="m") as server:
        with trio.fail_after(30):
            await server.exited()
        tail = server.output.tail()
        assert tail[-1] == "end"
        assert sum(map(len, tail)) <= KEPT_CHARACTERS
        assert len(tail) <= KEPT_LINES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before < 20 * 1024  # KiB


async def test_every_line_is_told_in_order_and_a_progress_bar_is_one_line() -> None:
    told: list[str] = []
    script = r"printf 'one\ntwo\r\n\n10%%\r20%%\r100%%\nhalf'; printf ' \377\n'; printf 'no end'"
    async with open_process(sh(script), name="m", on_line=told.append) as server:
        await server.exited()
        assert server.output.tail(2) == ["half \N{REPLACEMENT CHARACTER}", "no end"]
    assert told == ["one", "two", "", "100%", "half \N{REPLACEMENT CHARACTER}", "no end"]


# The death of the proxy.

PROXY = """
import sys
import trio
from proxy.processes import Command, adopt_orphans, open_process

async def main():
    async with adopt_orphans():
        async with trio.open_nursery() as nursery:
            for script in sys.argv[1:]:
                nursery.start_soon(live, script)

async def live(script):
    async with open_process(Command(argv=("sh", "-c", script)), name="m", on_line=lambda line: print(line, flush=True)):
        await trio.sleep_forever()

trio.run(main)
"""
SERVERS = (
    "echo $$; sleep 1000",
    "trap '' TERM HUP INT; sleep 1000 & echo $!; echo $$; wait; wait; wait",
    "sleep 1000 & echo $!; exit 0",
)
AND_ON_LINUX = ("setsid sh -c 'echo $$; sleep 1000' & wait",) if sys.platform == "linux" else ()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_the_death_of_the_proxy_leaves_no_server_and_no_grandchild_after_a_second(signum: signal.Signals) -> None:
    """R20: whatever it dies of."""
    servers = (*SERVERS, *AND_ON_LINUX)
    proxy = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROXY, *servers],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    pids: list[int] = []
    try:
        assert proxy.stdout is not None
        with trio.fail_after(10):
            said = b""
            while len(pids) < len(servers) + 1:
                said += await proxy.stdout.receive_some(4096)
                pids = [int(line) for line in said.split()] if said.endswith(b"\n") else []
            children = children_of(proxy.pid)
        assert all(map(runs, pids))
    finally:
        proxy.send_signal(signum)
        await proxy.wait()
        await proxy.stdout.aclose()
    await until(lambda: not any(map(runs, [*pids, *children])), within_s=1)


async def test_the_proxy_ends_cleanly_and_its_watchman_with_it() -> None:
    async with adopt_orphans(), open_process(sh("sleep 1000"), name="m"):
        (watchman,) = watchmen()
        assert os.getsid(watchman) == watchman
    assert not is_there(watchman)


async def test_a_proxy_whose_watchman_was_killed_works_on() -> None:
    async with adopt_orphans():
        (watchman,) = watchmen()
        os.kill(watchman, signal.SIGKILL)
        await until(lambda: not runs(watchman))
        async with open_process(sh("exit 0"), name="m") as server:
            with trio.fail_after(5):
                assert await server.exited() == 0


def watchmen() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if "trio-swap-watchman" in command_line(pid)]


def children_of(parent: int) -> list[int]:
    listed = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid="], text=True).splitlines()
    return [int(line.split()[0]) for line in listed if int(line.split()[1]) == parent]


def command_line(pid: int) -> str:
    return subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout


@linux_only
async def test_a_server_dies_with_the_thread_that_runs_the_proxy_and_with_no_other() -> None:
    """A worker thread of Trio ends after ten idle seconds, and the kernel's signal comes with the parent *thread*."""
    ask = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value, flush=True)"
    script = f"{ask}; import time; time.sleep(1000)"
    async with open_process(Command(argv=(sys.executable, "-c", script)), name="m") as server:
        assert await printed(server) == [str(int(signal.SIGKILL))]
        assert server.pid in children_of_main_thread()


def children_of_main_thread() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
