"""The client packages that people really use, as the tests want them: no environment, no retries, no hurry."""

from __future__ import annotations

import ssl

import anthropic
import openai
import pytest

from .proxy_process import ANSWERED_WITHIN_S

leaves_generators = pytest.mark.filterwarnings(
    # Neither client closes the generators that its streams are made of.
    r"ignore:Async generator '\S+' was garbage collected before it had been exhausted:ResourceWarning"
)

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks it, and reading everybody's certificates takes longer than most tests."""


def of_openai(url: str, *, key: str = "any", retries: int = 0) -> openai.AsyncOpenAI:
    """OpenAI's client of whoever answers at `url`."""
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1",
        api_key=key,
        max_retries=retries,
        timeout=ANSWERED_WITHIN_S,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False, verify=_NO_TLS),
    )


def of_anthropic(url: str, *, key: str = "any") -> anthropic.AsyncAnthropic:
    """Anthropic's client of whoever answers at `url`."""
    return anthropic.AsyncAnthropic(
        base_url=url,
        api_key=key,
        max_retries=0,
        timeout=ANSWERED_WITHIN_S,
        http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False, verify=_NO_TLS),
    )
