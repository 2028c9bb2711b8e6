"""A model server that does as little as one can: it starts in milliseconds, answers from memory, dies when told.

Run with `python -I -S`, which skips what an interpreter otherwise looks for:
`quick_server.py --port PORT --load SECONDS --stop SECONDS`. One thread, one poll. Every path is answered alike. A body
with `"stream": true` gets one event at once and more a moment later, one with `"hold"` no answer at all.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import time

ID = b'{"id":"1","object":"chat.completion","model":"quick","choices":[{"index":0,'
BODY = ID + b'"message":{"role":"assistant","content":"ok"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
EVENT = b"data: " + ID + b'"delta":{"content":"word "}}]}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
FIRST = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNK
REST = CHUNK * 20 + b"0\r\n\r\n"
PAUSE_S = 0.01
"""Between the first event and the rest: whoever gathers events before passing them on is found out."""


def main() -> None:
    words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    load_s, stop_s = float(words["--load"]), float(words["--stop"])
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(stop_s), sys.exit(0)))
    time.sleep(load_s)
    listener = socket.create_server(("127.0.0.1", int(words["--port"])), backlog=1024)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    clients: dict[int, tuple[socket.socket, bytearray]] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client = listener.accept()[0]
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client, bytearray()
                poll.register(client, select.POLLIN)
            elif not serve(*clients[number]):
                poll.unregister(number)
                clients.pop(number)[0].close()


def serve(client: socket.socket, unread: bytearray) -> bool:
    """Read, and answer a request that is there whole; whether the client is still there."""
    try:
        data = client.recv(65536)
        unread += data
        body = taken_from(unread)
        if body is not None and b'"hold"' not in body:
            if b'"stream": true' in body:
                client.sendall(FIRST)
                time.sleep(PAUSE_S)
                client.sendall(REST)
            else:
                client.sendall(ANSWER)
    except OSError:
        return False
    return bool(data)


def taken_from(unread: bytearray) -> bytes | None:
    """The body of the first request, which is taken out; None while it is not there whole."""
    end = unread.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(unread[:end]).lower()
    _, _, after = head.partition(b"content-length:")
    whole = end + 4 + int(after.split(b"\r\n", 1)[0] or 0)
    if len(unread) < whole:
        return None
    body = bytes(unread[end + 4 : whole])
    del unread[:whole]
    return body


if __name__ == "__main__":
    main()
