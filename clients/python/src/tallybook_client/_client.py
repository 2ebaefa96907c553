"""The client, as its users see it."""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType

from ._http import Target
from ._metrics import Counters, format_metrics
from ._options import (
    Rejected,
    Settings,
    check_target,
    harmless,
    log_error,
    log_pause,
    log_rejected,
    read_instance,
    read_spool,
)
from ._outcome import Backoff
from ._recorder import FORKED, Recorder
from ._spool import Limits, Reason
from ._validate import MAX_COUNT, MAX_TIME, are_dimensions, are_measures, is_account, is_key
from ._worker import Left, Worker


class ForkedError(RuntimeError):
    """The client was opened before a fork, and belongs to the parent process."""


class TallybookClient:
    """Counts in memory, seals to a spool directory, and posts each flush exactly once.

    A client starts by sending what an earlier one left in the spool. It has a thread of its own,
    and may be used by all threads and by asyncio: `record`, `record_token`, `is_exhausted` and
    `metrics` never wait. `seal`, `drained` and `close` do: in a coroutine, use
    `await asyncio.to_thread(client.close)`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        spool: str | os.PathLike[str],
        *,
        instance: str | None = None,
        seal_interval: float = 5.0,
        seal_at: int = 5_000,
        spool_limits: Limits | None = None,
        timeout: float = 30.0,
        backoff: Backoff | None = None,
        shadow: Target | None = None,
        follow_exhausted: bool = False,
        on_error: Callable[[Exception], object] = log_error,
        on_rejected: Callable[[Rejected], object] = log_rejected,
        on_pause: Callable[[Reason | None], object] = log_pause,
    ) -> None:
        """Opens the spool. Times are in seconds.

        Raises ValueError if an option can't work, OSError if the directory can't be written, and
        SpoolInUseError if another client uses it.

        - url, token: the service, with its base path if it has one, and a token of the role `dp`.
        - spool: a directory of this client alone, on a disk that outlives it; created if absent.
        - instance: the name of this proxy, 1 to 64 of `[A-Za-z0-9._-]`; by default the host name.
        - seal_interval: how often counts are sealed, ± 20 %.
        - seal_at: the number of accounts and dimensions at which they are sealed at once.
        - spool_limits: flushes that were never attempted are merged above these.
        - timeout: how long an attempt may take.
        - backoff: the delays after failures.
        - shadow: a second service that gets each flush once; its failures never matter.
        - follow_exhausted: True to follow the exhausted quotas for `is_exhausted`.
        - on_error: called after a failure that the client deals with: an attempt, or the disk.
        - on_rejected: called when a flush was moved to `rejected`.
        - on_pause: called with the reason when the service refuses this client, and with None
          afterwards.

        Callbacks are called on the thread of the client; by default they log.
        """
        settings = Settings(
            target=check_target(Target(url, token)),
            spool=read_spool(spool),
            instance=read_instance(instance),
            seal_interval=seal_interval,
            seal_at=seal_at,
            spool_limits=spool_limits or Limits(),
            timeout=timeout,
            backoff=backoff or Backoff(),
            shadow=shadow and check_target(shadow),
            follow_exhausted=follow_exhausted,
            on_error=harmless(on_error),
            on_rejected=harmless(on_rejected),
            on_pause=harmless(on_pause),
        )
        self._counters = Counters()
        self._recorder = Recorder(self._counters, seal_at)
        self._worker = Worker(settings, secrets.token_hex(6), self._recorder, self._counters)
        _opened.add(self)

    def record(
        self,
        key: int | str,
        *,
        requests: int = 0,
        success_requests: int = 0,
        dimensions: Mapping[str, str] | None = None,
        measures: Mapping[str, int] | None = None,
    ) -> None:
        """Counts for an API key, by its id (a number) or its external id (a text).

        Never waits and never raises: what the service would refuse is dropped.
        """
        try:
            if (
                is_key(key)
                and type(requests) is int
                and type(success_requests) is int
                and 0 <= success_requests <= requests <= MAX_COUNT
                and (dimensions is None or are_dimensions(dimensions))
                and (measures is None or are_measures(measures))
            ):
                if self._recorder.add(
                    "api", key, requests, success_requests, None, None, dimensions, measures
                ):
                    self._worker.seal_soon()
                return
        except Exception:
            pass
        self._recorder.drop()

    def record_token(
        self,
        token_hash: str,
        *,
        requests: int = 0,
        tokens: int = 0,
        last_accessed_at: int | None = None,
        dimensions: Mapping[str, str] | None = None,
        measures: Mapping[str, int] | None = None,
    ) -> None:
        """Counts for a token key. `last_accessed_at` is in Unix seconds.

        Never waits and never raises: what the service would refuse is dropped.
        """
        try:
            if (
                is_account(token_hash)
                and type(requests) is int
                and type(tokens) is int
                and 0 <= requests <= MAX_COUNT
                and 0 <= tokens <= MAX_COUNT
                and (
                    last_accessed_at is None
                    or (type(last_accessed_at) is int and 0 <= last_accessed_at <= MAX_TIME)
                )
                and (dimensions is None or are_dimensions(dimensions))
                and (measures is None or are_measures(measures))
            ):
                if self._recorder.add(
                    "token",
                    token_hash,
                    requests,
                    None,
                    tokens,
                    last_accessed_at,
                    dimensions,
                    measures,
                ):
                    self._worker.seal_soon()
                return
        except Exception:
            pass
        self._recorder.drop()

    def is_exhausted(self, token_hash: str) -> bool:
        """True if the quota of a token key is exhausted, as far as the service has reported it."""
        exhausted = self._worker.exhausted
        return exhausted is not None and exhausted.has(token_hash)

    def seal(self) -> bool:
        """Seals now what was recorded.

        True if all of it is on the disk, and survives the process.
        """
        self._refuse_fork()
        return self._worker.seal()

    def drained(self, timeout: float | None = None) -> bool:
        """Waits until the service has every sealed flush, the time is over, or it is closed.

        True if the service has them.
        """
        self._refuse_fork()
        return self._worker.drained(timeout)

    def metrics(self) -> str:
        """The metrics of this client in the text format of Prometheus."""
        spool = self._worker.spool
        return format_metrics(self._counters, self._recorder.size, spool.size, spool.bytes)

    def close(self, deadline: float = 10.0) -> Left:
        """Seals, sends for at most `deadline` seconds, and returns what is left.

        What is recorded after it is dropped. Another call returns the same.
        """
        self._refuse_fork()
        return self._worker.close(deadline)

    def __enter__(self) -> TallybookClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._recorder.state != "forked":
            self.close()

    def _refuse_fork(self) -> None:
        if self._recorder.state == "forked":
            raise ForkedError(FORKED)


_opened: weakref.WeakSet[TallybookClient] = weakref.WeakSet()


def _mark_forked() -> None:
    for client in list(_opened):
        client._recorder.fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_forked)
