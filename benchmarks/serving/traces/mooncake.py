"""Mooncake's traces (kvcache-ai/Mooncake; arXiv 2407.00079): JSON lines with the hash ids of prompts' blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.trace import Row, Trace, counted, in_order, lines_of

BLOCK_TOKENS = 512


class _Line(Struct, frozen=True):
    """timestamp: milliseconds."""

    timestamp: Annotated[float, Meta(ge=0)]
    input_length: int
    output_length: int
    hash_ids: tuple[Annotated[int, Meta(ge=0)], ...]


def read_mooncake(path: Path, limit: int | None = None, block_tokens: int = BLOCK_TOKENS) -> Trace:
    """limit: the first so many lines. Raises TraceUnreadable (KF462)."""
    return in_order(path.name.partition(".")[0], islice(_rows(path, block_tokens), limit), block_tokens)


def _rows(path: Path, block_tokens: int) -> Iterator[Row]:
    decode = msgspec.json.Decoder(_Line).decode
    for number, text in lines_of(path):
        try:
            line = decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TraceUnreadable(path=path, line=number, detail=error) from error
        prompt = counted(line.input_length, "input_length", path, number)
        answer = counted(line.output_length, "output_length", path, number)
        # Fewer there may be: what has none is shared with nobody.
        if len(line.hash_ids) > -(-prompt // block_tokens):
            wanted = f"{-(-prompt // block_tokens)} blocks of {block_tokens} tokens"
            detail = f"{prompt} tokens are {wanted}, and there are {len(line.hash_ids)} hash_ids"
            raise TraceUnreadable(path=path, line=number, detail=detail)
        yield Row(line.timestamp / 1000, prompt, answer, line.hash_ids)
