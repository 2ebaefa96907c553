"""What is counted and not yet sealed, for one kind of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ._flush import Entry, Kind
from ._validate import MAX_COUNT

AccountKey = int | str
"""Names an account: the id of an API key is a number; external ids and hashes are texts."""

_Identity = tuple[tuple[str, str], ...]


class Accumulators:
    """Adds up entries by account and dimensions. Not safe for threads."""

    __slots__ = ("_divided", "_kind", "_plain")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._plain: dict[AccountKey, Entry] = {}
        # Entries with dimensions, by account and dimensions.
        self._divided: dict[tuple[AccountKey, _Identity], Entry] = {}

    def __len__(self) -> int:
        return len(self._plain) + len(self._divided)

    def add(
        self,
        key: AccountKey,
        requests: int,
        success_requests: int | None = None,
        tokens: int | None = None,
        last_accessed_at: int | None = None,
        dimensions: Mapping[str, str] | None = None,
        measures: Mapping[str, int] | None = None,
    ) -> bool:
        """Adds counts in constant time; False, and nothing is added, if a sum would be inexact."""
        identity: _Identity = ()
        if dimensions:
            identity = tuple(dimensions.items())
            if len(identity) > 1:
                identity = tuple(sorted(identity))
            entry = self._divided.get((key, identity))
        else:
            entry = self._plain.get(key)
        if entry is not None:
            return _add_to(entry, requests, success_requests, tokens, last_accessed_at, measures)
        entry = self._name(key, requests)
        if success_requests is not None:
            entry["success_requests"] = success_requests
        if tokens is not None:
            entry["tokens"] = tokens
        if last_accessed_at is not None:
            entry["last_accessed_at"] = last_accessed_at
        if identity:
            entry["dimensions"] = dict(identity)
        if measures:
            entry["measures"] = dict(measures)
        if identity:
            self._divided[key, identity] = entry
        else:
            self._plain[key] = entry
        return True

    def add_entry(self, entry: Entry) -> bool:
        return self.add(
            key_of(entry),
            entry["requests"],
            entry.get("success_requests"),
            entry.get("tokens"),
            entry.get("last_accessed_at"),
            entry.get("dimensions"),
            entry.get("measures"),
        )

    def take(self) -> list[Entry]:
        """Returns all entries and forgets them."""
        entries = [*self._plain.values(), *self._divided.values()]
        self._plain = {}
        self._divided = {}
        return entries

    def restore(self, entries: Sequence[Entry]) -> int:
        """Adds entries that could not be sealed again; returns how many sums would be inexact."""
        return sum(1 for entry in entries if not self.add_entry(entry))

    def _name(self, key: AccountKey, requests: int) -> Entry:
        if self._kind == "token":
            return {"token_hash": str(key), "requests": requests}
        if isinstance(key, int):
            return {"api_key_id": key, "requests": requests}
        return {"api_key": key, "requests": requests}


def key_of(entry: Entry) -> AccountKey:
    """The account of an entry."""
    if "api_key_id" in entry:
        return entry["api_key_id"]
    return entry["api_key"] if "api_key" in entry else entry["token_hash"]


def _add_to(
    entry: Entry,
    requests: int,
    success_requests: int | None,
    tokens: int | None,
    last_accessed_at: int | None,
    measures: Mapping[str, int] | None,
) -> bool:
    """Adds counts to an entry, unless a sum would be inexact."""
    requests += entry["requests"]
    if requests > MAX_COUNT:
        return False
    if tokens is not None:
        tokens += entry.get("tokens", 0)
        if tokens > MAX_COUNT:
            return False
    if measures:
        sums = entry.get("measures", {})
        for name, value in measures.items():
            if value + sums.get(name, 0) > MAX_COUNT:
                return False
        for name, value in measures.items():
            sums[name] = value + sums.get(name, 0)
        entry["measures"] = sums
    entry["requests"] = requests
    if success_requests is not None:
        entry["success_requests"] = entry.get("success_requests", 0) + success_requests
    if tokens is not None:
        entry["tokens"] = tokens
    if last_accessed_at is not None:
        entry["last_accessed_at"] = max(entry.get("last_accessed_at", 0), last_accessed_at)
    return True
