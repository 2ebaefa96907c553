"""Changes to files that survive a power failure once they have returned."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable

# Changes of the disk go through functions of `os` by their names there, so that tests can fail
# before any of them.


def write(path: str, text: str, *, durably: bool = False) -> None:
    """Writes a file, which may be torn if the process dies."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags, 0o600)
    try:
        rest = memoryview(text.encode())
        while rest:
            rest = rest[os.write(file, rest) :]
        if durably:
            _sync(file)
    finally:
        os.close(file)


def write_durably(path: str, text: str) -> None:
    """Writes a new file: it appears complete, or not at all. Raises, and leaves none, otherwise."""
    draft = f"{path}.tmp"
    try:
        write(draft, text, durably=True)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    # The file is there: to report a failure now would make the caller write its content twice.
    with contextlib.suppress(OSError):
        sync_folder(os.path.dirname(path))


def remove(path: str) -> None:
    """Deletes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_durably(folder: str, files: Iterable[str]) -> None:
    """Deletes files of one folder; those that are not there are ignored."""
    for file in files:
        remove(os.path.join(folder, file))
    sync_folder(folder)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


# Platforms on which a folder can't be synchronized: there, renames are as durable as they get.
_NO_FOLDER_SYNC = (errno.EISDIR, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP)


def sync_folder(path: str) -> None:
    try:
        folder = os.open(path, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _sync(file: int) -> None:
    if sys.platform == "darwin":
        # There, fsync leaves the data in the cache of the disk.
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            return
    os.fsync(file)
