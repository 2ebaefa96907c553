"""Tries the callback with a real LiteLLM proxy and a real service, and kills LiteLLM in between.

Run it in an environment with `litellm[proxy]` and this package. It starts the service of this
repository with a database of its own, LiteLLM, and an OpenAI that it plays itself. It prints what
it does, and fails if anything is lost or counted twice.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "clients/python/src"
ADMIN, DP = "a" * 40, "d" * 40
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
KEYS = ("sk-alice", "sk-bob")

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_base: {upstream}/v1
      api_key: sk-upstream
litellm_settings:
  callbacks: tallybook_client.litellm.logger
  num_retries: 1
general_settings:
  custom_auth: virtual_keys.authenticate
"""

# Virtual keys need a database of LiteLLM's own; this accepts two without one.
VIRTUAL_KEYS = """
from litellm.proxy._types import UserAPIKeyAuth

async def authenticate(request, api_key):
    if api_key not in ("sk-alice", "sk-bob"):
        raise Exception("There is no such key.")
    return UserAPIKeyAuth(api_key=api_key)
"""

USAGE: dict[str, Any] = {
    "prompt_tokens": 1200,
    "completion_tokens": 500,
    "total_tokens": 1700,
    "prompt_tokens_details": {"cached_tokens": 800},
    "completion_tokens_details": {"reasoning_tokens": 320},
}
COST_MICROS = 7_000
"""By the prices of LiteLLM: 400 * 2.5 + 800 * 1.25 + 500 * 10."""


