"""What is said of bytes that are not proper HTTP: to a client about its request, to everybody about a server's answer.

h11 decides; its words are made whole sentences here, and errors for clients are JSON as all others are.
"""

from __future__ import annotations

import re
from typing import Final

import h11
import msgspec

_KIB: Final = 1024
_BYTES: Final = re.compile(r"""bytearray\(b(['"].*['"])\)""")
_CODES: Final = {431: "headers_too_large", 501: "not_implemented", 505: "not_implemented"}
_SERVER_ERROR: Final = 500
_HUNG_UP: Final = ("peer closed", "peer unexpectedly closed", "Server disconnected")


def objection(request: h11.Request) -> tuple[int, str] | None:
    """Return status and message for a request that h11 takes and nobody should; None: it is fine."""
    if not request.http_version.startswith(b"1."):
        return 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        # Proxies in front may read its end elsewhere (RFC 9112, 6.1 and 11.2): what follows would not be the client's.
        other = "Content-Length" if b"content-length" in names else "HTTP/1.0"
        return 400, f"Transfer-Encoding together with {other} leaves the end of the body open; send one of them"
    return None


def of_request(error: h11.RemoteProtocolError, head_limit_bytes: int) -> tuple[int, str]:
    """Return status and message for a request that h11 refuses."""
    status, words = error.error_status_hint, _plain(error)
    match status:
        case 431:
            limit = f"{head_limit_bytes // _KIB} KiB"
            return status, f"the request's line and headers are larger than {limit}; send fewer or shorter ones"
        case 501:
            return status, f"{words}; send the body with it, or with Content-Length"
        case _:
            return status, f"this is not a proper HTTP/1.1 request: {words}"


def of_answer(error: BaseException, head_limit_bytes: int) -> str:
    """Return what is wrong with a server's answer, as a clause that can follow its name."""
    words = _plain(error)
    if words.startswith(_HUNG_UP):
        return f"broke off: {words[:1].lower()}{words[1:].rstrip('.')}"
    if words == "Receive buffer too long":
        return f"answered with headers, or a line of them, of more than {head_limit_bytes // _KIB} KiB"
    return f"answered with what is not HTTP/1.1 ({words}); does `proxy` name the right port and scheme?"


def as_json(status: int, message: str) -> bytes:
    """Return the body of an error as `replies` writes them, in both dialects at once: the path may not be known."""
    kind = "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": _CODES.get(status, "invalid_request")}
    return msgspec.json.encode({"type": "error", "error": error})


def _plain(error: BaseException) -> str:
    return _BYTES.sub(r"\1", str(error))
