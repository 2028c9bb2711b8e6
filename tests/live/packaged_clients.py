"""The client packages that people really use, as the tests want them: no environment, no retries, no hurry."""

from __future__ import annotations

import anthropic
import openai

from .proxy_process import ANSWERED_WITHIN_S


def of_openai(url: str, *, key: str = "any", retries: int = 0) -> openai.AsyncOpenAI:
    """OpenAI's client of whoever answers at `url`."""
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1",
        api_key=key,
        max_retries=retries,
        timeout=ANSWERED_WITHIN_S,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    )


def of_anthropic(url: str, *, key: str = "any") -> anthropic.AsyncAnthropic:
    """Anthropic's client of whoever answers at `url`."""
    return anthropic.AsyncAnthropic(
        base_url=url,
        api_key=key,
        max_retries=0,
        timeout=ANSWERED_WITHIN_S,
        http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False),
    )
