"""What clients are told: one table from errors and refusals to status and body, and the few ways to send an answer.

Errors are `{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients read them; on Anthropic's paths
`"type": "error"` stands beside it, as Anthropic's clients want.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Final

import msgspec

from states.effects import Refusal, RefusalCode

from .asgi import Scope, Send

_STATUS: Final = {
    RefusalCode.QUEUE_FULL: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalCode.UNLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.LOAD_FAILED: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.LOAD_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    RefusalCode.SERVER_DIED: HTTPStatus.BAD_GATEWAY,
    RefusalCode.PAUSED: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.SHUTTING_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Exception):  # noqa: N818 - it becomes an answer
    """Why a request is not served."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, path: str) -> dict[str, object]:
        """The error as JSON values, in the dialect of the path that was asked for."""
        kind = "server_error" if self.status >= _SERVER_ERROR else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"type": "error", "error": error} if path.startswith("/v1/messages") else {"error": error}


def invalid(message: str, param: str | None = None) -> Problem:
    """What a client hears whose request has a mistake."""
    return Problem(status=HTTPStatus.BAD_REQUEST, code="invalid_request", message=message, param=param)


def problem_of(refusal: Refusal) -> Problem:
    """What a refusal by the core is for a client."""
    return Problem(
        status=_STATUS[refusal.code],
        code=refusal.code.value,
        message=refusal.message,
        retry_after_s=refusal.retry_after_s,
    )


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """Answer with an error."""
    headers = list(problem.headers)
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(problem.retry_after_s))))
    await send_json(scope, send, problem.body(scope["path"]), status=problem.status, headers=headers)


async def send_json(
    scope: Scope, send: Send, content: object, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with JSON; without a body to HEAD."""
    body = msgspec.json.encode(content)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": int(status), "headers": head})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})
