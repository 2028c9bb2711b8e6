"""What clients ask for and how: bodies, names, paths, keys. Every mistake is an answer that says what to do."""

from __future__ import annotations

import base64
import codecs
import json
from pathlib import Path

import httpx
import pytest
from trio.testing import MockClock

from .fake_fleet import PROXY_PORT, Behaviour, Stage, stage, table

PLAYED = {"coder": Behaviour(load_s=0, service_s=0), "org/m:7b": Behaviour(load_s=0, service_s=0)}
MODELS = table("coder", "aliases = ['gpt-4o']") + table('"org/m:7b"')
CHAT = "/v1/chat/completions"
DEEP = 100_000
TOO_DEEP = "the body is nested too deeply to be read; send it with fewer levels"
HALF = "half a character (a lone surrogate) in a string: "


def error_of(response: httpx.Response) -> dict[str, object]:
    error: dict[str, object] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def post(scene: Stage, body: bytes, path: str = CHAT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with scene.network.client(PROXY_PORT) as client:
        return await client.post(path, content=body, headers=named)


NAMELESS = [
    (b"", None, "the body is not JSON: it is empty"),
    (b" \n", None, "the body is not JSON: it is empty"),
    (b"model=coder", None, "invalid character (byte 0), near 'model=coder'"),
    (b"{'model': 'coder'}", None, "object keys must be strings (byte 1), near \"{'model': 'co"),
    (b'{"model": "coder",}', None, 'trailing comma in object (byte 18), near \'l": "coder",}\''),
    (b'{"model": "coder"', None, "the body is not JSON: it ends too early"),
    (b'{"model": "coder"} {}', None, "trailing characters (byte 20), near"),
    (b'{"model": "coder", "top_p": NaN}', None, "invalid character (byte 28), near"),
    (codecs.BOM_UTF8 + b'{"model": "coder"}', None, "it begins with a byte order mark; leave that out"),
    ('{"model": "coder"}'.encode("utf-16"), None, "it is UTF-16; send UTF-8"),
    ('{"model": "coder"}'.encode("utf-16-le"), None, "it is UTF-16; send UTF-8"),
    (b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ncoder', None, "it is a form (multipart); a model"),
    (b'{"model": "\xff"}', None, "a string in it is not UTF-8"),
    (rb'{"model": "\ud800"}', None, HALF + r"\ud800"),
    (rb'{"model": "coder", "text": "cut \ud83d"}', None, HALF + r"\ud83d"),
    (rb'{"model": "coder", "text": "cut \ude00 off"}', None, HALF + r"\ude00"),
    (b"[1]", None, 'the body is not a JSON object; send one such as {"model": "coder", ...}'),
    (b'"coder"', None, "the body is not a JSON object"),
    (b"{}", "model", '/v1/chat/completions needs a model: name one in the body, such as {"model": "coder", ...}'),
    (b'{"model": 7}', "model", 'model is not a string; name one as in {"model": "coder", ...}'),
    (b'{"model": null}', "model", "model is not a string"),
    (b'{"model": 1e400}', "model", "model is not a string"),
    (b'{"model": ["coder"]}', "model", "model is not a string"),
    (b'{"model": "coder", "x": ' + b"[" * DEEP + b"]" * DEEP + b"}", None, TOO_DEEP),
    (b'{"model": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", None, TOO_DEEP),
]


async def test_a_body_that_names_no_model_is_told_what_is_wrong_with_it(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path, MODELS, PLAYED) as scene:
        for body, param, says in NAMELESS:
            for path in (CHAT, "/v1/messages"):
                response = await post(scene, body, path)
                error = error_of(response)
                assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
                assert says.replace(CHAT, path) in str(error["message"])
                assert response.json().get("type") == ("error" if path == "/v1/messages" else None)
        assert scene.fleet.loads == []
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "nobody", "model": "coder"}',
        rb'{"model": "nobody", "mod\u0065l": "coder"}',
        b'{"model": "coder", "metadata": {"model": "nobody"}}',
        b'{"model": "gpt-4o", "text": "\xff"}',
        rb'{"model": "coder", "text": "whole \ud83d\ude00"}',
        b'\n {"text": 1e999, "model": "coder"} \n',
    ],
    ids=["twice", "twice, once in disguise", "another below", "text that is not UTF-8", "a pair", "blanks around"],
)
async def test_the_model_is_what_the_servers_parsers_take_it_for(
    tmp_path: Path, autojump_clock: MockClock, body: bytes
) -> None:
    """Of several `model` keys the last counts, as for the parsers of Python, llama.cpp and Go."""
    async with stage(tmp_path, MODELS, PLAYED) as scene:
        response = await post(scene, body)
        assert (response.status_code, response.content) == (200, b"coder")
    model = json.loads(body.decode(errors="replace"))["model"]
    assert {"gpt-4o": "coder"}.get(model, model) == "coder"


