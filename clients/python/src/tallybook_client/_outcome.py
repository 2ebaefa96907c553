"""What an answer means, and how long to wait after it. No clock, no network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Outcome = Literal["accepted", "unknown", "too large", "invalid", "invalid time", "paused"]
"""What an answer of the service, or of something before it, means for a flush.

- accepted: it is in the log.
- unknown: it may be in the log.
- too large: nothing was appended.
- invalid: the service will never accept this body.
- invalid time: as `invalid`, but it may accept the body without `counted_at`.
- paused: the service accepts nothing from this client now.
"""

# Answers after which the flush may or may not be in the log, besides 5xx.
_UNKNOWN = (408, 425, 429)


def classify(status: int, body: str) -> Outcome:
    if status == 200:
        return "accepted" if _is_answer(body) else "unknown"
    if status < 300 or status >= 500 or status in _UNKNOWN:
        return "unknown"
    if status == 413:
        return "too large"
    if status == 422:
        return "invalid time"
    if status != 400:
        return "paused"
    return "invalid time" if read_error(body)[0] == "invalid stats payload" else "invalid"


def _is_answer(body: str) -> bool:
    """True for the answer to a flush, and not for a page of something between the two."""
    return type(_read_object(body).get("updated")) is int


def read_error(body: str) -> tuple[str | None, str | None]:
    """The members `error` and `detail` of problem details; None if they are absent."""
    problem = _read_object(body)
    error, detail = problem.get("error"), problem.get("detail")
    return (
        error if isinstance(error, str) else None,
        detail if isinstance(detail, str) else None,
    )


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Backoff:
    """The delays after failures, random up to these, in seconds."""

    first: float = 0.5
    longest: float = 30.0


# The longest time that an answer may ask to wait.
_MAX_RETRY_AFTER = 3_600.0


def delay(
    failures: int, random: float, retry_after: float, backoff: Backoff | None = None
) -> float:
    """The delay in seconds after a number of failures in a row, counted from 0.

    `random` is from 0 to 1.
    """
    backoff = backoff or Backoff()
    jitter = random * min(backoff.longest, backoff.first * (1 << min(failures, 30)))
    return max(jitter, min(retry_after, _MAX_RETRY_AFTER))


def read_retry_after(value: str | None, now: float) -> float:
    """Reads Retry-After, in seconds or as a date; 0 if it is absent or neither."""
    if value is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,15}", value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
