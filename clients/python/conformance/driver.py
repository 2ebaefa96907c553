"""Runs a client for the conformance tests: see clients/conformance/README.md for the protocol."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tallybook_client import Backoff, Limits, Reason, Rejected, TallybookClient


def kill_at(last: int) -> None:
    """Kills this process before its n-th change of the disk; a write is torn in the middle."""
    changes = itertools.count(1)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **options: Any) -> Any:
            if next(changes) == last:
                die()
            return original(*args, **options)

        return change

    for name in ("fsync", "link", "mkdir", "open", "replace", "unlink"):
        setattr(os, name, wrap(getattr(os, name)))

    write = os.write

    def write_or_tear(file: int, data: memoryview) -> int:
        if next(changes) == last:
            write(file, data[: len(data) // 2])
            die()
        return write(file, data)

    os.write = write_or_tear  # type: ignore[assignment]


printing = threading.Lock()


def show(line: dict[str, Any]) -> None:
    with printing:
        print(json.dumps(line), flush=True)


def on_rejected(rejected: Rejected) -> None:
    show({"event": "rejected", **asdict(rejected)})


def on_pause(reason: Reason | None) -> None:
    show({"event": "resumed"} if reason is None else {"event": "paused", **asdict(reason)})


def open_client(options: dict[str, Any]) -> TallybookClient:
    rest: dict[str, Any] = {}
    if "seal_interval_ms" in options:
        rest["seal_interval"] = options["seal_interval_ms"] / 1_000
    if "timeout_ms" in options:
        rest["timeout"] = options["timeout_ms"] / 1_000
    if "spool_limits" in options:
        rest["spool_limits"] = Limits(**options["spool_limits"])
    if "backoff" in options:
        backoff = options["backoff"]
        rest["backoff"] = Backoff(backoff["first_ms"] / 1_000, backoff["longest_ms"] / 1_000)
    return TallybookClient(
        options["url"],
        options["token"],
        options["spool"],
        instance=options["instance"],
        on_error=lambda error: None,
        on_rejected=on_rejected,
        on_pause=on_pause,
        **rest,
    )


def run(client: TallybookClient, command: dict[str, Any]) -> dict[str, Any]:
    op = command["op"]
    if op == "record":
        client.record(command["key"], **command["counts"])
        return {}
    if op == "record_token":
        client.record_token(command["key"], **command["counts"])
        return {}
    if op == "seal":
        return {"sealed": client.seal()}
    if op == "drained":
        client.drained()
        return {}
    if op == "metrics":
        return {"text": client.metrics()}
    if op == "close":
        return asdict(client.close(command.get("deadline_ms", 10_000) / 1_000))
    raise ValueError(f"There is no command {op}.")


def main() -> None:
    options = json.loads(sys.argv[-1])
    if "kill_at" in options:
        kill_at(options["kill_at"])
    client = open_client(options)
    for line in sys.stdin:
        command = json.loads(line)
        show({"op": command["op"], **run(client, command)})


if __name__ == "__main__":
    main()
