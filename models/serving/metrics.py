"""What Prometheus scrapes of a service; whoever has a page of metrics adds these to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from models.serving.service import Service
from models.serving.tally import Histogram, together

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def collect(service: Service | None) -> Iterator[Metric]:
    """Of everything that the service has opened, on whichever event loop. None: nothing."""
    if service is None:
        return
    visits, opened = service.visits, service.opened
    loads, tally = [one.load for one in opened], together(one.tally for one in opened)
    requests = CounterMetricFamily(
        "kinflow_serving_requests", "Requests to the member, by route and how they ended", labels=["route", "outcome"]
    )
    for (route, outcome), count in sorted(visits.outcomes.items()):
        requests.add_metric([route, outcome], count)
    yield requests
    for name, total, text in (
        ("prompt_tokens", visits.prompt_tokens, "Tokens of prompts that were taken"),
        ("said_tokens", visits.said_tokens, "Tokens that were said"),
        ("prefix_tokens", tally.prefix_tokens, "Tokens of prompts that were looked for in the prefix cache"),
        ("prefix_hit_tokens", tally.prefix_hit_tokens, "Of these, those that were there and not computed again"),
        ("preempted", tally.preempted, "Answers that had to wait for others in the middle"),
        ("prefill_fetched", tally.prefill_fetched, "Prompts that a worker elsewhere computed"),
        ("prefill_fetched_tokens", tally.prefill_tokens, "Tokens of these"),
        ("prefill_fetched_bytes", tally.prefill_bytes, "Bytes of their keys and values"),
        ("prefill_failed", tally.prefill_failed, "Prompts that a worker began and did not end"),
    ):
        yield CounterMetricFamily(f"kinflow_serving_{name}", text, value=total)
    for name, value, text in (
        ("active", visits.active, "Requests under way"),
        ("running", sum(one.running for one in loads), "Sequences in use"),
        ("waiting", sum(one.waiting for one in loads), "Requests that wait for a sequence"),
        ("kv_held_tokens", tally.held_tokens, "Tokens whose keys and values are held"),
        ("kv_room_tokens", tally.room_tokens, "Tokens whose keys and values there is room for"),
        ("stalled_seconds", max((one.stalled_s for one in opened), default=0.0), "How long a step has been running"),
    ):
        yield GaugeMetricFamily(f"kinflow_serving_{name}", text, value=value)
    yield _histogram("queue_seconds", tally.waited_s, "From asking to having a sequence")
    yield _histogram("first_token_seconds", tally.first_s, "From asking to the first token")
    yield _histogram("between_tokens_seconds", tally.between_s, "Between two tokens of one answer")
    yield _histogram("step_rows", tally.rows, "Rows of a step")
    yield _histogram("step_budget_rows", tally.budget_rows, "Rows that a step was allowed")


def exposition(service: Service | None) -> bytes:
    """In Prometheus's text format, of a server that has nothing else to tell."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(service))
    return generate_latest(registry)


class _Scrape:
    def __init__(self, service: Service | None) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        return collect(self._service)


def _histogram(name: str, found: Histogram, text: str) -> HistogramMetricFamily:
    bounds = [*(str(one) for one in found.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(found.counts), strict=True))
    return HistogramMetricFamily(f"kinflow_serving_{name}", text, buckets=buckets, sum_value=found.total)
