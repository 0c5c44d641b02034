"""What the accounts say together: the agents' ledgers, the edge server's store, the controllers' journal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchmarks.chaos.controllers import Line
from benchmarks.chaos.ledger import Entry

Key = tuple[str, str, int]
# The process looks ten times a second and says so once; a busy machine may be late.
SILENT_MS = 10_000
# Under an edge server the longest wait for a green is two minutes (edge_server/signals/safety.py).
STANDSTILL_MS = 150_000


def alarms_lost(ledger: Iterable[Entry], stored: Iterable[Key]) -> list[Entry]:
    """Those that the outbox had taken and that never came into the store."""
    found = set(stored)
    return [one for one in ledger if one.step == "kept" and (one.source, one.boot, one.seq) not in found]


def duplicated(rows: Iterable[tuple[str, str, int, str]]) -> int:
    """rows: (source, boot, number, what distinguishes its content, or ""). How many are there again, by their number or
    by their content: a copy that took a new number is a copy all the same."""
    by_key: Counter[Key] = Counter()
    by_content: Counter[tuple[str, str]] = Counter()
    for source, boot, seq, content in rows:
        by_key[source, boot, seq] += 1
        if content:
            by_content[source, content] += 1
    return sum(count - 1 for counter in (by_key, by_content) for count in counter.values())


def unplanned(lines: Iterable[Line], intersection: str, step_ms: int) -> list[str]:
    """A line for each time that a controller's lamps followed no plan while its process lived: they flashed or were
    dark, nobody moved them, or they stood still for longer than the local plan's longest step, `step_ms`, allows (under
    an edge server: STANDSTILL_MS)."""
    found: list[str] = []
    last: Line | None = None
    changed_ms = began_ms = 0
    for line in lines:
        if line.what != "look" or line.intersection != intersection:
            continue
        fresh = last is None or last.life != line.life
        if fresh or last.shown != line.shown:
            changed_ms = line.mono_ms
        if fresh or last.source != line.source:
            began_ms = line.mono_ms
            if line.source == "flash":
                found.append(f"{intersection}: in flash")
        if not fresh and line.mono_ms - last.mono_ms > SILENT_MS:
            found.append(f"{intersection}: not moved for {(line.mono_ms - last.mono_ms) / 1000:.1f} s")
        still_ms = line.mono_ms - (max(changed_ms, began_ms) if line.source == "local" else changed_ms)
        if still_ms > (step_ms if line.source == "local" else STANDSTILL_MS):
            found.append(f"{intersection}: the same lamps for {still_ms / 1000:.1f} s by the {line.source} plan")
            changed_ms = began_ms = line.mono_ms
        last = line
    return found if last is not None else [f"{intersection}: never looked at"]
