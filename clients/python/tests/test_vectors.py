"""The pure parts agree with the vectors that all clients share."""

from __future__ import annotations

import json
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallybook_client._flush import (
    PATHS,
    Entry,
    Flush,
    FlushName,
    find_contained,
    format_body,
    format_name,
    parse_body,
    parse_name,
    seal,
    split,
)
from tallybook_client._merge import find_runs, merge
from tallybook_client._outcome import classify, delay, read_retry_after

FOLDER = Path(__file__).parents[2] / "conformance" / "vectors"
EPOCH = "9f86d081884c.api"


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def make_flush(key: str, sequence: str | None, sealed_at: int, keys: list[Entry]) -> Flush:
    body = format_body({"counted_at": sealed_at, "keys": keys})
    return {
        "version": 1,
        "path": PATHS["api"],
        "key": key,
        "sequence": sequence,
        "sealed_at": sealed_at,
        "body": body,
    }


@dataclass(frozen=True)
class Item:
    index: int
    name: FlushName
    sealed_at: int


@unittest.skipUnless(FOLDER.exists(), "the vectors are in the repository")
class VectorsTest(unittest.TestCase):
    def test_names_of_files(self) -> None:
        names = read("names")
        for vector in names["names"]:
            name = FlushName(
                vector["epoch"], vector["first"], vector["last"], tuple(vector["parts"])
            )
            self.assertEqual(parse_name(vector["file"]), name)
            self.assertEqual(format_name(name), vector["file"])
        for file in (*names["no_flushes"], f"{names['names'][0]['file']}\n"):
            self.assertIsNone(parse_name(file), file)

    def test_flushes_that_others_contain(self) -> None:
        for vector in read("names")["contained"]:
            names = {parse_name(file): file for file in vector["files"]}
            contained = find_contained(name for name in names if name is not None)
            deleted = [file for name, file in names.items() if name in contained]
            self.assertEqual(deleted, vector["deleted"], vector["why"])

    def test_what_answers_mean(self) -> None:
        for vector in read("answers")["outcomes"]:
            self.assertEqual(classify(vector["status"], vector["body"]), vector["outcome"], vector)

    def test_delays_and_retry_after(self) -> None:
        answers = read("answers")
        for vector in answers["delays"]:
            seconds = delay(vector["failures"], vector["random"], vector["retry_after_ms"] / 1_000)
            self.assertEqual(round(seconds * 1_000, 6), vector["delay_ms"], vector)
        for vector in answers["retry_after"]:
            seconds = read_retry_after(vector["value"], answers["retry_after_now"])
            self.assertEqual(seconds * 1_000, vector["ms"], vector)

    def test_sealed_flushes(self) -> None:
        flushes = read("flushes")
        for vector in flushes["seals"]:
            name = FlushName(vector["epoch"], vector["seq"], vector["seq"])
            sealed = seal(
                flushes["instance"],
                vector["kind"],
                name,
                vector["sealed_at"],
                vector["entries"],
                vector["last"],
            )
            self.assertEqual(sealed, vector["flush"])

    def test_splits(self) -> None:
        for vector in read("flushes")["splits"]:
            name = FlushName(EPOCH, vector["first"], vector["last"], tuple(vector["parts"]))
            flush = make_flush(vector["key"], vector["sequence"], 1, vector["keys"])
            parts = split(name, flush)
            found: list[dict[str, Any]] | None = (
                None
                if parts is None
                else [
                    {
                        "parts": list(part.parts),
                        "key": half["key"],
                        "sequence": half["sequence"],
                        "keys": parse_body(half)["keys"],
                    }
                    for part, half in parts
                ]
            )
            self.assertEqual(found, vector["result"], vector["why"])

    def test_merges(self) -> None:
        flushes = read("flushes")
        for vector in flushes["merges"]:
            merged = merge(
                flushes["instance"],
                [
                    (
                        FlushName(EPOCH, given["first"], given["last"]),
                        make_flush(
                            "",
                            "s;last" if "ends" in given else "s",
                            given["sealed_at"],
                            given["keys"],
                        ),
                    )
                    for given in vector["flushes"]
                ],
            )
            if merged is None:
                self.assertIsNone(vector["result"], vector["why"])
                continue
            name, flush = merged
            body = parse_body(flush)
            self.assertEqual(body["counted_at"], flush["sealed_at"])
            found = {
                "first": name.first,
                "last": name.last,
                "sealed_at": flush["sealed_at"],
                "key": flush["key"],
                "sequence": flush["sequence"],
                "keys": body["keys"],
            }
            self.assertEqual(found, vector["result"], vector["why"])

    def test_neighbours_to_merge(self) -> None:
        for vector in read("flushes")["runs"]:
            items = [
                Item(index, FlushName(EPOCH, first, last), sealed_at)
                for index, (first, last, sealed_at) in enumerate(vector["flushes"])
            ]
            runs = find_runs(items, same_quarter=vector["same_quarter"])
            found = [[item.index for item in run] for run in runs]
            self.assertEqual(found, vector["runs"], vector["why"])


if __name__ == "__main__":
    unittest.main()
