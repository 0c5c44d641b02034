"""What a file says of the whole that it was cut from, and of its tokenizer.

A segment holds blocks first..last (counted from 0) of a whole with `whole_blocks` blocks. Only the first takes tokens;
the others take the hidden states of the block before theirs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from models.gguf.fields import Field, FieldType, encode, text, whole
from models.gguf.header import Header

SOURCE = "kinflow.segment.source_sha256"
TOKENIZER = "kinflow.segment.tokenizer_sha256"
FIRST = "kinflow.segment.first_block"
TOTAL = "kinflow.segment.whole_blocks"
# What a file says about text without changing which tokens a text has.
NOT_THE_TOKENIZER = ("tokenizer.chat_template", "tokenizer.ggml.chat_template")


@dataclass(frozen=True)
class Segment:
    source: str
    tokenizer: str
    first: int
    blocks: int
    whole_blocks: int

    @property
    def takes_tokens(self) -> bool:
        return self.first == 0

    @property
    def gives_logits(self) -> bool:
        return self.first + self.blocks == self.whole_blocks

    def fields(self) -> dict[str, Field]:
        return {
            SOURCE: text(self.source),
            TOKENIZER: text(self.tokenizer),
            FIRST: whole(self.first),
            TOTAL: whole(self.whole_blocks),
        }


def segment_of(header: Header) -> Segment | None:
    """None for a file that was not cut from another."""
    if SOURCE not in header.fields:
        return None
    numbers = [header.fields[key].value for key in (FIRST, TOTAL) if key in header.fields]
    if len(numbers) != 2 or not all(isinstance(one, int) for one in numbers):
        return None
    first, total = (int(str(one)) for one in numbers)
    return Segment(header.text(SOURCE), tokenizer_of(header), first, header.whole("block_count"), total)


def tokenizer_of(header: Header) -> str:
    """SHA-256 over all that decides which tokens a text has; a segment without a tokenizer quotes its whole's."""
    if header.text(TOKENIZER):
        return header.text(TOKENIZER)
    digest = hashlib.sha256()
    for key in sorted(header.fields):
        if key.startswith("tokenizer.") and not key.startswith(NOT_THE_TOKENIZER):
            digest.update(key.encode() + b"\0" + encode(_plain(header.fields[key])))
    return digest.hexdigest()


def _plain(field: Field) -> Field:
    """Writers differ in how wide they make a whole number; that makes no other tokenizer."""
    if isinstance(field.value, int) and not isinstance(field.value, bool):
        return Field(FieldType.INT64, field.value)
    return field
