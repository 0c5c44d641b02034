"""A trace: when somebody asked, with how much, and how much was answered."""

from __future__ import annotations

import gzip
import lzma
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.errors import TraceUnreadable

MOST_TOKENS = 10_000_000


class Row(Struct, frozen=True):
    """time_s: since the trace's first request. output_tokens: 0 where the answer failed at the time. blocks: ids of the
    prompt's blocks, from its beginning; two prompts that share an id share all up to that block's end. tenant: whose it
    was, "" where nobody tells."""

    time_s: float
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    tenant: str = ""


class Trace(Struct, frozen=True):
    """rows: in the order of their times. block_tokens: of a block, 0 where there are none; a prompt's last block may be
    shorter. synthetic: how it was made, "" where people made it."""

    name: str
    rows: tuple[Row, ...]
    block_tokens: int = 0
    synthetic: str = ""

    def smaller(self, factor: int) -> Trace:
        """Prompts, answers and blocks of a `factor`-th of their length, for a smaller machine: the same ids, the same
        share that is found again. Nothing is shorter than a token."""
        if self.block_tokens % factor:
            raise ValueError(f"blocks of {self.block_tokens} tokens can't be divided by {factor}")

        def less(tokens: int) -> int:
            return -(-tokens // factor)

        rows = [
            replace(one, input_tokens=less(one.input_tokens), output_tokens=less(one.output_tokens))
            for one in self.rows
        ]
        return replace(self, rows=tuple(rows), block_tokens=self.block_tokens // factor)


def in_order(name: str, rows: Iterable[Row], block_tokens: int = 0, synthetic: str = "") -> Trace:
    """A trace that begins with its first request, at 0."""
    ordered = sorted(rows, key=lambda one: one.time_s)
    first_s = ordered[0].time_s if ordered else 0.0
    moved = (replace(one, time_s=one.time_s - first_s) for one in ordered)
    return Trace(name, tuple(moved), block_tokens, synthetic)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not empty; `.xz` and `.gz` are unpacked. Raises TraceUnreadable (KF462)."""
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield number, text
    except UnicodeDecodeError as error:
        raise TraceUnreadable(path=path, line=number, detail="it is no UTF-8 text") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise TraceUnreadable(path=path, line=number + 1, detail=f"reading ended with {error}") from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return lzma.open(path)
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def counted(text: object, what: str, path: Path, line: int) -> int:
    """A number of tokens. Raises TraceUnreadable (KF462)."""
    try:
        # Some tools write 472.0.
        value = float(text)  # type: ignore[arg-type]
        if isinstance(text, bool) or not value.is_integer() or not 0 <= value <= MOST_TOKENS:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        detail = f"{what} is {str(text)[:40]!r}, not a whole number from 0 to {MOST_TOKENS}"
        raise TraceUnreadable(path=path, line=line, detail=detail) from error
    return int(value)


def seconds(text: object, what: str, path: Path, line: int) -> float:
    """Raises TraceUnreadable (KF462)."""
    try:
        value = float(text)  # type: ignore[arg-type]
        if isinstance(text, bool) or not math.isfinite(value) or value < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        detail = f"{what} is {str(text)[:40]!r}, not a time from 0 on"
        raise TraceUnreadable(path=path, line=line, detail=detail) from error
    return value
