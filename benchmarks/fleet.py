"""`bench fleet`: how the edge server bears 10, 100, 1,000 and 5,000 simulated devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.edge import Figures, Setting, measure

STEPS = (10, 100, 1_000, 5_000)
PER_DEVICE_PER_S = 2.0
MOST_PER_S = 1_000.0


class FleetFigures(Struct, kw_only=True):
    """rss_mb: the edge server's peak. p99_ms: from publish to the dashboard's event."""

    devices: int
    rate_per_s: float
    messages_per_s: float
    rss_mb: float
    p50_ms: float | None
    p99_ms: float | None
    lost: int
    duplicated: int
    held_back: int
    reconnected: int
    edge_cpu_percent: float
    broker: str
    open_files_limit: int


def rate_of(devices: int) -> float:
    """Two a second each, as an agent with one camera sends, up to what one bench may offer in all."""
    return min(devices * PER_DEVICE_PER_S, MOST_PER_S)


def fleet(devices: int, seconds: float, broker: str) -> FleetFigures:
    figures: Figures = measure(Setting(broker, devices, rate_of(devices), seconds))
    return FleetFigures(
        devices=devices,
        rate_per_s=figures.rate_per_s,
        messages_per_s=figures.messages_per_s,
        rss_mb=figures.edge_peak_rss_mb,
        p50_ms=figures.p50_event_ms,
        p99_ms=figures.p99_event_ms,
        lost=figures.lost,
        duplicated=figures.duplicated,
        held_back=figures.held_back,
        reconnected=figures.reconnected,
        edge_cpu_percent=figures.edge_cpu_percent,
        broker=broker,
        open_files_limit=figures.open_files_limit,
    )


def plot(runs: Sequence[FleetFigures], path: Path) -> None:
    """Rate, memory and delay over the number of devices, as a picture."""
    import matplotlib as mpl  # noqa: PLC0415 (only a plot needs it, and only the dev extra has it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    devices = [run.devices for run in runs]
    panels = (
        ("messages a second", [run.messages_per_s for run in runs], [run.rate_per_s for run in runs]),
        ("edge server's peak memory, MB", [run.rss_mb for run in runs], None),
        ("publish to event, p99, ms", [run.p99_ms or 0.0 for run in runs], None),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.2), constrained_layout=True)
    for axis, (title, values, offered) in zip(axes, panels, strict=True):
        if offered is not None:
            axis.plot(devices, offered, "--", color="0.6", label="offered")
        axis.plot(devices, values, "o-", color="#1f5fbf", label="measured")
        for x, y in zip(devices, values, strict=True):
            axis.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        axis.set(title=title, xlabel="devices", xscale="log", ylim=(0, max(values) * 1.25 or 1.0))
        axis.set_xticks(devices, [f"{one:,}" for one in devices])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
