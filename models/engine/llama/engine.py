"""One llama.cpp context behind the port."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.batch import Batch
from models.engine.llama.grammar import LlamaMasker
from models.engine.llama.kv_data import Shape, check, shape_of
from models.engine.llama.kv_parts import Parts, joined
from models.engine.llama.library import forget_words, last_words, library
from models.engine.llama.stopper import Stopper
from models.engine.llama.tap import Tap
from models.engine.llama.weights import Loaded
from models.engine.llama.words import Words
from models.engine.port import Facts, Floats, Memory, Output, Piece, Portion, Wanted
from models.engine.state import pack, unpack
from models.errors import (
    ContextTooLong,
    EngineFailed,
    EngineFull,
    EngineStopped,
    HiddenForeign,
    PrimitiveImpossible,
    WeightsRefused,
)
from models.gguf.kinds import Kind
from models.gguf.segment import segment_of

NO_SLOT, STOPPED = 1, 2
# References to an array that is held by an attribute alone, while it is counted.
ONLY_OURS = 2
KV_KINDS = {"f32": Kind.F32, "f16": Kind.F16, "q8_0": Kind.Q8_0}


@dataclass(frozen=True)
class Options:
    """context_tokens: room for all sequences together. batch_tokens: most rows computed at once. threads: 0 for one a
    processor. tap: the block behind which residuals are read. ends_at_tap: compute nothing above it, so that there are
    no logits. routing: read the routers of a mixture of experts. keep_windows: hold a sliding window's tokens only,
    which saves memory and gives up ranges behind it. shared: all sequences share one room, so that one may hold as many
    tokens as all of it; else each has its own part, and a step looks at no others' (with full attention and without a
    tap; they share it otherwise). kv: how keys and values are kept. flash: fused attention, where there is some:
    faster, and on a CPU it sums in F16, whatever kv is."""

    context_tokens: int = 2048
    sequences: int = 1
    batch_tokens: int = 512
    threads: int = 0
    tap: int | None = None
    ends_at_tap: bool = False
    routing: bool = False
    keep_windows: bool = False
    shared: bool = True
    kv: Literal["f32", "f16", "q8_0"] = "f16"
    flash: bool = True


class LlamaEngine:
    """Belongs to the thread that uses it; `stop` may come from any."""

    def __init__(self, weights: Loaded, options: Options = Options()) -> None:
        """Raises WeightsRefused (KF393), PrimitiveImpossible (KF395)."""
        self._lib = lib = library()
        self._weights = weights
        self._options = options
        if options.tap is not None and not 0 <= options.tap < weights.blocks:
            raise self._impossible("a tap", f"it has the blocks 0 to {weights.blocks - 1}")
        experts = weights.header.whole("expert_count")
        if options.routing and not experts:
            raise self._impossible("a router tap", "it has no experts")
        self._tap = (
            Tap(lib, weights.blocks, options.tap, ends_there=options.ends_at_tap, routing=options.routing)
            if options.tap is not None or options.routing
            else None
        )
        # What a tap shows is told apart by its order, which parts of their own don't keep.
        self._shared = options.shared or self._tap is not None or weights.memory is not Memory.FULL
        self._streams = 1 if self._shared else options.sequences
        self._context = self._opened()
        weights.users.add(id(self))
        self._memory = lib.llama.llama_get_memory(self._context)
        self._stopper = Stopper(lib, self._context)
        self._batch = Batch(lib, options.batch_tokens)
        limit = options.context_tokens // self._streams
        self._words = Words(lib, weights.vocabulary, weights.tokens, limit)
        self._lengths = [0] * options.sequences
        self._rows: dict[int, Floats] = {}
        self._given: Floats = np.empty((0, 0), np.float32)
        self._shape: Shape | None = None
        # Where the room is shared, ranges are cut out by way of a sequence that nobody else uses.
        self._spare = options.sequences
        segment = segment_of(weights.header)
        self._facts = Facts(
            fingerprint=weights.fingerprint,
            architecture=weights.header.architecture,
            memory=weights.memory,
            vocabulary=weights.tokens,
            width=weights.width,
            blocks=weights.blocks,
            context_tokens=options.context_tokens,
            sequences=options.sequences,
            sequence_tokens=0 if self._shared else options.context_tokens // options.sequences,
            window_tokens=weights.window_tokens,
            trained_tokens=weights.header.whole("context_length"),
            experts=experts,
            begin=weights.begin,
            ends=weights.ends,
            layout=_layout(options),
            engine=lib.name,
            source=segment.source if segment is not None else weights.fingerprint,
            first_block=segment.first if segment is not None else 0,
            whole_blocks=segment.whole_blocks if segment is not None else weights.blocks,
        )

    def _opened(self) -> Any:
        llama, options = self._lib.llama, self._options
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = options.context_tokens
        parameters.n_batch = parameters.n_ubatch = options.batch_tokens
        parameters.n_seq_max = options.sequences + self._shared
        parameters.n_threads = parameters.n_threads_batch = options.threads or os.cpu_count() or 1
        parameters.kv_unified = self._shared
        parameters.swa_full = not options.keep_windows
        parameters.type_k = parameters.type_v = KV_KINDS[options.kv]
        auto, off = llama.LLAMA_FLASH_ATTN_TYPE_AUTO, llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.flash_attn_type = auto if options.flash else off
        parameters.no_perf = True
        if self._tap is not None:
            parameters.cb_eval = self._tap.callback
        forget_words()
        context = llama.llama_init_from_model(self._weights.handle, parameters)
        if not context:
            raise WeightsRefused(path=self._weights.path, detail=last_words("no context could be opened"))
        return context

    @property
    def facts(self) -> Facts:
        return self._facts

    def length(self, sequence: int) -> int:
        # None has any once the engine is closed: nothing reaches the library then.
        if not 0 <= sequence < len(self._lengths):
            raise ValueError(f"there is no sequence {sequence}")
        return self._lengths[sequence]

    # --- computing ----------------------------------------------------------------------------------------------------

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        self._check(pieces)
        before = list(self._lengths)
        self._stopper.begin()
        outputs: list[Output | None] = [None] * len(pieces)
        try:
            for group in self._groups(pieces):
                for index, output in zip(group, self._run([pieces[one] for one in group]), strict=True):
                    outputs[index] = output
        except EngineFull:
            # The library has taken nothing of the call that failed; an earlier call of this step may have run.
            self._undo(before, [one.sequence for one in pieces if self._lengths[one.sequence] != before[one.sequence]])
            raise
        except (EngineStopped, EngineFailed):
            self._undo(before, [piece.sequence for piece in pieces])
            raise
        return [output for output in outputs if output is not None]

    def _check(self, pieces: Sequence[Piece]) -> None:
        if len({piece.sequence for piece in pieces}) != len(pieces) or not all(piece.rows for piece in pieces):
            raise ValueError("a step takes one piece of each sequence, and none without rows")
        for piece in pieces:
            if piece.hidden is None and not self._facts.takes_tokens:
                raise self._impossible("a step from tokens", f"it begins at block {self._facts.first_block} of a whole")
            if piece.wanted != "none" and not self._facts.gives_logits:
                raise self._impossible("a step to logits", "the blocks that would give them are in another segment")
            if piece.hidden is not None and piece.hidden.shape[1:] != (self._facts.width,):
                raise HiddenForeign(detail=f"they are {piece.hidden.shape[1:]} wide, and the model {self._facts.width}")
            if piece.hidden is None and not all(0 <= token < self._facts.vocabulary for token in piece.tokens):
                raise ValueError(f"a token outside of 0 to {self._facts.vocabulary - 1}")
            total = self.length(piece.sequence) + piece.rows
            limit = self._facts.longest_tokens
            if total > limit:
                raise ContextTooLong(tokens=total, excess_tokens=total - limit, limit_tokens=limit)

    def _groups(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Which pieces are computed together: tokens and hidden states can't be, and what a tap shows can only be told
        apart by order, which not every memory keeps."""
        if self._tap is not None and self._facts.memory is not Memory.FULL:
            return [[index] for index in range(len(pieces))]
        if self._shared:
            by_input = [
                [index for index, one in enumerate(pieces) if (one.hidden is None) is told] for told in (True, False)
            ]
            return [group for group in by_input if group]
        # Sequences with parts of their own are computed together as far as their pieces are of one length and stand
        # side by side (llama-batch.cpp, split_equal); cut by ourselves, a long piece stays whole.
        order = sorted(range(len(pieces)), key=lambda index: pieces[index].sequence)
        groups: dict[tuple[bool, int], list[int]] = {}
        for index in order:
            groups.setdefault((pieces[index].hidden is None, pieces[index].rows), []).append(index)
        return list(groups.values())

    def _run(self, pieces: Sequence[Piece]) -> list[Output]:
        """All rows of all pieces, in as many calls as the batch's size asks for."""
        # Plain lists: most steps have a few rows, for which numpy's calls cost more than they save.
        sequences: list[int] = []
        positions: list[int] = []
        wanted: list[int] = []
        for piece in pieces:
            rows, held = piece.rows, self._lengths[piece.sequence]
            sequences += [piece.sequence] * rows
            positions += range(held, held + rows)
            wanted += _wanted(piece.wanted, rows)
        # In the last block only rows with logits are computed to the end; a tap there, or a router, wants them all.
        whole = self._options.routing or self._options.tap == self._facts.blocks - 1
        told = [piece.hidden for piece in pieces if piece.hidden is not None]
        hidden = np.concatenate(told) if told else None
        tokens = [token for piece in pieces for token in piece.tokens]
        if self._tap is not None:
            self._tap.clear()
        logits = []
        for begin in range(0, len(sequences), self._batch.rows):
            part = slice(begin, begin + self._batch.rows)
            outputs = [1] * len(wanted[part]) if whole else wanted[part]
            where = (positions[part], sequences[part], outputs)
            batch = self._batch
            self._compute(batch.tokens(tokens[part], *where) if hidden is None else batch.hidden(hidden[part], *where))
            for sequence in sequences[part]:
                self._lengths[sequence] += 1
            logits.append(self._logits(wanted[part]))
        # Most steps are one call, and a vocabulary's logits are large.
        return self._split(pieces, logits[0] if len(logits) == 1 else np.concatenate(logits), wanted)

    def _compute(self, batch: Any) -> None:
        status = int(self._lib.llama.llama_decode(self._context, batch))
        failure = self._tap.failure if self._tap is not None else None
        if status == STOPPED:
            raise EngineStopped()
        if status == NO_SLOT:
            held = sum(self._lengths)
            raise EngineFull(
                detail=f"{held} of {self._facts.context_tokens} tokens are held, {batch.n_tokens} more came"
            )
        if status or failure is not None:
            raise EngineFailed(detail=failure or last_words(f"status {status}"))

    def _logits(self, wanted: Sequence[int]) -> Floats:
        rows = [] if self._options.ends_at_tap else [row for row, one in enumerate(wanted) if one]
        if not rows:
            return np.empty((0, self._facts.vocabulary), np.float32)
        found = [self._row(self._lib.logits_at(self._context, row)) for row in rows]
        # Most steps want one row, and a vocabulary's logits are large.
        return found[0].copy()[None] if len(found) == 1 else np.stack(found, out=self._room_for(len(found)))

    def _room_for(self, rows: int) -> Floats:
        """What the last step's logits lay in, once nobody holds any of them: memory that was never used is slow."""
        if len(self._given) < rows or sys.getrefcount(self._given) > ONLY_OURS:
            self._given = np.empty((rows, self._facts.vocabulary), np.float32)
        return self._given[:rows]

    def _row(self, address: int) -> Floats:
        """The library's own memory, which the next step writes over. It hands out the same places again and again."""
        found = self._rows.get(address)
        if found is None:
            if len(self._rows) > self._batch.rows:
                self._rows.clear()
            numbers = (ctypes.c_float * self._facts.vocabulary).from_address(address)
            found = self._rows[address] = np.frombuffer(memoryview(numbers).cast("B"), np.float32)
        return found

    def _split(self, pieces: Sequence[Piece], logits: Floats, wanted: Sequence[int]) -> list[Output]:
        total = len(wanted)
        hidden, routing = None, {}
        if self._tap is not None and self._options.tap is not None:
            hidden = self._tap.residual(self._facts.width)
            if len(hidden) != total:
                raise self._impossible("a tap", f"it showed {len(hidden)} of {total} rows")
        if self._tap is not None and self._options.routing:
            routing = self._tap.routing(self._facts.experts)
        outputs, row, seen = [], 0, 0
        for piece in pieces:
            end = row + piece.rows
            count = 0 if self._options.ends_at_tap else sum(wanted[row:end])
            outputs.append(
                Output(
                    logits[seen : seen + count],
                    None if hidden is None else hidden[row:end],
                    {block: one.rows(row, end) for block, one in routing.items()} if routing else None,
                )
            )
            row, seen = end, seen + count
        return outputs

    def _undo(self, before: list[int], touched: Sequence[int]) -> None:
        """Take a half-done step back. Where only whole states are known, what was touched is gone as a whole."""
        for sequence in touched:
            keeps = self._facts.memory.has_ranges and self._remove(sequence, before[sequence])
            if not keeps:
                self._remove(sequence, 0)
            self._lengths[sequence] = before[sequence] if keeps else 0

    # --- the memory ---------------------------------------------------------------------------------------------------

    def rollback(self, sequence: int, length: int) -> None:
        held = self.length(sequence)
        if not 0 <= length <= held:
            raise ValueError(f"the sequence holds {held} tokens, not {length}")
        if length == held:
            return
        if length:
            self._require_ranges("a rollback to a part of a context", "a checkpoint does (export, then adopt)")
            self._require_window(sequence, length)
        if not self._remove(sequence, length):
            raise self._impossible("a rollback", "the library could not cut this memory")
        self._lengths[sequence] = length

    def copy(self, source: int, target: int) -> None:
        if self.length(target):
            raise ValueError(f"sequence {target} is not empty")
        held = self.length(source)
        if held:
            self._lib.llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self._lengths[target] = held

    def export(self, sequence: int, start: int = 0, end: int | None = None) -> Portion:
        end = self.length(sequence) if end is None else end
        whole = self._require_held(sequence, start, end)
        if not self._shared:
            return pack(self._facts, start, end, self._parts(sequence).cut(start, end).data(), whole=whole)
        if whole:
            return pack(self._facts, start, end, bytes(self._raw(sequence)), whole=True)
        self._lib.llama.llama_memory_seq_cp(self._memory, sequence, self._spare, start, end)
        try:
            return pack(self._facts, start, end, bytes(self._raw(self._spare)), whole=False)
        finally:
            self._remove(self._spare, 0)

    def exports(self, sequence: int, start: int, size: int) -> Iterator[Portion]:
        ranges = [(one, one + size) for one in range(start, self.length(sequence) - size + 1, size)]
        # Taken apart once: what the library gives is always the whole.
        parts = None if self._shared or not ranges else self._parts(sequence)
        for begin, end in ranges:
            if parts is None:
                yield self.export(sequence, begin, end)
            else:
                whole = (begin, end) == (0, self.length(sequence))
                yield pack(self._facts, begin, end, parts.cut(begin, end).data(), whole=whole)

    def adopt(self, sequence: int, *portions: Portion) -> None:
        begin = total = self.length(sequence)
        found = []
        for portion in portions:
            data = unpack(portion, self._facts, total)
            if portion.end > self._facts.longest_tokens:
                limit = self._facts.longest_tokens
                excess = portion.end - limit
                raise ContextTooLong(tokens=portion.end, excess_tokens=excess, limit_tokens=limit)
            if self._facts.memory.has_ranges:
                check(data, self._own_shape(sequence), portion.start, portion.end)
            found.append(data)
            total = portion.end
        if not found:
            return
        if not self._shared:
            self._adopt_own(sequence, found)
        elif not begin:
            self._put(sequence, self._one(found))
        else:
            # What is read in replaces; a part goes by way of the spare sequence.
            self._put(self._spare, self._one(found))
            self._lib.llama.llama_memory_seq_cp(self._memory, self._spare, sequence, begin, total)
            self._remove(self._spare, 0)
        self._lengths[sequence] = total

    def _one(self, found: Sequence[bytes]) -> bytes:
        if len(found) == 1:
            return found[0]
        shape = self._own_shape(0)
        return joined([Parts.read(one, shape) for one in found]).data()

    def _adopt_own(self, sequence: int, found: Sequence[bytes]) -> None:
        """What is read in replaces what is held: that is put together with what comes."""
        held = bytes(self._raw(sequence)) if self.length(sequence) else b""
        shape = self._own_shape(sequence)
        parts = [Parts.read(one, shape) for one in ([held] if held else []) + list(found)]
        try:
            self._put(sequence, joined(parts).data(self._streams))
        except EngineFull:
            if held:
                self._put(sequence, held)
            raise

    def _put(self, place: int, data: bytes) -> None:
        """Into an empty sequence, or in place of what it holds."""
        self._remove(place, 0)
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        forget_words()
        if not self._lib.llama.llama_state_seq_set_data(self._context, buffer, len(data), place):
            self._remove(place, 0)
            raise EngineFull(detail=last_words("a saved part of a context found no room"))

    def _require_held(self, sequence: int, start: int, end: int) -> bool:
        """Whether it is all that the sequence holds."""
        held = self.length(sequence)
        if not 0 <= start < end <= held:
            raise ValueError(f"the sequence holds {held} tokens, not {start} to {end}")
        if (start, end) == (0, held):
            return True
        self._require_ranges("a part of a context as data", "the whole does")
        self._require_window(sequence, start)
        return False

    def _parts(self, sequence: int) -> Parts:
        return Parts.read(self._raw(sequence), self._own_shape(sequence))

    def _own_shape(self, sequence: int) -> Shape:
        """How keys and values look here: learnt from what the sequence holds where that is by itself, else from one
        row, computed once for it."""
        if self._shape is None:
            held = 0 if self._shared else self._lengths[sequence]
            if held:
                self._shape = shape_of(self._raw(sequence), self._streams, held)
            else:
                self._shape = self._shape_of_one(self._spare if self._shared else sequence)
        return self._shape

    def _shape_of_one(self, place: int) -> Shape:
        if self._tap is not None:
            self._tap.clear()
        self._stopper.begin()
        where = ([0], [place], [0])
        takes_tokens, nothing = self._facts.takes_tokens, np.zeros((1, self._facts.width), np.float32)
        self._compute(self._batch.tokens([0], *where) if takes_tokens else self._batch.hidden(nothing, *where))
        try:
            return shape_of(self._raw(place), self._streams)
        finally:
            self._remove(place, 0)

    def _raw(self, sequence: int) -> memoryview:
        llama = self._lib.llama
        size = int(llama.llama_state_seq_get_size(self._context, sequence))
        buffer = (ctypes.c_uint8 * size)()
        written = int(llama.llama_state_seq_get_data(self._context, buffer, size, sequence))
        if not written:
            raise EngineFailed(detail=last_words("a context could not be saved"))
        return memoryview(buffer).cast("B")[:written]

    def _remove(self, sequence: int, begin: int) -> bool:
        return bool(self._lib.llama.llama_memory_seq_rm(self._memory, sequence, begin if begin else -1, -1))

    def _require_ranges(self, primitive: str, instead: str) -> None:
        if not self._facts.memory.has_ranges:
            raise self._impossible(primitive, f"its memory is {self._facts.memory}; {instead}")

    def _require_window(self, sequence: int, length: int) -> None:
        """What the windows of the next token behind `length` see must still be held."""
        oldest = int(self._lib.llama.llama_memory_seq_pos_min(self._memory, sequence))
        if oldest > max(0, length - self._facts.window_tokens + 1):
            raise self._impossible("a range this far back", f"only what stands behind token {oldest} is held")

    # --- steering, text, the end --------------------------------------------------------------------------------------

    def steer(self, directions: Mapping[int, NDArray[Any]]) -> None:
        llama, width = self._lib.llama, self._facts.width
        self.length(0)
        if not directions:
            llama.llama_set_adapter_cvec(self._context, None, 0, width, 0, 0)
            return
        for block, direction in directions.items():
            if not 1 <= block < self._facts.blocks:
                raise self._impossible("steering", f"block {block} is none of 1 to {self._facts.blocks - 1}")
            if direction.shape != (width,):
                raise ValueError(f"a direction has {width} numbers, not {direction.shape}")
        first, last = min(directions), max(directions)
        table = np.zeros((self._facts.blocks - 1, width), np.float32)
        for block, direction in directions.items():
            table[block - 1] = direction
        data = table.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if llama.llama_set_adapter_cvec(self._context, data, table.size, width, first, last):
            raise EngineFailed(detail=last_words("the directions were not taken"))

    def tokenize(self, text: str, *, begin: bool = False, control: bool = False) -> list[int]:
        return self._words.tokens(text, begin=begin, control=control)

    def piece(self, token: int) -> bytes:
        return self._words.piece(token)

    def masker(self, grammar: str) -> LlamaMasker:
        return LlamaMasker(self._lib, self._weights.vocabulary, self._facts.vocabulary, grammar)

    def stop(self) -> None:
        self._stopper.stop()

    def close(self) -> None:
        if self._context is not None:
            self._lib.llama.llama_free(self._context)
            self._context, self._lengths = None, []
            self._weights.users.discard(id(self))

    def _impossible(self, primitive: str, detail: str) -> PrimitiveImpossible:
        what = self._weights.header.architecture or "this model"
        return PrimitiveImpossible(primitive=primitive, what=what, detail=detail)


def _layout(options: Options) -> str:
    return f"{options.kv}{', fused' if options.flash else ''}{', windows' if options.keep_windows else ''}"


def _wanted(wanted: Wanted, rows: int) -> list[int]:
    if wanted == "last":
        return [*[0] * (rows - 1), 1]
    return [int(wanted == "all")] * rows
