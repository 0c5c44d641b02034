"""Azure's traces of language models (Azure/AzurePublicDataset, CC BY 4.0): conversation and code, of 2023 (times
without a zone, seven digits) and of 2024 (times with one)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.table import rows_of
from benchmarks.serving.traces.trace import Row, Trace, counted, in_order

TIME, PROMPT, ANSWER = "TIMESTAMP", "ContextTokens", "GeneratedTokens"
COLUMNS = (TIME, PROMPT, ANSWER)


def read_azure(path: Path, limit: int | None = None) -> Trace:
    """limit: the first so many rows. Raises TraceUnreadable (KF462)."""
    return in_order(path.name.partition(".")[0], islice(_rows(path), limit))


def _rows(path: Path) -> Iterator[Row]:
    for number, cells in rows_of(path, COLUMNS):
        prompt, answer = (counted(cells[name], name, path, number) for name in (PROMPT, ANSWER))
        yield Row(_moment(cells[TIME], path, number), prompt, answer)


def _moment(text: str, path: Path, line: int) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        detail = f"{TIME} is {text[:40]!r}, not a date and a time"
        raise TraceUnreadable(path=path, line=line, detail=detail) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
