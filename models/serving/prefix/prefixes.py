"""A pool of blocks before an engine: what a prompt finds there is adopted, what an answer leaves is put there.

Where a memory has ranges, a block is what its tokens are in it. Where it has none (recurrent states), a block's data is
the whole state at its end, taken while the prompt is computed: `border` says where a step has to end for that.

Both ways are iterators that do a little at each step, so that whoever speaks waits for no more than that. All of it
runs on the engine's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.engine.port import Engine, Facts, Portion
from models.errors import EngineFull, PrimitiveImpossible, StateForeign
from models.serving.prefix.keys import BLOCK_TOKENS, Identity, keys_of
from models.serving.prefix.pool import Pool

# Between two whole states of one prompt.
STATE_TOKENS = 16 * BLOCK_TOKENS
# That are adopted at once: what is held may have to be read in anew with them.
MOST_BLOCKS = 64


class Prefixes:
    def __init__(self, facts: Facts, pool: Pool) -> None:
        self.pool = pool
        # A window that was cut short holds no ranges behind it.
        self.has_ranges = facts.memory.has_ranges and "windows" not in facts.layout
        self._identity = Identity(facts.fingerprint, facts.layout, facts.engine)

    def keys(self, tokens: Sequence[int], tenant: str) -> list[bytes]:
        return keys_of(replace(self._identity, salt=tenant), tokens)

    def found(self, tokens: Sequence[int], tenant: str) -> int:
        """Tokens of a prompt that could be adopted now; never the last one, which gives the first logits."""
        keys = self.keys(tokens[: len(tokens) - 1], tenant)
        return BLOCK_TOKENS * (self.pool.longest(keys) if self.has_ranges else self._deepest(keys))

    def adopting(self, engine: Engine, sequence: int, tokens: Sequence[int], tenant: str) -> Iterator[None]:
        """Behind what the sequence holds; how far it came tells its length."""
        keys = self.keys(tokens[: len(tokens) - 1], tenant)
        if not self.has_ranges:
            deepest = self._deepest(keys)
            if deepest and not engine.length(sequence):
                self.pool.find(keys[deepest - 1 : deepest])
                self._adopt(engine, sequence, keys[deepest - 1])
            return
        found = keys[engine.length(sequence) // BLOCK_TOKENS : self.pool.find(keys)]
        for begin in range(0, len(found), MOST_BLOCKS):
            if not self._adopt(engine, sequence, *found[begin : begin + MOST_BLOCKS]):
                return
            yield

    def keeping(self, engine: Engine, sequence: int, tokens: Sequence[int], tenant: str) -> Iterator[None]:
        """tokens: what the sequence holds, or more."""
        if not self.has_ranges:
            return
        keys = self.keys(tokens[: engine.length(sequence)], tenant)
        known = next((place for place, key in enumerate(keys) if key not in self.pool.tree), len(keys))
        fresh: list[Portion | None] = [None] * known
        size = 0
        try:
            for portion in engine.exports(sequence, known * BLOCK_TOKENS, BLOCK_TOKENS):
                size += len(portion.data)
                if len(fresh) == len(keys) or size > self.pool.most_bytes:
                    break
                fresh.append(portion)
                yield
        except PrimitiveImpossible:
            return
        self.pool.put(keys[: len(fresh)], fresh)

    def border(self, context: int, prompt_tokens: int) -> int:
        """The next length at which a whole state is wanted, for one that holds `context` tokens."""
        last = (prompt_tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS
        following = (context // STATE_TOKENS + 1) * STATE_TOKENS
        return last if context < last < following else following

    def keep_state(self, engine: Engine, sequence: int, tokens: Sequence[int], tenant: str) -> None:
        """The whole state at a border."""
        length = engine.length(sequence)
        if self.has_ranges or not length or length % BLOCK_TOKENS or length > len(tokens):
            return
        key = self.keys(tokens[:length], tenant)[-1]
        self.pool.put([key], [None if key in self.pool.tree else engine.export(sequence)])

    def _deepest(self, keys: Sequence[bytes]) -> int:
        return next((place for place in range(len(keys), 0, -1) if self.pool.holds(keys[place - 1])), 0)

    def _adopt(self, engine: Engine, sequence: int, *keys: bytes) -> bool:
        """Whether all of them are in it now. What the engine would not take is dropped."""
        portions = [portion for key in keys if (portion := self.pool.get(key)) is not None]
        if len(portions) < len(keys):
            return False
        try:
            engine.adopt(sequence, *portions)
        except StateForeign:
            if len(keys) == 1:
                self.pool.drop(keys[0])
                return False
            return all(self._adopt(engine, sequence, key) for key in keys)
        except EngineFull:
            return False
        return True
