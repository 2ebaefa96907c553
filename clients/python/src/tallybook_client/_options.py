"""The settings of a client, and what it reports to its callbacks."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from ._http import Target
from ._outcome import Backoff
from ._spool import Limits, Reason

logger = logging.getLogger("tallybook_client")


@dataclass(frozen=True)
class Rejected(Reason):
    """A flush that was moved to `rejected`, and why."""

    file: str = ""


@dataclass(frozen=True)
class Settings:
    target: Target
    spool: str
    instance: str
    seal_interval: float
    seal_at: int
    spool_limits: Limits
    timeout: float
    backoff: Backoff
    shadow: Target | None
    follow_exhausted: bool
    on_error: Callable[[Exception], None]
    on_rejected: Callable[[Rejected], None]
    on_pause: Callable[[Reason | None], None]


_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def read_instance(instance: str | None) -> str:
    """Raises if the name of the proxy can't be part of a key. The default is the host name."""
    if instance is None:
        instance = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "proxy"
    if not _INSTANCE.fullmatch(instance):
        raise ValueError("instance has 1 to 64 of [A-Za-z0-9._-].")
    return instance


def check_target(target: Target) -> Target:
    parts = urlsplit(target.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url is not an http or https URL.")
    return target


def read_spool(spool: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.fspath(spool))


Argument = TypeVar("Argument")


def harmless(callback: Callable[[Argument], object]) -> Callable[[Argument], None]:
    """A callback that raises must not stop the client."""

    def call(argument: Argument) -> None:
        try:
            callback(argument)
        except Exception:
            logger.exception("A callback raised.")

    return call


def log_error(error: Exception) -> None:
    logger.warning("%s: %s", type(error).__name__, error)


def log_rejected(rejected: Rejected) -> None:
    logger.error(
        "Gave up flush %s: %s %s %s",
        *(rejected.file, rejected.status, rejected.error, rejected.detail),
    )


def log_pause(reason: Reason | None) -> None:
    if reason is None:
        logger.warning("The service accepts flushes again.")
    else:
        logger.warning("Paused: the service answers %s %s.", reason.status, reason.error)
