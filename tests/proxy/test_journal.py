"""The journal: what is written is read as it was, nothing waits for it, and what is missing is told."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings

from proxy.journal.notation import Entry, NotationError, Opening, entry_line, opening_line, read_line
from proxy.journal.parts import Parts
from proxy.journal.playback import JournalError, replay
from proxy.journal.recorder import Recorder
from states import effects as fx
from states import events as ev
from states.checkpoint import checkpoint
from states.core import Core
from states.errors import CoreError
from states.settings import ModelId, ModelSettings, Settings, TicketId
from tests.live.conditions import until
from tests.states.test_hostile_world import HostileWorld

A = ModelId("a")
ONE = Settings(models={A: ModelSettings()})
LARGE = 2**30


def opening(core: Core, **changed: object) -> Opening:
    said: dict[str, object] = {"program": "1.0", "run": 0.5, "part": 0, "at": 0.25, "time": 0.125, "missed": 0}
    return Opening(**(said | changed), checkpoint=checkpoint(core.world))  # type: ignore[arg-type]


# Lines


class WrittenWorld(HostileWorld):
    """A hostile world in which everything is written down: every event, every effect, every state."""

    def _feed(self, event: ev.Event) -> None:
        super()._feed(event)
        entry = Entry(self.now, event, tuple(self.last))
        assert read_line(entry_line(entry)) == entry
        begin = opening(self.core)
        assert read_line(opening_line(begin)) == begin

    def _look_at(self, effects: list[fx.Effect]) -> None:
        super()._look_at(effects)
        self.last = effects


TestWrittenWorld = WrittenWorld.TestCase
TestWrittenWorld.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("text", ["a\nb", "\u2028", '"\\', "ümlaut 模型", "\x00\x7f"])
def test_every_text_is_on_one_line_and_comes_back(text: str) -> None:
    entry = Entry(1.0, ev.ServerFailed(group=ev.GroupId(text), failure=ev.Failure.DIED, detail=text), ())
    line = entry_line(entry)
    assert line.count(b"\n") == 1
    assert read_line(line) == entry


def test_half_a_character_is_written_as_a_question_mark() -> None:
    """A path that is no text, in the message of an error."""
    failed = ev.ServerFailed(group=ev.GroupId("g"), failure=ev.Failure.DIED, detail="no \udcff")
    read = read_line(entry_line(Entry(1.0, failed, ())))
    assert isinstance(read, Entry)
    assert isinstance(read.event, ev.ServerFailed)
    assert read.event.detail == "no ?"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "not a line of JSON"),
        (b'{"at": 1.0', "not a line of JSON"),
        (b'{"at": 1.0, "event": {"x": ' + b"[" * 100_000, "not a line of JSON"),
        (b'{"at": 1.0, "event": {"\xff": 0}}', "not a line of JSON"),
        (b"[]", "not what a journal says"),
        (b'{"at": 1.0}', "required field `event`"),
        (b'{"at": 1.0, "event": {}}', "an event has one name, not 0"),
        (b'{"at": 1.0, "event": {"Gone": {}}}', "there is no event 'Gone'"),
        (b'{"at": 1.0, "event": {"TicketServed": {"ticket": "1"}}}', "Expected `int`, got `str` - at `$.ticket`"),
        (b'{"at": 1.0, "event": {"TimePassed": {}}, "effects": [{"Rest": {}}]}', "there is no effect 'Rest'"),
        (b'{"journal":"trio-swap","version":2}', "version 2 of the journal of trio-swap"),
        (b'{"journal":"trio-swap","version":1}', "required field"),
    ],
)
def test_a_line_of_something_else_is_refused_in_words(line: bytes, why: str) -> None:
    with pytest.raises(NotationError, match=r".") as caught:
        read_line(line)
    assert why in str(caught.value)


# Files


def test_a_new_journal_keeps_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "j"
    for number in range(4):
        parts = Parts(file, max_bytes=LARGE, files=3)
        parts.write(b"%d" % number)
        parts.close()
    kept = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert kept == {"j": b"3", "j.1": b"2", "j.2": b"1"}
    assert file.stat().st_mode & 0o777 == 0o600, "prompts are not in it, and names of models are nobody else's business"


def test_one_file_may_be_all_that_is_kept(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "j", max_bytes=1, files=1)
    parts.write(b"old")
    assert parts.is_full
    parts.rotate()
    parts.write(b"new")
    parts.close()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"j": b"new"}


def test_a_device_is_written_and_never_renamed(tmp_path: Path) -> None:
    link = tmp_path / "j"
    link.symlink_to("/dev/null")
    parts = Parts(link, max_bytes=1, files=3)
    parts.write(b"something")
    assert not parts.is_full
    parts.close()
    assert list(tmp_path.iterdir()) == [link]


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j")
    with pytest.raises(OSError, match="No such device"):
        Parts(tmp_path / "j", max_bytes=LARGE, files=3)


# The recorder


class Scene:
    """A core whose events are recorded."""

    def __init__(self, folder: Path, *, max_bytes: int = LARGE, files: int = 9, **recorder: float) -> None:
        self.core = Core(ONE)
        self.path = folder / "j"
        self.parts = Parts(self.path, max_bytes=max_bytes, files=files)
        self.recorder = Recorder(self.parts, **recorder)  # type: ignore[arg-type]
        self.recorder.begin(partial(checkpoint, self.core.world), 0.0)
        self.now = 0.0
        self.tickets = 0

    def feed(self, event: ev.Event) -> None:
        self.now += 1
        self.recorder.note(event, self.core.handle(event, self.now), self.now)

    def serve(self) -> None:
        """One request more, from its arrival to its answer: two events."""
        self.tickets += 1
        self.feed(ev.TicketArrived(ticket=TicketId(self.tickets), model=A))
        if self.tickets == 1:
            self.feed(ev.ServerReady(group=self.core.world.models[A].group.id))
        self.feed(ev.TicketServed(ticket=TicketId(self.tickets)))

    async def taken(self) -> None:
        """Wait until what was noted is in the hands of a thread."""
        await until(lambda: not self.recorder._pending)

    async def refused(self) -> None:
        """Wait until the disk has refused, and may be asked again."""
        await until(lambda: self.recorder._missed is not None and not self.recorder._refused)

    def serve_in_turns(self, turns: int) -> None:
        """Twenty requests at a time, each time until they are written."""
        for _ in range(turns):
            for _ in range(20):
                self.serve()
            trio.run(self.recorder._write_pending)
        self.parts.close()


async def test_what_was_noted_is_written_at_the_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.recorder.writing():
        scene.serve()
    assert replay(scene.path).events == 3


async def test_what_was_noted_is_written_though_the_proxy_is_cancelled(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with trio.CancelScope() as scope:
        async with scene.recorder.writing():
            scene.serve()
            scope.cancel()
            await trio.sleep_forever()
    assert replay(scene.path).events == 3


def test_files_follow_each_other_and_each_can_be_played_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_bytes=3000)
    scene.serve_in_turns(3)
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["j", "j.1", "j.2"]
    whole = replay(scene.path)
    assert (whole.events, whole.difference, whole.missed, whole.first.part) == (121, None, 0, 0)
    assert [path.name for path in whole.files] == ["j.2", "j.1", "j"]
    alone = [replay((tmp_path / name).rename(tmp_path / f"only-{name}")) for name in files]
    assert [each.difference for each in alone] == [None] * 3
    assert [each.first.part for each in alone] == [2, 1, 0]
    assert sum(each.events for each in alone) == 121


def test_when_the_oldest_is_gone_replay_goes_on_from_the_state_of_that_moment(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_bytes=1000, files=2)
    scene.serve_in_turns(5)
    left = replay(scene.path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["j", "j.1"]
    assert left.difference is None
    assert left.first.part == 3


async def test_a_run_does_not_go_on_from_another_one(tmp_path: Path) -> None:
    for _ in range(2):
        scene = Scene(tmp_path)
        async with scene.recorder.writing():
            scene.serve()
    assert [path.name for path in replay(scene.path).files] == ["j"]
    assert [path.name for path in replay(tmp_path / "j.1").files] == ["j.1"]


class SlowDisk(Parts):
    """Takes nothing until told to."""

    gate: trio.Event

    def write(self, data: bytes | bytearray) -> None:
        trio.from_thread.run(self.gate.wait)
        super().write(data)


async def test_a_slow_disk_delays_nobody_and_replay_goes_on_after_the_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("trio_swap").propagate = True
    scene = Scene(tmp_path, most_pending=10)
    SlowDisk.gate = trio.Event()
    monkeypatch.setattr(scene.parts, "__class__", SlowDisk)
    async with scene.recorder.writing():
        for _ in range(3):
            scene.serve()
        await scene.taken()
        for _ in range(50):
            scene.serve()  # no await: nobody waits
        SlowDisk.gate.set()
        await scene.taken()
        for _ in range(3):
            scene.serve()
    assert "is not complete: the disk is too slow for it" in caplog.text
    assert "goes on: " in caplog.text
    replayed = replay(scene.path)
    assert replayed.missed > 50
    assert replayed.events + replayed.missed == 2 * 56 + 1
    assert replayed.difference is None


class SlowlyFullDisk(SlowDisk):
    """Takes its time, and then nothing; afterwards everything."""

    is_full_now = True

    def write(self, data: bytes | bytearray) -> None:
        super().write(data)
        if self.is_full_now:
            os.ftruncate(self._file, 0)
            self._bytes = 0
            self.is_full_now = False
            raise OSError(28, "No space left on device")


async def test_what_is_noted_while_the_disk_refuses_is_missing_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, retry_s=0.01)
    SlowlyFullDisk.gate = trio.Event()
    monkeypatch.setattr(scene.parts, "__class__", SlowlyFullDisk)
    async with scene.recorder.writing():
        scene.serve()
        await scene.taken()
        scene.serve()
        SlowlyFullDisk.gate.set()
        await scene.refused()
        scene.serve()
    replayed = replay(scene.path)
    assert (replayed.difference, replayed.first.missed + replayed.events) == (None, 7)
    assert replayed.first.missed >= 5


async def test_a_full_disk_ends_nothing_and_what_was_missed_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("trio_swap").propagate = True
    (tmp_path / "j").symlink_to("/dev/full")
    scene = Scene(tmp_path, retry_s=0.05)
    async with scene.recorder.writing():
        scene.serve()
        await scene.refused()
        scene.serve()
        await scene.refused()
        # There is room again, and it is another file: as if the disk had been cleared.
        (tmp_path / "j").unlink()
        scene.parts._open()
        scene.serve()
    assert caplog.text.count("is not complete") == 1
    assert "No space left on device" in caplog.text
    replayed = replay(scene.path)
    assert (replayed.difference, replayed.first.missed + replayed.events) == (None, 7)


async def test_what_a_full_disk_takes_of_a_line_is_taken_back(tmp_path: Path) -> None:
    import resource

    scene = Scene(tmp_path, retry_s=0.01)
    async with scene.recorder.writing():
        scene.serve()
        await until(lambda: scene.path.stat().st_size)
        whole = scene.path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, hard))
        try:
            scene.serve()
            await scene.refused()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert scene.path.read_bytes() == whole
    assert replay(scene.path).missed == 2


async def test_a_mistake_in_writing_ends_the_journal_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("trio_swap").propagate = True
    scene = Scene(tmp_path)
    async with scene.recorder.writing():
        scene.serve()
        scene.recorder.note(object(), [object()], 9.0)  # type: ignore[arg-type, list-item]
        await until(lambda: "ends here" in caplog.text)
        scene.serve()
    assert "ends here, please report this" in caplog.text
    assert not scene.recorder._pending


async def test_the_event_that_broke_the_scheduler_is_written_and_breaks_it_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    served = ev.TicketServed(ticket=TicketId(1))
    async with scene.recorder.writing():
        scene.feed(ev.TicketArrived(ticket=TicketId(1), model=A))
        with pytest.raises(CoreError) as caught:
            scene.core.handle(served, 5.0)
        scene.recorder.note_collapse(served, caught.value, 5.0)
    replayed = replay(scene.path)
    assert replayed.difference is None
    assert replayed.broke == str(caught.value)


# Bad files


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Three requests: an opening and seven events."""
    scene = Scene(tmp_path)
    for _ in range(3):
        scene.serve()
    trio.run(scene.recorder._write_pending)
    scene.parts.close()
    return scene.path