class Upstream(BaseHTTPRequestHandler):
    """Answers as OpenAI does, with the status that the request names.

    A status with `first` is that of the first attempt only.
    """

    attempted: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = request["messages"][0]["content"]
        status = int(content.split()[0])
        if "first" in content:
            status = 200 if content in self.attempted else status
            self.attempted.add(content)
        kind = "application/json"
        message = {"role": "assistant", "content": "Hello."}
        choice = {"index": 0, "finish_reason": "stop"}
        common = {"id": "c", "created": 1, "model": "gpt-4o"}
        if status != 200:
            body = json.dumps({"error": {"message": "injected", "type": "injected"}})
        elif request.get("stream"):
            kind = "text/event-stream"
            common["object"] = "chat.completion.chunk"
            chunks = [
                {**common, "choices": [{**choice, "delta": message}]},
                {**common, "choices": [], "usage": USAGE},
            ]
            body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
            body += "data: [DONE]\n\n"
        else:
            common["object"] = "chat.completion"
            choices = [{**choice, "message": message}]
            body = json.dumps({**common, "choices": choices, "usage": USAGE})
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(what: str, condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(what)


class Session:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.port, self.litellm_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.litellm_url = f"http://127.0.0.1:{self.litellm_port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        config = CONFIG.format(upstream=f"http://127.0.0.1:{upstream.server_port}")
        (folder / "config.yaml").write_text(config)
        (folder / "virtual_keys.py").write_text(VIRTUAL_KEYS)
        self.service_environment = {
            **os.environ,
            "TALLYBOOK_DATA_DIR": str(folder / "tallybook"),
            "TALLYBOOK_PORT": str(self.port),
            "TALLYBOOK_ADMIN_TOKEN": ADMIN,
            "TALLYBOOK_DP_TOKEN": DP,
            "TALLYBOOK_UNKNOWN_KEYS": "register",
        }

    def start_service(self) -> subprocess.Popen[bytes]:
        command = ["bun", "src/main.ts", "serve"]
        service = self._start("service.log", command, ROOT, self.service_environment)
        self._wait_for(service, f"{self.url}/health/ready")
        return service

    def declare(self) -> None:
        command = ["bun", "src/main.ts", "catalog", "init", "llm"]
        subprocess.run(
            command, cwd=ROOT, env=self.service_environment, check=True, stdout=subprocess.DEVNULL
        )
        body = {
            "provider_groups": [{"id": 1, "name": "litellm"}],
            "api_keys": [{"external_id": hash_of(key), "name": key, "group_id": 1} for key in KEYS],
        }
        httpx.put(f"{self.url}/admin/catalog", headers=AS_ADMIN, json=body).raise_for_status()

    def start_litellm(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(32)}",
            "TALLYBOOK_URL": self.url,
            "TALLYBOOK_TOKEN": DP,
            "TALLYBOOK_SPOOL": str(self.spool),
            "TALLYBOOK_INSTANCE": "litellm-1",
        }
        command = [sys.executable, "-m", "litellm.proxy.proxy_cli", "--config", "config.yaml"]
        command += ["--host", "127.0.0.1", "--port", str(self.litellm_port)]
        litellm = self._start("litellm.log", command, self.folder, environment)
        self._wait_for(litellm, f"{self.litellm_url}/health/liveliness")
        return litellm

    def ask(self, key: str, content: str, *, stream: bool = False, model: str = "gpt-4o") -> int:
        """Sends a request to LiteLLM; returns the status of its answer."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = httpx.post(
            f"{self.litellm_url}/v1/chat/completions",
            headers={"authorization": f"Bearer {key}"},
            json=body,
            timeout=240,
        )
        return answer.status_code

    def ask_many(self, numbers: range) -> None:
        """Sends 20 requests with each key: 16 succeed, half of them as streams, and 4 fail."""

        def ask(number: int) -> None:
            content = ("200", "200", "200", "200", "429", "200", "500", "200", "200", "500 first")
            text = content[number % 10]
            expected = 200 if "first" in text else int(text)
            key = KEYS[number // 20 % 2]
            answered = self.ask(key, f"{text} {number}", stream=number % 2 == 1)
            assert answered == expected, (text, answered)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, numbers))

    def show_spool(self) -> None:
        for folder in ("sealed", "attempted", "rejected"):
            files = sorted(file.name for file in self.spool.glob(f"worker-0/{folder}/*.json"))
            print(f"  {folder}: {' '.join(files) or 'nothing'}")

    def is_in_spool(self, kind: str, requests: int) -> bool:
        """True if that many requests wait in the spool."""
        files = list(self.spool.glob(f"worker-0/*/*.{kind}_*.json"))
        bodies = [json.loads(json.loads(file.read_text())["body"]) for file in files]
        found: int = sum(entry["requests"] for body in bodies for entry in body["keys"])
        return found == requests

    def read(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", headers=AS_ADMIN).raise_for_status().json()

    def counted(self) -> tuple[int, int]:
        """The requests of API keys and of token keys."""
        api_keys = self.read("/admin/api-keys")["items"]
        keys = self.read("/admin/keys")["items"]
        return sum(row["total_requests"] for row in api_keys), sum(
            row["request_count"] for row in keys
        )

    def _start(
        self, log: str, command: list[str], folder: Path, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output
            )
        self.processes.append(process)
        return process

    def _wait_for(self, process: subprocess.Popen[bytes], url: str) -> None:
        def is_ready() -> bool:
            assert process.poll() is None, f"{process.args!r} has ended."
            return httpx.get(url, timeout=240).status_code == 200

        until(url, is_ready)


def hash_of(key: str) -> str:
    """The hash by which LiteLLM names a virtual key."""
    return hashlib.sha256(key.encode()).hexdigest()


def run(session: Session) -> None:
    print(f"LiteLLM {importlib.metadata.version('litellm')}, Python {sys.version.split()[0]}")
    service = session.start_service()
    session.declare()
    litellm = session.start_litellm()
    print("40 requests, of which 8 fail")
    session.ask_many(range(40))
    until("40 requests are counted", lambda: session.counted() == (40, 40))
    print(f"  counted: {session.counted()[0]}")

    print("Tallybook is stopped; 40 requests, of which 8 fail")
    service.send_signal(signal.SIGTERM)
    service.wait()
    session.ask_many(range(40, 80))
    for kind in ("api", "token"):
        until("all is sealed", partial(session.is_in_spool, kind, 40))
    session.show_spool()

    print("LiteLLM is killed with kill -9; both are started again")
    litellm.kill()
    litellm.wait()
    session.start_service()
    litellm = session.start_litellm()
    until("80 requests are counted", lambda: session.counted() == (80, 80))
    until("the spool is empty", partial(session.is_in_spool, "api", 0))
    print(f"  counted: {session.counted()[0]}")
    session.show_spool()

    print("40 requests, of which 8 fail, and one for a model that is not configured")
    session.ask_many(range(80, 120))
    assert session.ask(KEYS[0], "200", model="gpt-9") == 400
    assert session.ask("sk-mallory", "200") >= 400
    until("121 requests are counted", lambda: session.counted() == (121, 121))
    print(f"  counted: {session.counted()[0]}")
    litellm.send_signal(signal.SIGTERM)
    print(f"LiteLLM is stopped with SIGTERM, and ends with {litellm.wait()}")
    time.sleep(1)
    session.show_spool()
    assert session.counted() == (121, 121)
    report(session)


def report(session: Session) -> None:
    """Shows what Tallybook has, and compares it with what was sent."""
    for key in KEYS:
        row = session.read(f"/admin/api-keys/ext:{hash_of(key)}")
        token = session.read(f"/admin/keys/{hash_of(key)}")
        print(f"GET /admin/api-keys/ext:{hash_of(key)[:8]}…")
        print(f"  {row['total_requests']} requests, {row['failure_requests']} failed")
        print(f"  {json.dumps(row['measures'])}")
        print(f"GET /admin/keys/{hash_of(key)[:8]}…")
        print(f"  {token['request_count']} requests, {token['used_tokens']} tokens")
        assert row["success_requests"] == 48, row
        assert row["measures"]["cost_micros"] == 48 * COST_MICROS, row
        assert token["used_tokens"] == 48 * USAGE["total_tokens"], token
    for by in ("model,status", "provider,operation"):
        print(f"GET /admin/breakdown?by={by}")
        for item in session.read(f"/admin/breakdown?by={by}")["items"]:
            cost = item["measures"]["cost_micros"]
            print(f"  {item['dimensions']} {item['total_requests']} requests, {cost} micros")
    print("Nothing sealed was lost, and nothing counted twice.")


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    # The database of the service runs as another user if this is root.
    folder.chmod(0o755)
    session = Session(folder)
    try:
        run(session)
    except BaseException:
        for log in ("service.log", "litellm.log"):
            if (folder / log).exists():
                print((folder / log).read_text()[-4_000:], file=sys.stderr)
        raise
    finally:
        for process in session.processes:
            process.terminate()
        for process in session.processes:
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
