"""What a client does besides what the conformance tests check with a real service."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from service import Service

from tallybook_client import Backoff, ForkedError, Left, SpoolInUseError, TallybookClient, Target

NOTHING_LEFT = Left(flushes=0, unsealed=0, rejected=0)


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.service = Service()
        self.start(self.service)
        self.errors: list[Exception] = []

    def start(self, service: Service) -> None:
        service.__enter__()
        self.addCleanup(service.__exit__, None, None, None)

    def open(self, **options: Any) -> TallybookClient:
        options = {
            "url": self.service.url,
            "token": "dp",
            "spool": self.folder / "spool",
            "instance": "proxy-1",
            "seal_interval": 3_600,
            "backoff": Backoff(first=0.002, longest=0.01),
            "on_error": self.errors.append,
            **options,
        }
        client = TallybookClient(**options)
        self.addCleanup(lambda: client.close(0))
        return client

    def metric(self, client: TallybookClient, name: str) -> int:
        lines = client.metrics().splitlines()
        prefix = f"tallybook_client_{name} "
        return next(int(line[len(prefix) :]) for line in lines if line.startswith(prefix))

    def until(self, condition: Any) -> None:
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, "It did not happen.")
            time.sleep(0.005)


class ClientTest(Case):
    def test_what_the_service_would_refuse_is_dropped(self) -> None:
        client = self.open()
        record: Any = client.record
        client.record(1, requests=1)
        # 1.0 and True are equal to 1 in Python, and name no account.
        keys: tuple[Any, ...] = (
            0,
            -1,
            1.0,
            True,
            2**53,
            "",
            " a",
            "a\ufeff",
            "a\0",
            "\ud800",
            None,
            [],
            "x" * 256,
        )
        for key in keys:
            record(key, requests=1)
        for counts in (
            {"requests": -1},
            {"requests": 0.5},
            {"requests": True},
            {"requests": None},
            {"requests": 1, "success_requests": 2},
            {"requests": 1, "dimensions": {"Model": "a"}},
            {"requests": 1, "dimensions": {"model": ""}},
            {"requests": 1, "dimensions": {"model": "other"}},
            {"requests": 1, "dimensions": {"model": "x" * 65}},
            {"requests": 1, "dimensions": {"model": 5}},
            {"requests": 1, "dimensions": {"model\n": "a"}},
            {"requests": 1, "dimensions": "model"},
            {"requests": 1, "measures": {"tokens": -1}},
            {"requests": 1, "measures": {"tokens": 2**53}},
            {"requests": 1, "measures": {"tokens": 1.5}},
            {"requests": 1, "measures": [1]},
        ):
            record(7, **counts)
        client.record_token("alice", requests=1, last_accessed_at=10**15)
        # A value of 64 UTF-16 units, and one above, in 33 characters of Python.
        client.record(8, requests=1, dimensions={"model": "\U0001f600" * 32})
        client.record(8, requests=1, dimensions={"model": "\U0001f600" * 33})
        client.record(9, requests=2**53 - 1)
        client.record(9, requests=1)
        self.assertEqual(self.metric(client, "dropped_total"), 13 + 16 + 3)
        self.assertEqual(self.metric(client, "recorded_total"), 3)
        self.assertEqual(client.close(), NOTHING_LEFT)
        client.record(1, requests=1)
        self.assertEqual(self.metric(client, "dropped_total"), 33)
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 2**53 + 1)

    def test_threads_and_coroutines_lose_nothing(self) -> None:
        client = self.open(seal_interval=0.01, seal_at=3)

        def work(thread: int) -> None:
            for i in range(2_000):
                client.record(
                    1 + i % 5,
                    requests=1,
                    dimensions={"model": f"{thread % 2}"},
                    measures={"tokens": 2},
                )

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()

        async def serve() -> Left:
            for _ in range(2_000):
                client.record_token("alice", requests=1, tokens=3, last_accessed_at=1_700_000_000)
                await asyncio.sleep(0)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            return await asyncio.to_thread(client.close)

        self.assertEqual(asyncio.run(serve()), NOTHING_LEFT)
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 14_000)
        measured = self.service.sum(lambda entry: entry.get("measures", {}).get("tokens", 0))
        self.assertEqual(measured, 24_000)
        self.assertEqual(self.service.sum(lambda entry: entry.get("tokens", 0)), 6_000)
        self.assertEqual(self.errors, [])

    def test_it_seals_while_an_attempt_hangs_and_abandons_that_when_closed(self) -> None:
        self.service.hang.set()
        client = self.open(seal_interval=0.01)
        client.record(1, requests=1)
        self.until(lambda: list((self.folder / "spool/attempted").iterdir()))
        client.record(2, requests=1)
        self.until(lambda: self.metric(client, "spool_flushes") == 2)
        self.assertFalse(client.drained(timeout=0.01))
        self.assertEqual(client.close(deadline=0.01), Left(flushes=3, unsealed=0, rejected=0))
        self.service.hang.clear()
        with self.open() as client:
            self.assertTrue(client.drained())
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 2)
        self.assertTrue(self.service.sequences[2].endswith(".api/2;last"))

    def test_what_the_disk_refuses_returns_to_memory(self) -> None:
        client = self.open()
        client.record(7, requests=1)
        (self.folder / "spool/sealed").rename(self.folder / "away")
        self.assertFalse(client.seal())
        self.assertEqual(len(self.errors), 1)
        self.assertEqual(self.metric(client, "accumulators"), 1)
        client.record(7, requests=2)
        (self.folder / "away").rename(self.folder / "spool/sealed")
        self.assertTrue(client.seal())
        self.assertEqual(client.close(), NOTHING_LEFT)
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 3)
        self.assertEqual([text.split("/")[1] for text in self.service.sequences], ["0", "1;last"])

    def test_a_disk_that_refuses_is_not_asked_with_every_call(self) -> None:
        client = self.open(seal_at=2)
        (self.folder / "spool/sealed").rename(self.folder / "away")
        for key in range(1, 50):
            client.record(key, requests=1)
        self.until(lambda: self.metric(client, "seal_failures_total") == 1)
        for key in range(50, 100):
            client.record(key, requests=1)
        # What waits for the thread of the client is done before this.
        client.drained(timeout=0)
        self.assertEqual(self.metric(client, "seal_failures_total"), 1)
        (self.folder / "away").rename(self.folder / "spool/sealed")
        self.assertTrue(client.seal())
        client.record(1, requests=1)
        client.record(2, requests=1)
        self.until(lambda: self.metric(client, "sealed_total") == 2)

    def test_a_spool_belongs_to_one_client_at_a_time(self) -> None:
        client = self.open()
        with self.assertRaises(SpoolInUseError):
            self.open()
        lock = self.folder / "spool/lock"
        held = lock.read_text()
        client.close()
        self.assertFalse(lock.exists())
        # That of a process that has died, or had this very number, is stale.
        for pid in (2**22 + 1, os.getpid()):
            lock.write_text(json.dumps({**json.loads(held), "pid": pid}))
            self.open().close()
        living = json.dumps({**json.loads(held), "pid": os.getppid()})
        # Of a torn lock, too, the age decides.
        for text in (living, "", "null", '{"pid":'):
            lock.write_text(text)
            with self.assertRaises(SpoolInUseError):
                self.open()
            os.utime(lock, (0, 0))
            self.open().close()

    def test_options_that_cannot_work_are_refused(self) -> None:
        for options in ({"url": "localhost:3000"}, {"instance": "a/b"}, {"instance": ""}):
            with self.assertRaises(ValueError):
                self.open(**options)
        self.assertFalse((self.folder / "spool").exists())

    def test_a_file_that_is_no_flush_is_set_aside(self) -> None:
        self.open().close()
        for name, text in (
            ("note.json", "{}"),
            ("9f86d081884c.api_000000000000.json", '{"version":1,"sealed_at":1,"bo'),
            ("9f86d081884c.api_000000000001.json", "\\ud800"),
        ):
            (self.folder / "spool/sealed" / name).write_text(text)
        self.assertEqual(self.open().close(), NOTHING_LEFT)
        self.assertEqual(len(list((self.folder / "spool/rejected").iterdir())), 6)

    def test_a_callback_that_raises_or_waits_for_the_client_does_not_stop_it(self) -> None:
        self.service.drop.set()
        seen: list[str] = []

        def on_error(error: Exception) -> None:
            self.service.drop.clear()
            try:
                client.seal()
            except RuntimeError as refusal:
                seen.append(str(refusal))
            raise KeyError

        client = self.open(on_error=on_error)
        client.record(1, requests=1)
        with self.assertLogs("tallybook_client", "ERROR"):
            self.assertEqual(client.close(), NOTHING_LEFT)
        self.assertEqual(len(seen), 1)

    def test_is_exhausted_follows_the_list(self) -> None:
        def event(name: str, token_hash: str) -> str:
            return f'event: {name}\ndata: {{"token_hash":"{token_hash}"}}\n\n'

        client = self.open(follow_exhausted=True)
        self.assertFalse(client.is_exhausted("alice"))
        listed = "event: listed\ndata: {}\n\n"
        self.service.events = [event("exhausted", "alice"), ": a comment\n\n", listed]
        self.until(lambda: client.is_exhausted("alice"))
        self.service.events = [*self.service.events, event("available", "alice")]
        self.until(lambda: not client.is_exhausted("alice"))
        self.assertFalse(self.open(spool=self.folder / "other").is_exhausted("alice"))

    def test_a_shadow_gets_each_flush_and_its_failures_never_matter(self) -> None:
        other = Service()
        self.start(other)
        client = self.open(shadow=Target(other.url, "dp"))
        for _ in range(3):
            client.record(7, requests=1)
            client.seal()
            client.drained()
        self.until(lambda: len(other.sequences) == 3)
        other.hang.set()
        client.record(7, requests=1)
        self.assertEqual(client.close(), NOTHING_LEFT)
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 4)
        self.assertEqual(other.sum(lambda entry: entry["requests"]), 3)


@unittest.skipUnless(hasattr(os, "fork"), "this platform has no fork")
class ProcessTest(Case):
    def test_the_child_of_a_fork_says_so_and_counts_nothing(self) -> None:
        client = self.open()
        client.record(1, requests=1)
        read, write = os.pipe()
        # The child must not wait for a lock that another thread held.
        client._recorder._lock.acquire()
        child = os.fork()
        if child == 0:
            report: list[str] = []
            try:
                with self.assertLogs("tallybook_client", "ERROR") as logs:
                    client.record(1, requests=1)
                    client.record(1, requests=1)
                report.append(str(len(logs.records)))
                for wait in (client.seal, client.drained, client.close):
                    self.assertRaises(ForkedError, wait)
                with client:
                    pass
                own = self.open(spool=self.folder / "child", instance="proxy-2")
                own.record(2, requests=1)
                report.append(str(own.close() == NOTHING_LEFT))
            finally:
                os.write(write, " ".join(report).encode())
                os._exit(0)
        client._recorder._lock.release()
        os.waitpid(child, 0)
        self.assertEqual(os.read(read, 100).decode(), "1 True")
        self.assertEqual(client.close(), NOTHING_LEFT)
        self.assertEqual(self.service.sum(lambda entry: entry["requests"]), 2)

    def test_the_lines_for_sigterm_leave_nothing(self) -> None:
        program = (
            "import signal, sys, time\n"
            "from tallybook_client import TallybookClient\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
            f"with TallybookClient({self.service.url!r}, 'dp', {str(self.folder / 'spool')!r},\n"
            "        seal_interval=3600) as tallybook:\n"
            "    tallybook.record(1, requests=1)\n"
            "    print('ready', flush=True)\n"
            "    while True:\n"
            "        tallybook.record(2, requests=1)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), b"ready\n")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(), 0)
        child.stdout.close()
        entries = self.service.sum(lambda entry: int(entry["api_key_id"] == 1))
        self.assertEqual(entries, 1)


if __name__ == "__main__":
    unittest.main()
