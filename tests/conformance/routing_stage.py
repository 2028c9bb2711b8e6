"""A proxy in virtual time with everything that routes: what llama-swap's users have, said in our words.

Models `small` and `large` displace each other; `both-a` and `both-b` may be loaded together; `far` is a peer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from proxy.asgi import Receive, Scope, Send
from proxy.config.routing import PeerConfig, ProfileConfig, SelectorConfig
from tests.memory_network import answer, read_body
from tests.proxy.fake_fleet import PROXY_PORT, Behaviour, Stage, stage, table
from tests.proxy.routed import routed

CHAT = "/v1/chat/completions"
FAR_PORT = 700
FAR = f"http://far.example:{FAR_PORT}"
MODELS = ("small", "large", "both-a", "both-b")
TOGETHER = '[groups.both]\nmembers = ["both-a", "both-b"]\nswap = false\n'


class Routing:
    """The proxy, a client of it, and the last request that each side saw."""

    def __init__(self, scene: Stage, client: httpx.AsyncClient) -> None:
        self.scene = scene
        self.client = client
        self.far_head: dict[bytes, bytes] = {}
        self.far_path = b""
        self.far_body = b""
        self.far_service_s = 0.0

    async def far(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the peer does."""
        self.far_head, self.far_path = dict(scope["headers"]), scope["raw_path"]
        self.far_body = await read_body(receive)
        await trio.sleep(self.far_service_s)
        await answer(send, b"far")

    async def ask(self, model: str, **more: object) -> str:
        """Ask, and return who answered, or the code of the error."""
        return said(await self.post(model, **more))

    async def post(self, model: str, **more: object) -> httpx.Response:
        """Ask on a connection of its own."""
        async with self.scene.network.client(PROXY_PORT) as client:
            return await client.post(CHAT, json={"model": model, **more})

    @property
    def sent(self) -> bytes:
        """The last body that a server of ours got."""
        return self.scene.fleet.last_body


def said(response: httpx.Response) -> str:
    if response.status_code == httpx.codes.OK:
        return response.text
    code: str = response.json()["error"]["code"]
    return code


@asynccontextmanager
async def routing(
    folder: Path, *parts: SelectorConfig | PeerConfig | ProfileConfig, load_s: float = 1.0, **models: dict[str, Any]
) -> AsyncIterator[Routing]:
    """Serve these until the block ends."""
    behaviours = {name: Behaviour(load_s=load_s, service_s=0.0, stop_s=0.5) for name in MODELS}
    change = routed(*parts, **models)
    tables = "".join(table(name) for name in MODELS)
    async with stage(folder, tables, behaviours, TOGETHER, change=change) as scene, trio.open_nursery() as nursery:
        async with scene.network.client(PROXY_PORT) as client:
            it = Routing(scene, client)
            await scene.network.serve(FAR_PORT, it.far)
            yield it
        nursery.cancel_scope.cancel()
