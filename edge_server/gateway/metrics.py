"""What Prometheus scrapes: ingest's figures, and the fleet and the roads as the dashboard shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge_server.gateway.views import StateView
from edge_server.ingest.figures import IngestFigures
from edge_server.store.room import STAGES
from models.serving.metrics import collect
from models.serving.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Scrape:
    def __init__(self, figures: IngestFigures, state: StateView, readers: int, service: Service | None) -> None:
        self._figures = figures
        self._state = state
        self._readers = readers
        self._service = service

    def collect(self) -> Iterator[Metric]:
        figures, state = self._figures, self._state
        for name, value, text in (
            ("received", figures.received, "Messages taken from the broker, good or bad"),
            ("stored", figures.stored, "New messages committed"),
            ("duplicate", figures.duplicates, "Messages that were known already"),
            ("given_up", figures.given_up, "Readings that came and were not stored for want of room"),
            ("shed", figures.shed, "Messages left unacknowledged; their devices send them again"),
            (
                "held_off",
                figures.held_off,
                "Alarms and gaps that memory had no room for; their devices send them again",
            ),
            (
                "broker_dropped",
                figures.broker_dropped,
                "Messages that the broker's full queue dropped; their devices send them again",
            ),
        ):
            yield CounterMetricFamily(f"kinflow_{name}_messages", text, value=value)
        yield CounterMetricFamily("kinflow_commits", "Commits of the store", value=figures.commits)
        rejected = CounterMetricFamily("kinflow_rejected_messages", "Messages refused, by error code", labels=["code"])
        for code, count in figures.rejected.items():
            rejected.add_metric([code], count)
        yield rejected
        for name, value, text in (
            ("waiting_messages", figures.waiting, "Messages between broker and store"),
            ("shedding", int(figures.shedding), "1 while observations are left out because too many come"),
            ("disk_full", int(figures.disk_full), "1 while the store has no room"),
            ("disk_stage", STAGES.index(figures.disk), "Room for the store: 0 ok, 1 low, 2 very low, 3 full"),
            ("broker_connected", int(all(one.broker_connected for one in state.servers)), "1 while the link stands"),
            ("event_streams", self._readers, "Open event streams"),
            ("standing_alarms", sum(alarm.active for alarm in state.alarms), "Alarms raised and not cleared"),
        ):
            yield GaugeMetricFamily(f"kinflow_{name}", text, value=value)
        devices = GaugeMetricFamily("kinflow_devices", "Devices by state", labels=["state"])
        for state_name, count in Counter(device.state for device in state.devices).items():
            devices.add_metric([state_name], count)
        yield devices
        index = GaugeMetricFamily("kinflow_congestion_index", "Latest index of an approach, 0..1", labels=["approach"])
        for approach in state.approaches:
            if approach.index is not None and approach.index.value is not None:
                index.add_metric([approach.id], approach.index.value)
        yield index
        yield from collect(self._service)


def exposition(figures: IngestFigures, state: StateView, readers: int, service: Service | None = None) -> bytes:
    """The metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(figures, state, readers, service))
    return generate_latest(registry)
