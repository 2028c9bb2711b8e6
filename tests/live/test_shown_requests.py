"""The requests that the first pages show, sent to a proxy with the configuration that they are about."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import httpx
import pytest
import trio

from tests.test_docs import BLOCKS, ROOT, Block

from .proxy_process import running_proxy, until_waiting

SHOWN = [block for block in BLOCKS if block.page.name in {"README.md", "index.md"} and "curl " in block.text]


def config() -> str:
    """The root's configuration, with models that take less time over everything."""
    text = (ROOT / "config.toml").read_text()
    quick = text.replace("--load 2 --service 0.2 --tokens-per-second 40", "--load 0.1 --service 0.1")
    assert quick.count("--load 0.1") == 3
    return quick


def request_of(words: list[str]) -> tuple[str, str, str | None]:
    """Method, path and body of what `curl` is told; what it is told in other words is an error here."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-d")
    parser.add_argument("-X")
    said = parser.parse_args(words)
    url = httpx.URL(said.url)
    assert (url.host, url.port) == ("127.0.0.1", 8080)
    return said.X or ("GET" if said.d is None else "POST"), url.path, said.d


async def send(client: httpx.AsyncClient, line: str) -> str:
    method, path, body = request_of(shlex.split(line)[1:])
    response = await client.request(method, path, content=body)
    assert response.status_code == httpx.codes.OK, f"{line}\n{response.text}"
    return response.text


def test_there_are_pages_that_show_requests() -> None:
    assert {block.page.name for block in SHOWN} == {"README.md", "index.md"}


@pytest.mark.parametrize("block", SHOWN, ids=str)
async def test_what_a_page_asks_for_is_answered(block: Block, tmp_path: Path) -> None:
    async with running_proxy(tmp_path, config()) as proxy, proxy.client() as client, trio.open_nursery() as nursery:
        if "&\n" in block.text:
            # It goes on from the block before: somebody has just been served.
            await client.post(
                "/v1/chat/completions", json={"model": "coder", "messages": [{"role": "user", "content": "x"}]}
            )
        for line in re.findall(r"^(?:\$ )?(curl .*)$", block.text, re.MULTILINE):
            if line.endswith(" &"):
                nursery.start_soon(send, client, line.removesuffix(" &"))
                await until_waiting(client, 1)
            else:
                said = await send(client, line)
                for shown in re.findall(r'"content": "(This is [^"]+)"', block.text):
                    assert shown in said or "/api/queue" in line
