"""A second service that gets each flush once. Its answers and failures never matter."""

from __future__ import annotations

import asyncio
import contextlib

import httpx

from ._flush import Flush
from ._http import Target, post

_MAX_IN_FLIGHT = 4


class Shadow:
    def __init__(self, http: httpx.AsyncClient, target: Target, timeout: float) -> None:
        self._http = http
        self._target = target
        self._timeout = timeout
        self._in_flight: set[asyncio.Task[None]] = set()

    def post(self, flush: Flush) -> None:
        """Posts a flush, or skips it if too many are in progress. Never raises."""
        if len(self._in_flight) >= _MAX_IN_FLIGHT:
            return
        task = asyncio.get_running_loop().create_task(self._post(flush))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def stop(self) -> None:
        tasks = list(self._in_flight)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _post(self, flush: Flush) -> None:
        with contextlib.suppress(Exception):
            attempt = post(self._http, self._target, flush, flush["body"])
            await asyncio.wait_for(attempt, self._timeout)
