"""A llama-swap file with every key in it, served as it is, and as the TOML file that it was imported to."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from proxy.cli import main
from tests.proxy.test_import import ENVIRONMENT, EVERY_KEY

from .proxy_process import ProxyProcess, serve_command, serving

KEY = {"authorization": f"Bearer {ENVIRONMENT['SWAP_KEY']}"}


@pytest.mark.parametrize("kind", ["yaml", "toml"])
async def test_a_file_with_every_key_is_served(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    file = EVERY_KEY
    if kind == "toml":
        file = tmp_path / "config.toml"
        assert await trio.to_thread.run_sync(main, ["import", str(EVERY_KEY), "-o", str(file)]) == 0
    async with serving([*serve_command(file), "--listen", "127.0.0.1:0"]) as proxy, proxy.client() as client:
        client.headers.update(KEY)
        await _is_what_the_file_says(client, proxy)


async def _is_what_the_file_says(client: httpx.AsyncClient, proxy: ProxyProcess) -> None:
    assert (await client.get("/v1/models", headers={"authorization": "Bearer wrong"})).status_code == 401
    listed = {entry["id"]: entry for entry in (await client.get("/v1/models")).json()["data"]}
    assert {"chat", "large", "any", "far/remote"} <= set(listed)
    assert "embed" not in listed
    assert listed["chat"]["name"] == "Chat"

    async def ask(model: str) -> dict[str, object]:
        response = await client.post(
            "/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "hi"}]}
        )
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer

    for name in ("chat", "gpt-4o", "chat:high"):
        assert (await ask(name))["model"] in {"chat", "org/chat"}
    assert proxy.loads.count("chat") == 1
    assert "chat" in str((await ask("any"))["model"])  # the one that is loaded
    await ask("embed")
    assert {each["model"] for each in (await client.get("/running")).json()["running"]} == {"chat", "embed"}
    assert (await client.put("/api/profiles/active", json={"name": "night"})).status_code == 200
    assert "chat" in str((await ask("large"))["model"])
    assert (await client.post("/v1/chat/completions", json={"model": "big"})).status_code == 404
    assert (await client.put("/api/profiles/active", json={"name": None})).status_code == 200
    await ask("large")
    assert {each["model"] for each in (await client.get("/running")).json()["running"]} == {"large"}
