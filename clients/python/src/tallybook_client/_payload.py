"""Records requests of LiteLLM by its standard logging payload. Imports nothing of LiteLLM."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ._client import TallybookClient

# The names of OpenTelemetry, where they differ from LiteLLM's.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}

_OPERATIONS = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "embedding": "embeddings",
}

_MAX_VALUE_LENGTH = 64

# The most accounts and dimensions whose rest of a cost is remembered.
_MAX_RESTS = 100_000


class PayloadRecorder:
    """Records each request for the hash of its virtual key.

    As the external id of an API key the hash counts requests, successes, tokens by kind and cost,
    by model, provider, operation and status; as a token key it counts requests and tokens for
    quotas. Requests whose key LiteLLM refuses are left out.
    """

    def __init__(self, client: TallybookClient) -> None:
        self._client = client
        self._rests: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def record(self, payload: Mapping[str, Any]) -> None:
        metadata = payload.get("metadata") or {}
        key = metadata.get("user_api_key_hash")
        is_success = payload.get("status") == "success"
        # LiteLLM adds what it knows of a request once it has accepted the key. Without that,
        # anybody could invent keys.
        if not key or not (is_success or metadata.get("requester_metadata")):
            return
        dimensions = dimensions_of(payload)
        measures = measures_of(payload)
        tokens = sum(measures.values())
        measures["cost_micros"] = self._take_micros(key, dimensions, payload)
        if is_success and tokens == 0 and not payload.get("cache_hit"):
            measures["unmetered_requests"] = 1
        self._client.record(
            key,
            requests=1,
            success_requests=int(is_success),
            dimensions=dimensions,
            measures=measures,
        )
        ended_at = int(payload.get("endTime") or 0) or None
        self._client.record_token(key, requests=1, tokens=tokens, last_accessed_at=ended_at)

    def _take_micros(
        self, key: str, dimensions: Mapping[str, str], payload: Mapping[str, Any]
    ) -> int:
        """The whole micros of the cost. The rest counts with the next request like this one."""
        nanos = max(0, round(float(payload.get("response_cost") or 0) * 1e9))
        account = (key, *dimensions.values())
        with self._lock:
            if len(self._rests) >= _MAX_RESTS:
                self._rests.clear()
            micros, rest = divmod(self._rests.get(account, 0) + nanos, 1_000)
            self._rests[account] = rest
        return micros


def dimensions_of(payload: Mapping[str, Any]) -> dict[str, str]:
    provider = payload.get("custom_llm_provider") or "unknown"
    # A client can ask for any name: without an id it is none of the configuration.
    model = (payload.get("model_id") and payload.get("model")) or "unknown"
    operation = str(payload.get("call_type") or "unknown").lstrip("_")
    if operation.startswith("a") and operation not in _OPERATIONS:
        operation = operation[1:]
    values = {
        "model": model.removeprefix(f"{provider}/"),
        "provider": _PROVIDERS.get(provider, provider),
        "operation": _OPERATIONS.get(operation, operation),
        "status": status_of(payload),
    }
    return {name: value[:_MAX_VALUE_LENGTH] for name, value in values.items()}


def status_of(payload: Mapping[str, Any]) -> str:
    """How the request ended: `2xx`, `4xx`, `429`, `5xx`, `timeout` or `cancelled`."""
    if payload.get("status") == "success":
        return "2xx"
    error = payload.get("error_information") or {}
    kind, code = str(error.get("error_class") or ""), str(error.get("error_code") or "")
    if "Timeout" in kind:
        return "timeout"
    if "Cancelled" in kind or code == "499":
        return "cancelled"
    if code == "429":
        return "429"
    return "4xx" if code.startswith("4") else "5xx"


def measures_of(payload: Mapping[str, Any]) -> dict[str, int]:
    """The tokens by kind, each in exactly one of them; those that are zero are absent."""
    if payload.get("cache_hit"):
        return {}
    usage = (payload.get("metadata") or {}).get("usage_object") or {}
    details = usage.get("prompt_tokens_details") or {}
    prompt = payload.get("prompt_tokens") or 0
    completion = payload.get("completion_tokens") or 0
    read = details.get("cached_tokens") or usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or details.get("cache_creation_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    measures = {
        "input_tokens": max(0, prompt - read - written),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": max(0, completion - reasoning),
        "reasoning_tokens": reasoning,
    }
    return {name: value for name, value in measures.items() if value}
