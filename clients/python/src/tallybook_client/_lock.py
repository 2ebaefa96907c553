"""The exclusive use of a spool directory by one process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time

from . import _files as files

TOUCH_INTERVAL = 5.0
_STALE = 60.0

# The epochs of the locks that this process holds, because a lock with this very process id is
# otherwise that of an earlier one: a container that was started again.
_held: set[str] = set()


class SpoolInUseError(RuntimeError):
    """Another client uses the spool."""


class Lock:
    def __init__(self, path: str, text: str, epoch: str) -> None:
        self._path = path
        self._text = text
        self._epoch = epoch

    @classmethod
    def take(cls, directory: str, epoch: str) -> Lock:
        """Takes the lock, also from a process that has died. Raises if another client has it."""
        path = os.path.join(directory, "lock")
        own = os.path.join(directory, f"lock.{epoch}.tmp")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "epoch": epoch}
        text = json.dumps(holder, separators=(",", ":"))
        files.write(own, text)
        _held.add(epoch)
        try:
            if not _linked(own, path):
                _remove_stale(path, f"{path}.{epoch}.stale.tmp")
                if not _linked(own, path):
                    raise SpoolInUseError(f"Another client uses the spool {directory}.")
        except BaseException:
            _held.discard(epoch)
            raise
        finally:
            files.remove(own)
        return cls(path, text, epoch)

    def touch(self) -> None:
        """Shows that the process lives: to be called every `TOUCH_INTERVAL`."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def release(self) -> None:
        if _read(self._path) == self._text:
            files.remove(self._path)
        _held.discard(self._epoch)


def _linked(source: str, target: str) -> bool:
    """Creates a file under another name too; False if that name is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _remove_stale(path: str, aside: str) -> None:
    """Removes a lock whose process has died. Raises if it lives."""
    text = _read(path)
    if text is None:
        return
    try:
        touched = os.stat(path).st_mtime
    except FileNotFoundError:
        return
    if not _is_stale(text, touched):
        raise SpoolInUseError(f"Another client uses the spool: {path} {text}.")
    # Two processes may find the same stale lock. A rename moves whatever is there by then, so the
    # lock that the other one has created in between is put back.
    with contextlib.suppress(OSError):
        os.replace(path, aside)
    moved = _read(aside)
    if moved is not None and moved != text:
        with contextlib.suppress(OSError):
            os.link(aside, path)
    files.remove(aside)


def _is_stale(text: str, touched: float) -> bool:
    if time.time() - touched > _STALE:
        return True
    try:
        holder = json.loads(text)
        pid, host, epoch = holder["pid"], holder["host"], holder["epoch"]
    except (ValueError, TypeError, KeyError):
        # A power failure has torn it: its age decides.
        return False
    if host != socket.gethostname():
        return False
    return epoch not in _held if pid == os.getpid() else not _is_running(pid)


def _is_running(pid: int) -> bool:
    if os.name == "nt":
        # There, the signal 0 would stop the process: its age decides.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def _read(path: str) -> str | None:
    try:
        return files.read(path)
    except (OSError, UnicodeDecodeError):
        return None
