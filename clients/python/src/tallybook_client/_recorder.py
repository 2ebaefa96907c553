"""What the threads of the gateway share with that of the client: the counts in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

from ._accumulators import AccountKey, Accumulators
from ._flush import Entry, Kind
from ._metrics import Counters
from ._options import logger

State = Literal["open", "closed", "forked"]


class Recorder:
    """Safe for threads. Its lock is held for the time of an addition, never for that of a file.

    The same thread may take it again, because a signal or a finalizer may record in an addition.
    """

    def __init__(self, counters: Counters, seal_at: int) -> None:
        self._counters = counters
        self._seal_at = seal_at
        self._lock = threading.RLock()
        self._state: State = "open"
        self._is_seal_due = False
        self._is_fork_reported = False
        self._accumulators: dict[Kind, Accumulators] = {
            "api": Accumulators("api"),
            "token": Accumulators("token"),
        }

    @property
    def state(self) -> State:
        return self._state

    @property
    def size(self) -> int:
        return sum(len(accumulators) for accumulators in self._accumulators.values())

    def add(
        self,
        kind: Kind,
        key: AccountKey,
        requests: int,
        success_requests: int | None,
        tokens: int | None,
        last_accessed_at: int | None,
        dimensions: Mapping[str, str] | None,
        measures: Mapping[str, int] | None,
    ) -> bool:
        """Adds valid counts. True if enough is in memory that it should be sealed now."""
        accumulators = self._accumulators[kind]
        with self._lock:
            if self._state != "open" or not accumulators.add(
                key, requests, success_requests, tokens, last_accessed_at, dimensions, measures
            ):
                self._counters.dropped += 1
                is_due = False
            else:
                self._counters.recorded += 1
                is_due = len(accumulators) >= self._seal_at and not self._is_seal_due
                self._is_seal_due = self._is_seal_due or is_due
        if self._state == "forked":
            self._report_fork()
        return is_due

    def drop(self) -> None:
        """Counts a call whose input was invalid."""
        with self._lock:
            self._counters.dropped += 1

    def take(self, kind: Kind) -> list[Entry]:
        with self._lock:
            return self._accumulators[kind].take()

    def restore(self, kind: Kind, entries: Sequence[Entry]) -> None:
        """Takes back what the disk has refused."""
        with self._lock:
            self._counters.dropped += self._accumulators[kind].restore(entries)

    def end_seal(self, is_complete: bool) -> None:
        """A disk that has refused counts is asked again after the interval, not with every call."""
        with self._lock:
            self._is_seal_due = not is_complete

    def close(self) -> None:
        """What is recorded from now on is dropped."""
        with self._lock:
            self._state = "closed"

    def fork(self) -> None:
        """Called in the child of a fork, in which no thread seals: the counts are the parent's."""
        # Another thread may have held the lock at the time of the fork.
        self._lock = threading.RLock()
        self._state = "forked"

    def _report_fork(self) -> None:
        if not self._is_fork_reported:
            self._is_fork_reported = True
            logger.error("%s What this process records is dropped.", FORKED)


FORKED = (
    "This client was opened before a fork, and belongs to the parent process. "
    "Open a client with a spool of its own in each process."
)
