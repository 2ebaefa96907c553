"""The sealed flush: its file, its name, and how flushes contain each other. No clock, no disk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypedDict, cast

Kind = Literal["api", "token"]
"""Flushes of API keys and of token keys go to different routes, each with its own sequence."""

KINDS: Final[tuple[Kind, ...]] = ("api", "token")

PATHS: Final[dict[Kind, str]] = {
    "api": "/internal/apikey-stats/flush",
    "token": "/internal/stats/flush",
}


class _Counted(TypedDict):
    requests: int


class Entry(_Counted, total=False):
    """An entry of a flush, as it is posted. One of the first three fields is set."""

    api_key_id: int
    api_key: str
    token_hash: str
    success_requests: int
    tokens: int
    last_accessed_at: int
    dimensions: dict[str, str]
    measures: dict[str, int]


class Flush(TypedDict):
    """The content of a file of the spool. It never changes."""

    version: Literal[1]
    path: str
    key: str
    sequence: str | None
    """The value of Tallybook-Sequence; None in a part that does not carry it."""
    sealed_at: int
    """Unix seconds."""
    body: str
    """The text that is posted."""


class _Keys(TypedDict):
    keys: list[Entry]


class Body(_Keys, total=False):
    counted_at: int


class FlushName(NamedTuple):
    """What the name of a file says: `9f86d081884c.api_000000000005-000000000006.1.json`."""

    epoch: str
    first: int
    last: int
    parts: tuple[int, ...] = ()


_NAME = re.compile(
    r"([0-9a-f]{12}\.(?:api|token))_([0-9]{12})(?:-([0-9]{12}))?((?:\.[0-9]+)*)\.json"
)


def format_name(name: FlushName) -> str:
    last = "" if name.first == name.last else f"-{name.last:012d}"
    parts = "".join(f".{part}" for part in name.parts)
    return f"{name.epoch}_{name.first:012d}{last}{parts}.json"


def parse_name(file: str) -> FlushName | None:
    """Returns None for a file that is no flush."""
    match = _NAME.fullmatch(file)
    if match is None:
        return None
    epoch, first, last, parts = match.groups()
    numbers = tuple(int(part) for part in parts.split(".")[1:])
    return FlushName(epoch, int(first), int(last or first), numbers)


def format_range(name: FlushName) -> str:
    """The range of sequence numbers as in headers: `5`, or `5-6`."""
    return f"{name.first}" if name.first == name.last else f"{name.first}-{name.last}"


def find_contained(names: Iterable[FlushName]) -> set[FlushName]:
    """The flushes that another one contains: what an interrupted merge or split left.

    A flush contains another one if its range contains that one's, or if the other is one of its
    parts.
    """
    there = set(names)
    contained: set[FlushName] = set()
    # In this order, all flushes whose range contains a flush's range come before that flush.
    ordered = sorted(there, key=lambda name: (name.epoch, name.first, -name.last, name.parts))
    epoch, widest = "", FlushName("", 0, -1)
    for name in ordered:
        if name.epoch != epoch:
            epoch, widest = name.epoch, FlushName(name.epoch, 0, -1)
        is_same_range = (name.first, name.last) == (widest.first, widest.last)
        is_part = any(
            name._replace(parts=name.parts[:level]) in there for level in range(len(name.parts))
        )
        if is_part or (name.last <= widest.last and not is_same_range):
            contained.add(name)
        elif name.last > widest.last and not name.parts:
            widest = name
    return contained


def seal(
    instance: str,
    kind: Kind,
    name: FlushName,
    sealed_at: int,
    entries: list[Entry],
    is_last: bool,
) -> Flush:
    """Makes a flush of entries. `is_last` marks the end of its epoch."""
    sequence = f"{name.epoch}/{format_range(name)}"
    return {
        "version": 1,
        "path": PATHS[kind],
        "key": f"{instance}/{sequence}",
        "sequence": f"{sequence};last" if is_last else sequence,
        "sealed_at": sealed_at,
        "body": format_body({"counted_at": sealed_at, "keys": entries}),
    }


def format_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def format_body(body: Body) -> str:
    return format_json(body)


def parse_body(flush: Flush) -> Body:
    return cast(Body, json.loads(flush["body"]))


def without_counted_at(flush: Flush) -> str | None:
    """The body without the time at which it was counted; None if it states none."""
    body = parse_body(flush)
    if body.pop("counted_at", None) is None:
        return None
    return format_body(body)


def split(name: FlushName, flush: Flush) -> list[tuple[FlushName, Flush]] | None:
    """Splits a flush into halves, the last of which carries the sequence.

    Returns None if it has one entry.
    """
    body = parse_body(flush)
    keys = body["keys"]
    if len(keys) < 2:
        return None
    middle = (len(keys) + 1) // 2
    halves: Sequence[list[Entry]] = (keys[:middle], keys[middle:])
    parts: list[tuple[FlushName, Flush]] = []
    for number, half in enumerate(halves, start=1):
        part: Flush = {
            **flush,
            "key": f"{flush['key']}.{number}",
            "sequence": flush["sequence"] if number == 2 else None,
            "body": format_body({**body, "keys": half}),
        }
        parts.append((name._replace(parts=(*name.parts, number)), part))
    return parts
