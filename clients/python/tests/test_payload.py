"""What is recorded of the payloads of LiteLLM, which these are parts of."""

from __future__ import annotations

import unittest
from typing import Any, cast

from tallybook_client import TallybookClient
from tallybook_client._payload import PayloadRecorder, dimensions_of, measures_of, status_of


def payload(**fields: Any) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 1200,
        "completion_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 800},
        "completion_tokens_details": {"reasoning_tokens": 320},
    }
    return {
        "status": "success",
        "call_type": "acompletion",
        "custom_llm_provider": "openai",
        "model": "openai/gpt-4o",
        "model_id": "d5ef69",
        "response_cost": 0.0070004,
        "prompt_tokens": 1200,
        "completion_tokens": 500,
        "endTime": 1700000000.9,
        "cache_hit": None,
        "error_information": {"error_class": "", "error_code": ""},
        "metadata": {
            "user_api_key_hash": "099295",
            "requester_metadata": {"headers": {}},
            "usage_object": usage,
        },
        **fields,
    }


class Recorded:
    """Takes the place of a client."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def record(self, key: str, **counts: Any) -> None:
        self.calls.append((key, counts))

    def record_token(self, key: str, **counts: Any) -> None:
        self.calls.append((key, counts))


class PayloadTest(unittest.TestCase):
    def test_a_success_counts_in_both_books(self) -> None:
        recorded = Recorded()
        PayloadRecorder(cast(TallybookClient, recorded)).record(payload())
        dimensions = {"model": "gpt-4o", "provider": "openai", "operation": "chat", "status": "2xx"}
        measures = {
            "input_tokens": 400,
            "cache_read_tokens": 800,
            "output_tokens": 180,
            "reasoning_tokens": 320,
            "cost_micros": 7000,
        }
        api_key = {"requests": 1, "success_requests": 1}
        token = {"requests": 1, "tokens": 1700, "last_accessed_at": 1700000000}
        self.assertEqual(
            recorded.calls,
            [
                ("099295", {**api_key, "dimensions": dimensions, "measures": measures}),
                ("099295", token),
            ],
        )

    def test_costs_are_not_off_by_more_than_a_micro(self) -> None:
        recorded = Recorded()
        recorder = PayloadRecorder(cast(TallybookClient, recorded))
        for _ in range(1_000):
            recorder.record(payload(response_cost=0.0000004))
        costs = [counts.get("measures", {}).get("cost_micros", 0) for _, counts in recorded.calls]
        self.assertEqual(sum(costs), 400)

    def test_who_has_no_key_is_left_out_and_an_unknown_model_has_no_name(self) -> None:
        recorded = Recorded()
        recorder = PayloadRecorder(cast(TallybookClient, recorded))
        stranger = {"user_api_key_hash": "7fde76", "requester_metadata": None}
        recorder.record(payload(status="failure", metadata=stranger))
        recorder.record(payload(metadata={"user_api_key_hash": None}))
        self.assertEqual(recorded.calls, [])
        unknown = payload(status="failure", model="gpt-9", model_id="", custom_llm_provider=None)
        self.assertEqual(dimensions_of(unknown)["model"], "unknown")
        self.assertEqual(dimensions_of(unknown)["provider"], "unknown")

    def test_usage_that_is_unknown_or_that_a_cache_spared(self) -> None:
        for fields, unmetered in (({}, 1), ({"cache_hit": True}, 0), ({"status": "failure"}, 0)):
            recorded = Recorded()
            recorder = PayloadRecorder(cast(TallybookClient, recorded))
            metadata = {**payload()["metadata"], "usage_object": None}
            empty = {"prompt_tokens": 0, "completion_tokens": 0, "response_cost": None}
            recorder.record(payload(**empty, **fields, metadata=metadata))
            measures = recorded.calls[0][1]["measures"]
            self.assertEqual(measures.get("unmetered_requests", 0), unmetered)
            self.assertEqual(measures["cost_micros"], 0)

    def test_anthropic_reports_what_it_wrote_to_its_cache(self) -> None:
        usage = {"cache_creation_input_tokens": 1000, "cache_read_input_tokens": 3000}
        metadata = {**payload()["metadata"], "usage_object": usage}
        found = measures_of(payload(prompt_tokens=4200, completion_tokens=150, metadata=metadata))
        self.assertEqual(
            found,
            {
                "input_tokens": 200,
                "cache_read_tokens": 3000,
                "cache_write_tokens": 1000,
                "output_tokens": 150,
            },
        )

    def test_names_of_operations_and_providers(self) -> None:
        for call_type, operation in (
            ("completion", "chat"),
            ("aresponses", "chat"),
            ("anthropic_messages", "chat"),
            ("aembedding", "embeddings"),
            ("atext_completion", "text_completion"),
            ("aimage_generation", "image_generation"),
            ("_arealtime", "realtime"),
        ):
            found = dimensions_of(payload(call_type=call_type))["operation"]
            self.assertEqual(found, operation)
        bedrock = payload(custom_llm_provider="bedrock", model="x" * 100)
        self.assertEqual(dimensions_of(bedrock)["provider"], "aws.bedrock")
        self.assertEqual(dimensions_of(bedrock)["model"], "x" * 64)

    def test_how_requests_end(self) -> None:
        for kind, code, status in (
            ("RateLimitError", "429", "429"),
            ("BadRequestError", "400", "4xx"),
            ("InternalServerError", "500", "5xx"),
            ("Timeout", "408", "timeout"),
            ("CancelledError", "", "cancelled"),
            ("APIConnectionError", "", "5xx"),
        ):
            error = {"error_class": kind, "error_code": code}
            self.assertEqual(status_of(payload(status="failure", error_information=error)), status)


if __name__ == "__main__":
    unittest.main()
