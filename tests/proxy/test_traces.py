"""Traces: lines of JSON that are played, and what is said about lines that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.simulating.traces import TraceError, parse_trace, read_trace
from states.core import Core
from states.settings import ModelId, ModelSettings, Settings
from states.simulation import Record, Servers, Simulation

MODELS = {"coder": ModelId("coder"), "gpt": ModelId("coder"), "explorer": ModelId("explorer")}


def played(*lines: str) -> Record:
    trace = parse_trace(lines, "trace", MODELS.get)
    models = dict.fromkeys(MODELS.values(), ModelSettings())
    return Simulation(Core(Settings(models=models)), Servers()).run(trace.clients())


def test_requests_come_at_their_time_in_whatever_order_they_are_written() -> None:
    record = played(
        '{"arrival": 5, "model": "coder", "service": 2.5}', "", '{"arrival": 0.5, "model": "explorer"}', "  "
    )
    assert [(each.arrived_at, each.model, each.service_s) for each in record.requests] == [
        (0.5, "explorer", 4.0), (5.0, "coder", 2.5),
    ]  # fmt: skip


def test_a_session_goes_on_so_long_after_each_answer() -> None:
    record = played(
        '{"arrival": 1, "model": "coder", "service": 2, "session": "s"}',
        '{"gap": 0.5, "model": "gpt", "service": 1, "session": "s"}',
        '{"gap": 0, "model": "coder", "service": 1, "session": "s"}',
    )
    # loaded at 11, answered at 13, 14.5
    assert [each.arrived_at for each in record.requests] == [1.0, 13.5, 14.5]
    assert {each.client for each in record.requests} == {"s"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "trace:2: not JSON"),
        ("[1]", "trace:2: expected an object such as"),
        ('{"arival": 1, "model": "coder"}', "trace:2: arival: there is no such key: expected arrival, model"),
        ('{"arrival": 1}', "trace:2: model: missing"),
        ('{"arrival": 1, "model": 3}', "trace:2: model: expected a text"),
        ('{"arrival": 1, "model": "x"}', "trace:2: model: the configuration has no model 'x'"),
        ('{"model": "coder"}', "trace:2: arrival: missing: seconds since the trace began"),
        ('{"arrival": -1, "model": "coder"}', "trace:2: arrival: expected seconds, at least 0, not -1"),
        ('{"arrival": true, "model": "coder"}', "trace:2: arrival: expected seconds"),
        ('{"arrival": 1, "model": "coder", "service": "2"}', "trace:2: service: expected seconds"),
        ('{"arrival": 1, "gap": 1, "model": "coder"}', "trace:2: gap: only requests of a session follow another"),
        ('{"gap": 1, "model": "coder", "session": "t"}', "trace:2: arrival: session 't' begins here"),
        ('{"arrival": 1, "model": "coder", "session": "s"}', "trace:2: arrival: session 's' goes on here"),
        ('{"model": "coder", "session": "s"}', "trace:2: gap: session 's' goes on here: expected a gap"),
    ],
)
def test_a_line_that_cannot_be_played_is_named(line: str, complaint: str) -> None:
    first = '{"arrival": 0, "model": "coder", "session": "s"}'
    with pytest.raises(TraceError) as caught:
        parse_trace([first, line], "trace", MODELS.get)
    assert str(caught.value).startswith(complaint)


def test_a_trace_without_requests_is_wrong() -> None:
    with pytest.raises(TraceError, match="trace: no request in it"):
        parse_trace(["", " "], "trace", MODELS.get)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        read_trace(tmp_path / "none.jsonl", MODELS.get)
    file = tmp_path / "trace.jsonl"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TraceError, match=r"trace\.jsonl: not a text in UTF-8"):
        read_trace(file, MODELS.get)