def test_a_last_line_that_was_cut_off_is_left_out_and_told_of(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-5])
    replayed = replay(journal)
    assert (replayed.events, replayed.difference) == (6, None)
    assert str(replayed.torn) == f"{journal}:8"


def test_any_other_line_that_cannot_be_read_ends_it_with_its_place(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b'{"at": 1\n', *lines[4:]]))
    with pytest.raises(JournalError, match=r"j:4: this is not a line of JSON: .*; take this line"):
        replay(journal)


def test_an_effect_that_is_not_decided_again_is_the_first_difference(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'{"GrantSeat":{"ticket":1', b'{"GrantSeat":{"ticket":2')
    journal.write_bytes(b"".join(lines))
    found = replay(journal).difference
    assert found is not None
    assert str(found.place) == f"{journal}:3"
    assert found.what == "ServerReady(group='default')"
    assert "GrantSeat(ticket=2" in found.recorded[-1]
    assert "GrantSeat(ticket=1" in found.replayed[-1]


def test_whatever_is_made_of_a_journal_is_played_or_refused_in_words(journal: Path) -> None:
    whole, rng = journal.read_bytes(), Random(1)
    outcomes = set()
    for _ in range(400):
        changed = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3])):
            place = rng.randrange(len(changed))
            match rng.randrange(4):
                case 0:
                    changed[place] = rng.choice(b'0123456789"{}[],:alnul\n-e.')
                case 1:
                    del changed[place : place + rng.randrange(30)]
                case 2:
                    changed[place:place] = changed[place : place + 30]
                case 3:
                    lines = bytes(changed).splitlines(keepends=True)
                    rng.shuffle(lines)
                    changed = bytearray(b"".join(lines))
        journal.write_bytes(changed)
        try:
            outcomes.add("as it was" if replay(journal).difference is None else "otherwise")
        except JournalError as error:
            outcomes.add("refused" if str(error).startswith(str(journal)) else str(error))
    assert outcomes == {"as it was", "otherwise", "refused"}


def test_records_that_do_not_belong_together_are_refused(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b'"waiting":[]', b'"waiting":["a"]', 1))
    with pytest.raises(JournalError, match=r"j:1: the records do not belong together .*: was the file edited\?"):
        replay(journal)


def test_a_file_without_its_beginning_says_so(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[1:]))
    with pytest.raises(JournalError, match="the beginning of this is missing"):
        replay(journal)


def test_a_state_that_does_not_fit_what_came_before_is_a_difference(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_bytes=1000)
    scene.serve_in_turns(2)
    assert replay(scene.path).difference is None
    scene.path.write_bytes(scene.path.read_bytes().replace(b'"arrivals":21', b'"arrivals":22', 1))
    found = replay(scene.path).difference
    assert found is not None
    assert found.what == "the state at the beginning of a file"
