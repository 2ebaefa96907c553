"""The thread of a client, on which everything happens that waits for a disk or the network.

An event loop of its own lets it seal while an attempt hangs, and end an attempt at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from ._exhausted import ExhaustedFeed
from ._flush import KINDS, FlushName, Kind, seal
from ._lock import TOUCH_INTERVAL
from ._metrics import Counters
from ._options import Settings
from ._recorder import Recorder
from ._sender import Sender
from ._shadow import Shadow
from ._spool import Spool


@dataclass(frozen=True)
class Left:
    """What a closed client leaves behind."""

    flushes: int
    """Flushes in the spool. The next start sends them."""
    unsealed: int
    """Accumulators that the disk refused: their counts are lost with the process."""
    rejected: int
    """Flushes that this client has moved to `rejected`."""


Result = TypeVar("Result")


class Worker:
    def __init__(
        self, settings: Settings, epoch: str, recorder: Recorder, counters: Counters
    ) -> None:
        self._settings = settings
        self._epoch = epoch
        self._recorder = recorder
        self._counters = counters
        # The time of an attempt is limited as a whole.
        self._http = httpx.AsyncClient(timeout=None, follow_redirects=False)
        self.spool = Spool(settings.spool, epoch)
        target, backoff, on_error = settings.target, settings.backoff, settings.on_error
        self._sender = Sender(self._http, self.spool, counters, settings)
        self._shadow = (
            Shadow(self._http, settings.shadow, settings.timeout) if settings.shadow else None
        )
        self.exhausted = (
            ExhaustedFeed(self._http, target, backoff, on_error)
            if settings.follow_exhausted
            else None
        )
        self._next_seq: dict[Kind, int] = {"api": 0, "token": 0}
        self._loop = asyncio.SelectorEventLoop()
        self._closing = asyncio.Event()
        self._deadline = 0.0
        self._left: Future[Left] = Future()
        self._thread = threading.Thread(target=self._run, name="tallybook-client", daemon=True)
        self._thread.start()

    def seal_soon(self) -> None:
        """Seals on the thread of the client. Does not wait."""
        self._loop.call_soon_threadsafe(self._seal, False)

    def seal(self) -> bool:
        """Seals, and returns True if everything recorded before is on the disk."""

        async def seal() -> bool:
            return self._seal(False)

        return self._call(seal, lambda: self._recorder.size == 0)

    def drained(self, timeout: float | None) -> bool:
        """Waits until the spool is empty, or the client is closed. True if it is empty."""

        async def drained() -> bool:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._sender.drained(), timeout)
            return self.spool.size == 0

        return self._call(drained, lambda: self.spool.size == 0)

    def close(self, deadline: float) -> Left:
        self._refuse_own_thread()
        self._recorder.close()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_to_close, deadline)
        return self._left.result()

    def _call(
        self, work: Callable[[], Coroutine[Any, Any, Result]], after_end: Callable[[], Result]
    ) -> Result:
        """Runs work on the thread of the client; if that has ended, returns `after_end`."""
        self._refuse_own_thread()
        coroutine = work()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            return after_end()
        ends: list[Future[Any]] = [future, self._left]
        wait(ends, return_when=FIRST_COMPLETED)
        return future.result() if future.done() else after_end()

    def _refuse_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("A callback of the client can't wait for the client.")

    def _run(self) -> None:
        try:
            left = self._loop.run_until_complete(self._main())
        except BaseException as error:
            self._left.set_exception(error)
        else:
            self._left.set_result(left)
        finally:
            self._loop.close()

    async def _main(self) -> Left:
        sender = asyncio.create_task(self._sender.run())
        feeds = [asyncio.create_task(self.exhausted.run())] if self.exhausted else []
        timers = [
            asyncio.create_task(self._seal_regularly()),
            asyncio.create_task(self._touch_regularly()),
        ]
        await self._closing.wait()
        timers[0].cancel()
        self._seal(True)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._sender.drained(), self._deadline)
        self._sender.stop()
        tasks = [sender, *feeds, *timers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self._shadow:
                await self._shadow.stop()
            await self._http.aclose()
            self.spool.close()
        except Exception as error:
            self._settings.on_error(error)
        return Left(self.spool.size, self._recorder.size, self._counters.rejected)

    def _begin_to_close(self, deadline: float) -> None:
        if not self._closing.is_set():
            self._deadline = deadline
            self._closing.set()

    async def _seal_regularly(self) -> None:
        """Seals after the interval ± 20 %, so that proxies don't post in step."""
        while True:
            await asyncio.sleep(self._settings.seal_interval * (0.8 + 0.4 * random.random()))
            self._seal(False)

    async def _touch_regularly(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_INTERVAL)
            self.spool.touch()

    def _seal(self, is_last: bool) -> bool:
        """Never raises."""
        is_complete = all([self._seal_kind(kind, is_last) for kind in KINDS])
        self._recorder.end_seal(is_complete)
        try:
            limits, instance = self._settings.spool_limits, self._settings.instance
            self._counters.merged += self.spool.merge_if_above(limits, instance)
        except Exception as error:
            self._settings.on_error(error)
        return is_complete

    def _seal_kind(self, kind: Kind, is_last: bool) -> bool:
        """Seals one kind. If the disk refuses the flush, its counts are part of the next one."""
        seq = self._next_seq[kind]
        entries = self._recorder.take(kind)
        if not entries and not (is_last and seq > 0):
            return True
        name = FlushName(f"{self._epoch}.{kind}", seq, seq)
        flush = seal(self._settings.instance, kind, name, int(time.time()), entries, is_last)
        try:
            self.spool.seal(name, flush)
        except Exception as error:
            self._counters.seal_failures += 1
            self._recorder.restore(kind, entries)
            self._settings.on_error(error)
            return False
        self._next_seq[kind] += 1
        self._counters.sealed += 1
        if self._shadow:
            self._shadow.post(flush)
        self._sender.wake()
        return True
