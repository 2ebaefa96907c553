"""What a client has done, in the text format of Prometheus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Counted = Literal["accepted", "unknown", "refused"]


@dataclass
class Counters:
    recorded: int = 0
    dropped: int = 0
    sealed: int = 0
    accepted: int = 0
    rejected: int = 0
    merged: int = 0
    split: int = 0
    seal_failures: int = 0
    attempts: dict[Counted, int] = field(
        default_factory=lambda: {"accepted": 0, "unknown": 0, "refused": 0}
    )
    is_paused: bool = False


def format_metrics(counters: Counters, accumulators: int, flushes: int, size: int) -> str:
    """`size` is that of the spool in bytes."""

    def counter(name: str, help: str, value: int) -> str:
        return _metric(name, "counter", help, {"": value})

    def gauge(name: str, help: str, value: int) -> str:
        return _metric(name, "gauge", help, {"": value})

    attempts = {f'{{outcome="{outcome}"}}': n for outcome, n in counters.attempts.items()}
    return "".join(
        (
            counter("recorded_total", "Calls that were counted.", counters.recorded),
            counter("dropped_total", "Calls whose input was invalid.", counters.dropped),
            gauge("accumulators", "Accounts and dimensions in memory.", accumulators),
            counter("sealed_total", "Flushes written to the spool.", counters.sealed),
            counter("accepted_total", "Flushes that the service has.", counters.accepted),
            counter("rejected_total", "Flushes moved to rejected.", counters.rejected),
            counter("merged_total", "Flushes that became part of another one.", counters.merged),
            counter("split_total", "Flushes that were split.", counters.split),
            counter("seal_failures_total", "Seals that the disk refused.", counters.seal_failures),
            _metric("attempts_total", "counter", "Attempts to post a flush.", attempts),
            gauge("spool_flushes", "Flushes waiting in the spool.", flushes),
            gauge("spool_bytes", "Bytes waiting in the spool.", size),
            gauge("paused", "1 while the service refuses this client.", int(counters.is_paused)),
        )
    )


def _metric(name: str, kind: str, help: str, samples: dict[str, int]) -> str:
    full = f"tallybook_client_{name}"
    lines = "".join(f"{full}{labels} {value}\n" for labels, value in samples.items())
    return f"# HELP {full} {help}\n# TYPE {full} {kind}\n{lines}"