async def test_a_name_as_long_as_a_body_is_neither_compared_nor_said_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with stage(tmp_path, MODELS, PLAYED) as scene:
        response = await post(scene, b'{"model": "%s"}' % (b"x" * 10_000_000))
        assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
        assert len(response.content) < 500


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/", "there is nothing at /; models are asked below /v1/, and listed at /v1/models"),
        ("/chat/completions", "did you mean /v1/chat/completions? The base URL must end with /v1"),
        ("/v1/v1/messages", "this client adds /v1 itself, leave it out of the base URL"),
        ("/v2/chat/completions", "models are asked below /v1/"),
        ("/" + "x" * 5000, "models are asked below /v1/"),
    ],
)
async def test_a_path_that_leads_nowhere_says_where_to_go(
    tmp_path: Path, autojump_clock: MockClock, path: str, says: str
) -> None:
    async with stage(tmp_path, MODELS, PLAYED) as scene:
        response = await post(scene, b'{"model": "coder"}', path)
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")
        assert says in str(error_of(response)["message"])
        assert len(response.content) < 500
        assert scene.fleet.loads == []


async def test_an_id_with_slashes_is_asked_for_shown_and_unloaded(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with stage(tmp_path, MODELS, PLAYED) as scene, scene.network.client(PROXY_PORT) as client:
        assert (await scene.ask("org/m:7b")).content == b"org/m:7b"
        for path in ("org/m:7b", "org%2Fm:7b", "org%2fm%3A7b"):
            assert (await client.get(f"/v1/models/{path}")).json()["id"] == "org/m:7b"
            assert (await client.post(f"/api/models/unload/{path}")).json() == {"msg": "ok"}
        assert scene.fleet.alive == {}


BASIC = base64.b64encode


@pytest.mark.parametrize(
    "header",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "right"},
        {"authorization": "Basic " + BASIC(b"user:wrong").decode()},
        {"authorization": "Basic " + BASIC(b"right").decode()},
        {"authorization": "Basic this is not base64"},
        {"authorization": "Digest right"},
        {"x-api-key": "wrong"},
        {"x-api-key": "right "[:-2]},
        {},
    ],
)
async def test_a_wrong_key_is_refused_however_it_is_sent(
    tmp_path: Path, autojump_clock: MockClock, header: dict[str, str]
) -> None:
    rest = 'server.api_keys = ["right"]'
    async with stage(tmp_path, "", PLAYED, rest + "\n" + MODELS) as scene:
        async with scene.network.client(PROXY_PORT) as client:
            for path in ("/v1/models", "/running", "/nowhere"):
                response = await client.get(path, headers=header)
                assert (response.status_code, error_of(response)["code"]) == (401, "unauthorized")
                assert response.headers["www-authenticate"].startswith("Bearer")
        assert (await post(scene, b'{"model": "coder"}', CHAT, **header)).status_code == 401
        assert scene.fleet.loads == []


@pytest.mark.parametrize(
    "header",
    [
        {"authorization": "Bearer right"},
        {"authorization": "bearer  right"},
        {"authorization": "Basic " + BASIC(b"whoever:right").decode()},
        {"x-api-key": "right"},
    ],
)
async def test_the_right_key_is_taken_however_it_is_sent(
    tmp_path: Path, autojump_clock: MockClock, header: dict[str, str]
) -> None:
    rest = 'server.api_keys = ["right"]'
    async with stage(tmp_path, "", PLAYED, rest + "\n" + MODELS) as scene:
        assert (await post(scene, b'{"model": "coder"}', CHAT, **header)).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate, gzip", "br"])
async def test_an_encoded_body_is_refused_as_its_model_cannot_be_read(
    tmp_path: Path, autojump_clock: MockClock, coding: str
) -> None:
    async with stage(tmp_path, MODELS, PLAYED) as scene:
        response = await post(scene, b"\x1f\x8b", content_encoding=coding)
        error = error_of(response)
        assert (response.status_code, error["code"]) == (400, "invalid_request")
        assert error["message"] == (
            f"the body is encoded ({coding}); send it as it is, the model's name must be read from it"
        )
        assert (await post(scene, b'{"model": "coder"}', content_encoding="identity")).status_code == 200
