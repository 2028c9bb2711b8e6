"""Models that a real server cannot load: its client is told why in the server's own words."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from tests.live.proxy_process import ask, error_of, running_proxy, try_chat

from .shelf import file_of, real, said_by


@pytest.fixture
def own_shelf(tmp_path: Path) -> Path:
    """An empty folder for models."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


async def test_a_missing_file_is_503_and_a_pause_until_it_is_there(
    shelf: Path, own_shelf: Path, tmp_path: Path
) -> None:
    """R73."""
    async with running_proxy(tmp_path, real(own_shelf, "ann")) as proxy, proxy.client() as client:
        for _ in range(2):
            response = await try_chat(client, "ann")
            error = error_of(response)
            assert (response.status_code, error["code"]) == (503, "load_failed")
            assert (
                f"failed to open GGUF file '{file_of(own_shelf, 'ann')}' (No such file or directory)"
                in error["message"]
            )
        response = await try_chat(client, "ann")
        assert (response.status_code, error_of(response)["code"]) == (503, "paused")
        assert "No such file or directory" in error_of(response)["message"]
        assert proxy.loads == ["ann", "ann"]

        file_of(own_shelf, "ann").symlink_to(file_of(shelf, "ann"))
        await trio.sleep(int(response.headers["retry-after"]))  # what is promised, not a guess
        assert await ask(client, "ann") == said_by("ann")


async def test_half_a_file_is_503_and_none_of_another_models_business(
    shelf: Path, own_shelf: Path, tmp_path: Path
) -> None:
    whole = file_of(shelf, "ann").read_bytes()
    file_of(own_shelf, "ann").write_bytes(whole[: len(whole) // 2])
    models = real(own_shelf, "ann") + real(shelf, "ben")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "ann", stream=True)
        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "model is corrupted or incomplete" in error_of(response)["message"]
        assert await ask(client, "ben") == said_by("ben")
        assert proxy.loads == ["ann", "ben"]
