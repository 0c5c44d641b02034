"""BurstGPT's files (HPMLL/BurstGPT; arXiv 2401.17644), with six columns or with eight, two of which are new in the
middle of the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.table import rows_of
from benchmarks.serving.traces.trace import Row, Trace, counted, in_order, seconds

TIME, PROMPT, ANSWER, TOTAL = "Timestamp", "Request tokens", "Response tokens", "Total tokens"
MODEL, KIND = "Model", "Log Type"
COLUMNS = (TIME, MODEL, PROMPT, ANSWER, TOTAL, KIND)
SESSION = "Session ID"
# Of the published files, without their headers.
PUBLISHED_ROWS = {
    "BurstGPT_1.csv": 1_429_737,
    "BurstGPT_3.csv": 5_344_021,
    "BurstGPT_without_fails_2.csv": 3_784_213,
}


def read_burstgpt(path: Path, limit: int | None = None) -> Trace:
    """tenant: the model that was asked. A failed request has no tokens of an answer. limit: the first so many rows;
    without one, a published file must have all of its own. Raises TraceUnreadable (KF462)."""
    rows = list(islice(_rows(path), limit))
    published = PUBLISHED_ROWS.get(path.name)
    if limit is None and published is not None and len(rows) != published:
        detail = f"{len(rows)} rows are there, and the published {path.name} has {published}; a part needs another name"
        raise TraceUnreadable(path=path, line=len(rows) + 2, detail=detail)
    return in_order(path.name.partition(".")[0], rows)


def _rows(path: Path) -> Iterator[Row]:
    for number, cells in rows_of(path, COLUMNS, (SESSION,)):
        prompt = counted(cells[PROMPT], PROMPT, path, number)
        answer = counted(cells[ANSWER], ANSWER, path, number)
        total = counted(cells[TOTAL], TOTAL, path, number)
        # Of a failed request nobody says what its total counts.
        if answer and total != prompt + answer:
            detail = f"{cells[TOTAL]} tokens in total are not {prompt} and {answer}"
            raise TraceUnreadable(path=path, line=number, detail=detail)
        yield Row(seconds(cells[TIME], TIME, path, number), prompt, answer, tenant=cells[MODEL])
