"""Requests to the service."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from ._flush import Flush


@dataclass(frozen=True)
class Target:
    """The address of a service, with its base path if it has one, and a token of the role `dp`."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    status: int
    retry_after: str | None
    body: str


# The most that is read of an answer: answers to flushes are short.
_MAX_ANSWER_BYTES = 65_536


def url_of(target: Target, path: str) -> str:
    return f"{target.url.rstrip('/')}{path}"


async def post(http: httpx.AsyncClient, target: Target, flush: Flush, body: str) -> Answer:
    """Posts a flush. Raises if there is no complete answer. Whoever calls it limits its time."""
    headers = {
        "authorization": f"Bearer {target.token}",
        "content-type": "application/json",
        "idempotency-key": flush["key"],
    }
    if flush["sequence"] is not None:
        headers["tallybook-sequence"] = flush["sequence"]
    url = url_of(target, flush["path"])
    async with http.stream("POST", url, headers=headers, content=body.encode()) as response:
        return Answer(
            response.status_code, response.headers.get("retry-after"), await _read_text(response)
        )


async def _read_text(response: httpx.Response) -> str:
    """Reads the beginning of a body; raises if the connection ends before the body does."""
    text = bytearray()
    async for chunk in response.aiter_bytes():
        text += chunk
        if len(text) > _MAX_ANSWER_BYTES:
            break
    return text.decode(errors="replace")
