"""Sends the flushes of a spool, one at a time, until it is stopped."""

from __future__ import annotations

import asyncio
import random
import time
from typing import NoReturn

import httpx

from ._flush import Flush, split, without_counted_at
from ._http import Answer, Target, post
from ._metrics import Counters
from ._options import Rejected, Settings
from ._outcome import classify, delay, read_error, read_retry_after
from ._spool import Reason, Spool, Waiting


class Sender:
    def __init__(
        self, http: httpx.AsyncClient, spool: Spool, counters: Counters, settings: Settings
    ) -> None:
        self._http = http
        self._spool = spool
        self._counters = counters
        self._settings = settings
        self._target: Target = settings.target
        self._is_stopped = False
        # Set when the spool has a new flush.
        self._arrived = asyncio.Event()
        # Waits for an empty spool.
        self._emptied: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        """Tells the sender that the spool has a new flush."""
        self._arrived.set()

    async def drained(self) -> None:
        """Waits until the spool is empty, or the sender is stopped."""
        if self._spool.size == 0 or self._is_stopped:
            return
        emptied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._emptied.append(emptied)
        try:
            await emptied
        finally:
            # Also if whoever waits for it gives up.
            if emptied in self._emptied:
                self._emptied.remove(emptied)

    def stop(self) -> None:
        """Ends what `run` does after the attempt in progress; cancel its task to abandon that."""
        self._is_stopped = True
        self._report_empty()

    async def run(self) -> None:
        failures = 0
        while not self._is_stopped:
            try:
                retry_after = await self._send_next()
            except Exception as error:
                self._settings.on_error(error)
                retry_after = 0.0
            if retry_after is None:
                failures = 0
                continue
            await asyncio.sleep(
                delay(failures, random.random(), retry_after, self._settings.backoff)
            )
            failures += 1

    async def _send_next(self) -> float | None:
        """Sends a flush, or waits for one.

        Returns None to go on, or the least delay in seconds before the same flush is tried again.
        """
        begun = self._spool.begin()
        if begun is None:
            self._report_empty()
            self._arrived.clear()
            await self._arrived.wait()
            return None
        waiting, flush, is_certain = begun
        answer = await self._post(flush, flush["body"])
        if answer is None:
            return 0.0
        if classify(answer.status, answer.body) == "invalid time":
            body = without_counted_at(flush)
            if body is not None:
                self._counters.attempts["refused"] += 1
                answer = await self._post(flush, body)
                if answer is None:
                    return 0.0
        return self._settle(waiting, flush, answer, is_certain)

    async def _post(self, flush: Flush, body: str) -> Answer | None:
        """Makes an attempt; None if there was no answer."""
        timeout = self._settings.timeout
        try:
            return await asyncio.wait_for(post(self._http, self._target, flush, body), timeout)
        except asyncio.TimeoutError:
            self._counters.attempts["unknown"] += 1
            self._settings.on_error(TimeoutError(f"No answer within {timeout} s."))
        except Exception as error:
            self._counters.attempts["unknown"] += 1
            self._settings.on_error(error)
        return None

    def _settle(
        self, waiting: Waiting, flush: Flush, answer: Answer, is_certain: bool
    ) -> float | None:
        """Does with a flush what the answer to its attempt requires."""
        outcome = classify(answer.status, answer.body)
        if outcome == "accepted" or outcome == "unknown":
            self._counters.attempts[outcome] += 1
        else:
            self._counters.attempts["refused"] += 1
        reason = Reason(answer.status, *read_error(answer.body))
        if outcome != "paused" and outcome != "unknown":
            self._resume()
        if outcome == "accepted":
            self._spool.remove(waiting)
            self._counters.accepted += 1
            return None
        if outcome == "unknown":
            return read_retry_after(answer.retry_after, time.time())
        if outcome == "too large":
            parts = split(waiting.name, flush) if is_certain else None
            if parts is None:
                self._reject(waiting, reason)
                return None
            self._spool.split(waiting, parts)
            self._counters.split += 1
            return None
        if outcome == "invalid" or outcome == "invalid time":
            self._reject(waiting, reason)
            return None
        if outcome == "paused":
            if is_certain:
                self._spool.put_back(waiting)
            self._pause(reason)
            return read_retry_after(answer.retry_after, time.time())
        _unreachable(outcome)

    def _reject(self, waiting: Waiting, reason: Reason) -> None:
        self._spool.reject(waiting, reason)
        self._counters.rejected += 1
        rejected = Rejected(reason.status, reason.error, reason.detail, file=waiting.file)
        self._settings.on_rejected(rejected)

    def _pause(self, reason: Reason) -> None:
        if not self._counters.is_paused:
            self._counters.is_paused = True
            self._settings.on_pause(reason)

    def _resume(self) -> None:
        if self._counters.is_paused:
            self._counters.is_paused = False
            self._settings.on_pause(None)

    def _report_empty(self) -> None:
        emptied, self._emptied = self._emptied, []
        for future in emptied:
            if not future.done():
                future.set_result(None)


def _unreachable(outcome: NoReturn) -> NoReturn:
    raise AssertionError(outcome)
