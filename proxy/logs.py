"""Log lines: for people or for machines, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

ROOT: Final = "trio_swap"
"""The parent of every logger of the proxy."""


def configure(level: str, form: str) -> None:
    """Send what is logged from now on to standard error.

    Args:
        level: `debug` (with the output of the servers), `info`, `warning` or `error`.
        form: `text`, or `json` for one object a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


class _Text(logging.Formatter):
    """`20:15:03.123 INFO  scheduling  text`."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = _with_traceback(self, record)
        return f"{clock}.{record.msecs:03.0f} {record.levelname:<7} {_subject(record)}: {text}"


class _Json(logging.Formatter):
    """One object a line: time (seconds since 1970), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        text = _with_traceback(self, record)
        level = record.levelname.lower()
        return json.dumps({"time": record.created, "level": level, "logger": _subject(record), "message": text})


def _subject(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{ROOT}.")


def _with_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.getMessage()
    return text if record.exc_info is None else f"{text}\n{formatter.formatException(record.exc_info)}"
