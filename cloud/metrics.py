"""What Prometheus scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from cloud.edge_view import EdgeState, EdgeView
from models.serving.metrics import collect
from models.serving.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Scrape:
    def __init__(self, edges: Sequence[EdgeView], service: Service | None) -> None:
        self._edges, self._service = edges, service

    def collect(self) -> Iterator[Metric]:
        by_state = Counter(one.state for one in self._edges)
        states = GaugeMetricFamily("kinflow_cloud_edges", "Edge servers by state", labels=["state"])
        for state in get_args(EdgeState):
            states.add_metric([state], by_state[state])
        yield states
        devices = GaugeMetricFamily("kinflow_cloud_devices_online", "Devices online, as reported", labels=["edge"])
        alarms = GaugeMetricFamily("kinflow_cloud_alarms", "Standing alarms, as reported", labels=["edge", "severity"])
        for one in self._edges:
            devices.add_metric([one.edge], one.devices_online)
            for severity in ("info", "warning", "critical"):
                alarms.add_metric([one.edge, severity], getattr(one.alarms, severity))
        yield devices
        yield alarms
        yield from collect(self._service)


def exposition(edges: Sequence[EdgeView], service: Service | None = None) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(edges, service))
    return generate_latest(registry)
