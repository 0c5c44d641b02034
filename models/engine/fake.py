"""A fake engine, named as one: its logits are a hash of what the sequence holds. For tests that need an engine's ways
and not its words; it holds to the same contract as llama.cpp for sequences, batches, sampling and stopping."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.engine.port import Facts, Floats, Masker, Memory, Output, Piece, Portion
from models.engine.state import pack, unpack
from models.errors import ContextTooLong, EngineFull, PrimitiveImpossible, SchemaRefused, StateForeign

BEGIN, END, FIRST_BYTE = 0, 1, 2
VOCABULARY = FIRST_BYTE + 256


class FakeEngine:
    def __init__(self, *, context_tokens: int = 256, sequences: int = 4, seed: int = 0) -> None:
        self._seed = seed
        self._held: list[list[int]] = [[] for _ in range(sequences)]
        # Of each token the place in the room that all share: what was copied stands in the same.
        self._places: list[list[int]] = [[] for _ in range(sequences)]
        self._fresh = itertools.count()
        self._facts = Facts(
            fingerprint=hashlib.sha256(f"fake {seed}".encode()).hexdigest(),
            architecture="fake",
            memory=Memory.FULL,
            vocabulary=VOCABULARY,
            width=0,
            blocks=0,
            context_tokens=context_tokens,
            sequences=sequences,
            begin=BEGIN,
            ends=frozenset({END}),
            engine="fake",
            source=hashlib.sha256(f"fake {seed}".encode()).hexdigest(),
        )

    @property
    def facts(self) -> Facts:
        return self._facts

    def length(self, sequence: int) -> int:
        if not 0 <= sequence < len(self._held):
            raise ValueError(f"there is no sequence {sequence}")
        return len(self._held[sequence])

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        if len({piece.sequence for piece in pieces}) != len(pieces) or not all(piece.rows for piece in pieces):
            raise ValueError("a step takes one piece of each sequence, and none without rows")
        limit = self._facts.context_tokens
        for piece in pieces:
            if piece.hidden is not None:
                raise self._impossible("hidden states")
            if not all(0 <= token < VOCABULARY for token in piece.tokens):
                raise ValueError(f"a token outside of 0 to {VOCABULARY - 1}")
            total = self.length(piece.sequence) + piece.rows
            if total > limit:
                raise ContextTooLong(tokens=total, excess_tokens=total - limit, limit_tokens=limit)
        held, more = len(set().union(*self._places)), sum(piece.rows for piece in pieces)
        if held + more > limit:
            raise EngineFull(detail=f"{held} of {limit} tokens are held, {more} more came")
        return [self._ran(piece) for piece in pieces]

    def _ran(self, piece: Piece) -> Output:
        rows = []
        for place, token in enumerate(piece.tokens):
            self._append(piece.sequence, token)
            if piece.wanted == "all" or (piece.wanted == "last" and place == piece.rows - 1):
                rows.append(self._logits(self._held[piece.sequence]))
        return Output(np.array(rows, np.float32).reshape(len(rows), VOCABULARY))

    def _append(self, sequence: int, *tokens: int) -> None:
        self._held[sequence] += tokens
        self._places[sequence] += itertools.islice(self._fresh, len(tokens))

    def _logits(self, tokens: Sequence[int]) -> Floats:
        digest = hashlib.sha256(repr((self._seed, tuple(tokens))).encode()).digest()
        logits = np.random.default_rng(np.frombuffer(digest, np.uint32)).normal(0, 2, VOCABULARY)
        return logits.astype(np.float32)

    def rollback(self, sequence: int, length: int) -> None:
        if not 0 <= length <= self.length(sequence):
            raise ValueError(f"the sequence holds {self.length(sequence)} tokens, not {length}")
        del self._held[sequence][length:], self._places[sequence][length:]

    def copy(self, source: int, target: int) -> None:
        if self.length(target):
            raise ValueError(f"sequence {target} is not empty")
        self.length(source)
        self._held[target], self._places[target] = list(self._held[source]), list(self._places[source])

    def export(self, sequence: int, start: int = 0, end: int | None = None) -> Portion:
        held = self.length(sequence)
        end = held if end is None else end
        if not 0 <= start < end <= held:
            raise ValueError(f"the sequence holds {held} tokens, not {start} to {end}")
        data = msgspec.json.encode(self._held[sequence][start:end])
        return pack(self._facts, start, end, data, whole=(start, end) == (0, held))

    def exports(self, sequence: int, start: int, size: int) -> Iterator[Portion]:
        return (self.export(sequence, one, one + size) for one in range(start, self.length(sequence) - size + 1, size))

    def adopt(self, sequence: int, *portions: Portion) -> None:
        held, found = self.length(sequence), list[int]()
        for portion in portions:
            data = unpack(portion, self._facts, held + len(found))
            try:
                tokens = msgspec.json.decode(data, type=list[int])
            except msgspec.DecodeError as error:
                raise StateForeign(detail="it is none of a fake engine") from error
            if len(tokens) != portion.end - portion.start:
                raise StateForeign(detail=f"{len(tokens)} tokens where {portion.end - portion.start} were to be")
            found += tokens
        self._append(sequence, *found)

    def steer(self, directions: Mapping[int, NDArray[Any]]) -> None:
        if directions:
            raise self._impossible("steering")

    def tokenize(self, text: str, *, begin: bool = False, control: bool = False) -> list[int]:
        del control  # it has no spelling for them
        data, limit = text.encode("utf-8", "replace"), self._facts.context_tokens
        if len(data) > 2 * limit + 4096:
            raise ContextTooLong(tokens=len(data), excess_tokens=len(data) - limit, limit_tokens=limit)
        return [BEGIN] * begin + [FIRST_BYTE + one for one in text.encode("utf-8", "replace")]

    def piece(self, token: int) -> bytes:
        if not 0 <= token < VOCABULARY:
            raise ValueError(f"a token outside of 0 to {VOCABULARY - 1}")
        return bytes([token - FIRST_BYTE]) if token >= FIRST_BYTE else b""

    def masker(self, grammar: str) -> Masker:
        raise SchemaRefused(detail=f"the fake engine has no grammars, not even one of {len(grammar)} letters")

    def stop(self) -> None:
        """A step is over before anybody could."""

    def close(self) -> None:
        self._held.clear()
        self._places.clear()

    def _impossible(self, primitive: str) -> PrimitiveImpossible:
        return PrimitiveImpossible(primitive=primitive, what="the fake engine", detail="it has no blocks")
