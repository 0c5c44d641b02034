"""Which reader a trace needs: told by its name and by its header, never guessed from positions."""

from __future__ import annotations

from pathlib import Path

from benchmarks.errors import TraceUnknown
from benchmarks.serving.traces import azure, burstgpt
from benchmarks.serving.traces.azure import read_azure
from benchmarks.serving.traces.burst_shaped import burst_shaped
from benchmarks.serving.traces.burstgpt import read_burstgpt
from benchmarks.serving.traces.clients import made_of, population, read_clients
from benchmarks.serving.traces.mooncake import read_mooncake
from benchmarks.serving.traces.table import header_of
from benchmarks.serving.traces.trace import Trace

PACKED = (".xz", ".gz")
MADE = ("made:burstgpt", "made:clients")


def open_trace(named: str, limit: int | None = None, *, seed: int = 0, hours: float = 1.0) -> Trace:
    """named: a file, or one of MADE. limit: the first so many requests. seed, hours: of one that is made. Raises
    TraceUnreadable (KF462), TraceUnknown (KF463)."""
    if named == "made:burstgpt":
        return burst_shaped(hours, seed, limit=limit)
    if named == "made:clients":
        return made_of(population(seed=seed), hours * 3600, seed, limit)
    path = Path(named)
    kind = next((one for one in reversed(path.suffixes) if one not in PACKED), "")
    if kind == ".toml":
        return made_of(read_clients(path), hours * 3600, seed, limit)
    if kind in (".jsonl", ".json"):
        return read_mooncake(path, limit)
    if kind == ".csv":
        header = set(header_of(path))
        if set(azure.COLUMNS) <= header:
            return read_azure(path, limit)
        if set(burstgpt.COLUMNS) <= header:
            return read_burstgpt(path, limit)
        raise TraceUnknown(name=named, detail=f"no reader takes the columns {', '.join(sorted(header))[:200]}")
    raise TraceUnknown(name=named, detail="its name ends neither in .csv, .jsonl nor .toml (.xz and .gz may follow)")
