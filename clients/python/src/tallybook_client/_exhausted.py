"""The token keys whose quota is exhausted, as the service reports them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable

import httpx

from ._http import Target, url_of
from ._outcome import Backoff, delay

# The service sends a comment every 15 s; a connection without any for this long is dead.
_SILENCE = 60.0


class ExhaustedFeed:
    def __init__(
        self,
        http: httpx.AsyncClient,
        target: Target,
        backoff: Backoff,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._http = http
        self._target = target
        self._backoff = backoff
        self._on_error = on_error
        self._hashes: set[str] = set()
        self._failures = 0

    def has(self, token_hash: str) -> bool:
        """False for every key until the first list has arrived."""
        return token_hash in self._hashes

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception as error:
                self._on_error(error)
            await asyncio.sleep(delay(self._failures, random.random(), 0, self._backoff))
            self._failures += 1

    async def _follow(self) -> None:
        """Follows one connection to its end. The set stays as it is until the list is complete."""
        headers = {
            "authorization": f"Bearer {self._target.token}",
            "accept": "text/event-stream",
        }
        url = url_of(self._target, "/internal/quota/exhausted")
        async with self._http.stream("GET", url, headers=headers, timeout=_SILENCE) as response:
            if response.status_code != 200:
                status = response.status_code
                raise RuntimeError(f"The list of exhausted quotas was answered {status}.")
            following: set[str] = set()
            rest = b""
            async for chunk in response.aiter_bytes():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    if apply(following, block.decode()):
                        self._hashes = following
                        self._failures = 0


def apply(hashes: set[str], block: str) -> bool:
    """Applies a server-sent event to a set; True if it says that the list is complete."""
    fields = dict(line.split(":", 1) for line in block.split("\n") if ":" in line)
    event = fields.get("event", "").strip()
    if event == "listed":
        return True
    if event not in ("exhausted", "available") or "data" not in fields:
        return False
    token_hash = json.loads(fields["data"])["token_hash"]
    if event == "exhausted":
        hashes.add(token_hash)
    else:
        hashes.discard(token_hash)
    return False
