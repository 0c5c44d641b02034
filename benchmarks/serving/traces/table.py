"""A CSV with a header: columns are found by their names, wherever they stand."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.trace import lines_of


def header_of(path: Path) -> list[str]:
    """Names of its columns. Raises TraceUnreadable (KF462)."""
    for number, text in lines_of(path):
        return _cells(path, number, text)
    raise TraceUnreadable(path=path, line=1, detail="the file is empty")


def rows_of(path: Path, wanted: Sequence[str], also: Sequence[str] = ()) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Number of each line, and its cells by the name of the column. wanted: columns that must be there; also: those
    that may. Raises TraceUnreadable (KF462)."""
    lines = lines_of(path)
    first, text = next(lines, (1, ""))
    header = _cells(path, first, text)
    places = {name: place for place, name in enumerate(header) if name in (*wanted, *also)}
    missing = [name for name in wanted if name not in places]
    if missing:
        detail = f"the header has no column {missing[0]!r}; it has {', '.join(header)[:200]}"
        raise TraceUnreadable(path=path, line=first, detail=detail)
    if len(set(header)) != len(header):
        raise TraceUnreadable(path=path, line=first, detail="two columns have one name")
    for number, line in lines:
        cells = _cells(path, number, line)
        if len(cells) != len(header):
            detail = f"it has {len(cells)} cells, and the header has {len(header)}"
            raise TraceUnreadable(path=path, line=number, detail=detail)
        yield number, {name: cells[place] for name, place in places.items()}


def _cells(path: Path, number: int, text: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], strict=True))]
    except (csv.Error, StopIteration) as error:
        raise TraceUnreadable(path=path, line=number, detail=f"it is no line of a CSV ({error})") from error
