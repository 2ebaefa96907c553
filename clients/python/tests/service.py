"""A service that counts what is posted to it, each key once, and fails as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Service:
    def __init__(self) -> None:
        self.flushes: dict[str, dict[str, Any]] = {}
        """The bodies that were accepted, by their keys."""
        self._sequences: dict[str, str] = {}
        self.hang = threading.Event()
        """While set, requests hang."""
        self.drop = threading.Event()
        """While set, connections end without an answer."""
        self.events: list[str] = []
        """Server-sent events of the list of exhausted quotas."""
        self._end = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if service.hang.is_set():
                    service._end.wait()
                if service.hang.is_set() or service.drop.is_set():
                    self.close_connection = True
                    return
                key = self.headers["idempotency-key"]
                service.flushes[key] = json.loads(body)
                service._sequences[key] = self.headers["tallybook-sequence"]
                answer = b'{"updated":1,"groups_updated":0}'
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write("".join(service.events).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Service:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def sequences(self) -> list[str]:
        """Those of the accepted flushes, in the order of their first acceptance."""
        return list(self._sequences.values())

    def sum(self, value: Callable[[dict[str, Any]], int]) -> int:
        """Adds up a value of all entries."""
        return sum(value(entry) for body in self.flushes.values() for entry in body["keys"])
