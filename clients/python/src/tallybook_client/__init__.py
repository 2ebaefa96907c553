"""Counts API usage in memory and posts it to Tallybook exactly once."""

from ._client import ForkedError, TallybookClient
from ._http import Target
from ._lock import SpoolInUseError
from ._options import Rejected
from ._outcome import Backoff
from ._spool import Limits, Reason
from ._worker import Left

__all__ = [
    "Backoff",
    "ForkedError",
    "Left",
    "Limits",
    "Reason",
    "Rejected",
    "SpoolInUseError",
    "TallybookClient",
    "Target",
]
