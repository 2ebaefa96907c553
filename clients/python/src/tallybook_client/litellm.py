"""A callback of LiteLLM: requests, failures, tokens and cost of its virtual keys.

In the configuration of the proxy, with the environment variables that `open_client` reads:

    litellm_settings:
      callbacks: tallybook_client.litellm.logger
"""

from __future__ import annotations

import atexit
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import Left, SpoolInUseError, TallybookClient
from ._payload import PayloadRecorder

if TYPE_CHECKING:

    class CustomLogger:
        pass

else:
    from litellm.integrations.custom_logger import CustomLogger

__all__ = ["TallybookLogger", "open_client"]

_log = logging.getLogger("tallybook_client")

_MAX_WORKERS = 256


def open_client(**options: Any) -> TallybookClient:
    """Opens a client in the first directory of the spool that no other worker of the proxy uses.

    Options that are not given are read from TALLYBOOK_URL, TALLYBOOK_TOKEN, TALLYBOOK_SPOOL and
    TALLYBOOK_INSTANCE. Counts are sealed every second, because LiteLLM ends without a last call.
    """
    for name in ("url", "token", "spool"):
        variable = f"TALLYBOOK_{name.upper()}"
        if name not in options and variable not in os.environ:
            raise RuntimeError(f"{variable} is not set.")
        options.setdefault(name, os.environ.get(variable))
    options.setdefault("instance", os.environ.get("TALLYBOOK_INSTANCE"))
    options.setdefault("seal_interval", 1.0)
    spool = Path(options.pop("spool"))
    for worker in range(_MAX_WORKERS):
        try:
            return TallybookClient(spool=spool / f"worker-{worker}", **options)
        except SpoolInUseError:  # noqa: PERF203
            continue
    raise SpoolInUseError(f"{_MAX_WORKERS} processes use the spool {spool}.")


class TallybookLogger(CustomLogger):
    """Records each request of the proxy once, when it has ended."""

    def __init__(self, client: TallybookClient | None = None) -> None:
        super().__init__()
        self.client = client or open_client()
        self._recorder = PayloadRecorder(self.client)
        atexit.register(self.close)

    def close(self, deadline: float = 2.0) -> Left:
        return self.client.close(deadline)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self._record(kwargs, "success")

    # The events of failures also report attempts that a retry has made good, and some failures
    # twice. This hook is called once for each request that the proxy answers with an error.
    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        self._record(request_data, "failure")

    def _record(self, data: dict[str, Any], status: str) -> None:
        try:
            payload = data.get("standard_logging_object")
            # A success whose answer is withheld afterwards is reported twice.
            if payload is not None and payload.get("status") == status:
                self._recorder.record(payload)
        except Exception:
            _log.exception("A request was not recorded.")


_logger: TallybookLogger | None = None


def __getattr__(name: str) -> Any:
    """`logger` opens its client when LiteLLM reads its configuration."""
    global _logger
    if name != "logger":
        raise AttributeError(name)
    if _logger is None:
        _logger = TallybookLogger()
    return _logger
