"""Adds flushes up that were never attempted. No clock, no disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from ._accumulators import Accumulators
from ._flush import PATHS, Flush, FlushName, Kind, parse_body, seal

MAX_MERGED_ENTRIES: Final = 20_000
"""The most entries of a merged flush: far from the service's limit on bodies, so no 413."""

_QUARTER_HOUR = 900


class Mergeable(Protocol):
    @property
    def name(self) -> FlushName: ...

    @property
    def sealed_at(self) -> int: ...


Item = TypeVar("Item", bound=Mergeable)


def find_runs(
    flushes: Sequence[Item], *, same_quarter: bool, longest: int = 16
) -> list[list[Item]]:
    """Finds neighbours to merge: of one epoch, with adjacent ranges, no parts.

    `same_quarter` restricts runs to one quarter hour. Runs are in the order of the sealing of their
    first flush, and have 2 to `longest` flushes.
    """
    whole = [flush for flush in flushes if not flush.name.parts]
    whole.sort(key=lambda flush: (flush.name.epoch, flush.name.first))
    runs: list[list[Item]] = []
    for flush in whole:
        run = runs[-1] if runs else None
        if run and len(run) < longest and _are_neighbours(run[-1], flush, same_quarter):
            run.append(flush)
        else:
            runs.append([flush])
    return sorted((run for run in runs if len(run) > 1), key=lambda run: run[0].sealed_at)


def _are_neighbours(before: Mergeable, after: Mergeable, same_quarter: bool) -> bool:
    if before.name.epoch != after.name.epoch or before.name.last + 1 != after.name.first:
        return False
    return not same_quarter or (
        before.sealed_at // _QUARTER_HOUR == after.sealed_at // _QUARTER_HOUR
    )


def merge(
    instance: str, flushes: Sequence[tuple[FlushName, Flush]]
) -> tuple[FlushName, Flush] | None:
    """Merges flushes with adjacent ranges, in their order.

    Returns None if the result would have too many entries or an inexact sum.
    """
    first_name, first = flushes[0]
    last_name, last = flushes[-1]
    kind: Kind = "api" if first["path"] == PATHS["api"] else "token"
    accumulators = Accumulators(kind)
    for _, flush in flushes:
        for entry in parse_body(flush)["keys"]:
            if not accumulators.add_entry(entry):
                return None
    if len(accumulators) > MAX_MERGED_ENTRIES:
        return None
    name = first_name._replace(last=last_name.last)
    sealed_at = max(flush["sealed_at"] for _, flush in flushes)
    is_last = (last["sequence"] or "").endswith(";last")
    return name, seal(instance, kind, name, sealed_at, accumulators.take(), is_last)
