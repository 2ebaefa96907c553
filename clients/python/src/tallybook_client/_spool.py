"""The spool directory: sealed flushes, until the service has them.

One thread uses a spool: that of its client. Only `size` and `bytes` may be read by others.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, cast

from . import _files as files
from ._flush import Flush, FlushName, find_contained, format_json, format_name, parse_name
from ._lock import Lock
from ._merge import find_runs, merge

Folder = Literal["sealed", "attempted"]
"""Where a flush is: `sealed` if it is certainly not in the log, `attempted` if it may be."""

_FOLDERS: Final[tuple[Folder, ...]] = ("sealed", "attempted")


@dataclass
class Waiting:
    """A flush that waits in the spool."""

    name: FlushName
    file: str
    folder: Folder
    sealed_at: int
    """Unix seconds."""
    bytes: int


@dataclass(frozen=True)
class Reason:
    """Why a flush was given up, or why the client pauses."""

    status: int | None
    error: str | None
    detail: str | None


@dataclass(frozen=True)
class Limits:
    """Flushes that were never attempted are merged above these."""

    flushes: int = 1_000
    bytes: int = 64 * 1024 * 1024


class Spool:
    def __init__(self, directory: str, epoch: str) -> None:
        """Takes the directory, and finishes or takes back what was interrupted.

        Raises if it is used.
        """
        self._directory = directory
        self._waiting: dict[str, Waiting] = {}
        self._bytes = 0
        # The number of flushes above which merging is tried again after it found nothing.
        self._merge_above = 0.0
        # True while flushes may be there that others contain: these must not be sent.
        self._has_contained = True
        for folder in (*_FOLDERS, "rejected"):
            os.makedirs(self._folder(folder), mode=0o700, exist_ok=True)
        self._lock = Lock.take(directory, epoch)
        try:
            for there in _FOLDERS:
                self._load(there)
            self._remove_contained()
        except BaseException:
            self._lock.release()
            raise

    @property
    def size(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        return self._bytes

    def seal(self, name: FlushName, flush: Flush) -> None:
        """Writes a flush. It is sealed when this returns; if it raises, it is not."""
        self._write(name, flush)

    def begin(self) -> tuple[Waiting, Flush, bool] | None:
        """Takes the flush to send next into `attempted`; None if none waits.

        The last value is True if it was certainly not in the log before.
        """
        self._remove_contained()
        # Those that may be in the log first, then the oldest.
        waiting = min(self._waiting.values(), key=_order_of, default=None)
        if waiting is None:
            return None
        flush = self._read(waiting)
        is_certain = waiting.folder == "sealed"
        if is_certain:
            self._move(waiting, "attempted")
        return waiting, flush, is_certain

    def remove(self, waiting: Waiting) -> None:
        """Deletes a flush that the service has accepted."""
        self._remove([waiting])

    def put_back(self, waiting: Waiting) -> None:
        """Records that a flush is certainly not in the log after all."""
        self._move(waiting, "sealed")

    def split(self, whole: Waiting, parts: Iterable[tuple[FlushName, Flush]]) -> None:
        """Replaces a flush that is certainly not in the log by its parts.

        None of them is sent before the whole is gone.
        """
        # If the rest is interrupted, the whole can still be split.
        self._move(whole, "sealed")
        self._has_contained = True
        for name, flush in parts:
            self._write(name, flush)
        self._remove([whole])
        self._has_contained = False

    def reject(self, waiting: Waiting, reason: Reason) -> None:
        """Gives a flush up: it stays in `rejected`, with the reason beside it."""
        self._reject_file(waiting.folder, waiting.file, reason)
        self._forget(waiting)

    def merge_if_above(self, limits: Limits, instance: str) -> int:
        """Merges flushes of `sealed` if the spool is above its limits.

        Returns how many are gone.
        """

        def is_above(share: float) -> bool:
            return self.size > limits.flushes * share or self.bytes > limits.bytes * share

        if not is_above(1) or self.size <= self._merge_above:
            return 0
        self._remove_contained()
        before = self.size
        for same_quarter in (True, False):
            self._merge_while(lambda: is_above(0.5), instance, same_quarter)
        # Reading all flushes again makes sense only after some have come.
        self._merge_above = self.size * 1.1 if is_above(1) else 0
        return before - self.size

    def touch(self) -> None:
        self._lock.touch()

    def close(self) -> None:
        """Leaves the directory to the next process."""
        self._lock.release()

    def _merge_while(self, is_above: Callable[[], bool], instance: str, same_quarter: bool) -> None:
        futile: set[str] = set()
        while is_above():
            mergeable = [flush for flush in self._waiting.values() if flush.folder == "sealed"]
            runs = find_runs(mergeable, same_quarter=same_quarter)
            run = next((run for run in runs if run[0].file not in futile), None)
            if run is None:
                return
            if not self._merge(run, instance):
                futile.add(run[0].file)

    def _merge(self, run: Sequence[Waiting], instance: str) -> bool:
        merged = merge(instance, [(waiting.name, self._read(waiting)) for waiting in run])
        if merged is None:
            return False
        self._has_contained = True
        self._write(*merged)
        self._remove(run)
        self._has_contained = False
        return True

    def _remove_contained(self) -> None:
        """Finishes a merge, or takes back a split, that was interrupted or the disk refused."""
        if not self._has_contained:
            return
        contained = find_contained(waiting.name for waiting in self._waiting.values())
        self._remove([flush for flush in self._waiting.values() if flush.name in contained])
        self._has_contained = False

    def _read(self, waiting: Waiting) -> Flush:
        """Reads a flush. If someone has deleted it, it is forgotten."""
        try:
            return cast(Flush, json.loads(files.read(self._path_of(waiting))))
        except FileNotFoundError:
            self._forget(waiting)
            raise

    def _load(self, folder: Folder) -> None:
        path = self._folder(folder)
        there = os.listdir(path)
        files.remove_durably(path, [file for file in there if file.endswith(".tmp")])
        for file in there:
            if not file.endswith(".json"):
                continue
            name = parse_name(file)
            sealed_at, size = _read_sealed_at(os.path.join(path, file))
            if name is None or sealed_at is None:
                self._reject_file(folder, file, _UNREADABLE)
            else:
                self._remember(name, folder, sealed_at, size)

    def _write(self, name: FlushName, flush: Flush) -> None:
        text = format_json(flush)
        files.write_durably(os.path.join(self._folder("sealed"), format_name(name)), text)
        self._remember(name, "sealed", flush["sealed_at"], len(text.encode()))

    def _move(self, waiting: Waiting, to: Folder) -> None:
        if waiting.folder == to:
            return
        source = waiting.folder
        os.replace(self._path_of(waiting), os.path.join(self._folder(to), waiting.file))
        waiting.folder = to
        files.sync_folder(self._folder(to))
        files.sync_folder(self._folder(source))

    def _remove(self, flushes: Iterable[Waiting]) -> None:
        flushes = list(flushes)
        for folder in _FOLDERS:
            there = [waiting for waiting in flushes if waiting.folder == folder]
            if not there:
                continue
            files.remove_durably(self._folder(folder), [waiting.file for waiting in there])
            for waiting in there:
                self._forget(waiting)

    def _reject_file(self, folder: Folder, file: str, reason: Reason) -> None:
        rejected = self._folder("rejected")
        text = format_json({**asdict(reason), "rejected_at": int(time.time())})
        reason_file = f"{file.removesuffix('.json')}.reason.json"
        files.write_durably(os.path.join(rejected, reason_file), text)
        os.replace(os.path.join(self._folder(folder), file), os.path.join(rejected, file))
        files.sync_folder(rejected)
        files.sync_folder(self._folder(folder))

    def _remember(self, name: FlushName, folder: Folder, sealed_at: int, size: int) -> None:
        file = format_name(name)
        known = self._waiting.get(file)
        self._bytes += size - (known.bytes if known else 0)
        self._waiting[file] = Waiting(name, file, folder, sealed_at, size)

    def _forget(self, waiting: Waiting) -> None:
        if self._waiting.pop(waiting.file, None) is not None:
            self._bytes -= waiting.bytes

    def _folder(self, folder: str) -> str:
        return os.path.join(self._directory, folder)

    def _path_of(self, waiting: Waiting) -> str:
        return os.path.join(self._folder(waiting.folder), waiting.file)


_UNREADABLE = Reason(None, "unreadable", None)


def _order_of(waiting: Waiting) -> tuple[bool, int, str]:
    return waiting.folder != "attempted", waiting.sealed_at, waiting.file


def _read_sealed_at(path: str) -> tuple[int | None, int]:
    """Returns also the number of bytes. None for a file that can't be sent."""
    with open(path, "rb") as file:
        text = file.read()
    try:
        flush = json.loads(text)
        # A text that is not Unicode could never be posted.
        is_flush = flush["version"] == 1 and isinstance(flush["body"].encode(), bytes)
        sealed_at = flush["sealed_at"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, len(text)
    return (sealed_at if is_flush and type(sealed_at) is int else None), len(text)
