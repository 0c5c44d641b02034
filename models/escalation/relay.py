"""One answer in rounds: the lower tier drafts, or hands its hidden states over, or both; the upper one chooses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from models.assistant.reply import Tier
from models.engine.port import Floats
from models.engine.sampling import Choice, Sampling
from models.escalation.cost import MOST_WINDOW, Rounds
from models.escalation.desk import wish_of
from models.escalation.drafter import Drafted, Drafter
from models.escalation.measured import Measured
from models.escalation.port import Above
from models.escalation.receipt import Kind
from models.family.handover import pack
from models.family.handover import row_bytes as packed_bytes
from protocol.tiers import LIMIT_BYTES, Opened, Opening, Round, Spread, Verdict, Way

# A frame's own fields, and headers of its request.
FRAME_BYTES, HEAD_BYTES = 120, 260
# Of a frame for rows; the rest is left for a draft and its spreads.
_ROOM_BYTES = LIMIT_BYTES - 12 * 1024
_TOKEN_BYTES, _SPREAD_BYTES = 5, 24 * 6 + 8


@dataclass(frozen=True)
class Own:
    """Whose weights the lower tier has (see protocol/tiers.py). after: the last block of the whole that it computes for
    the upper one, -1 where it hands nothing over. kind: of hidden states on the wire."""

    family: str
    version: str
    tokenizer: str
    source: str = ""
    after: int = -1
    kind: Kind = "int8"


@dataclass
class Tally:
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    upper_rows: int = 0
    upper_blocks: int = 0
    further: tuple[Tier, ...] = ()


class Relay:
    """`rounds` yields what the upper tier chooses; when it raises, the drafter knows exactly what was yielded, and can
    go on by itself. window: None adapts it to what is measured; else it is kept. max_tier: the highest that may take
    part. Afterwards `tier` tells which has chosen last, and `why` what kept a higher one out."""

    def __init__(
        self,
        own: Own,
        way: Way,
        drafter: Drafter,
        above: Above,
        *,
        measured: Measured,
        window: int | None = None,
        max_tier: Tier | None = None,
    ) -> None:
        self._own, self._way, self._drafter, self._above = own, way, drafter, above
        self._window, self._max_tier = window, max_tier or above.tier
        self.tier, self.why = above.tier, ""
        self.measured = measured
        self.tally = Tally()
        self._number = 0
        self._sent = 0

    def rounds(self, sampling: Sampling) -> Iterator[Sequence[Choice]]:
        """Up to a token that ends the answer, max_tokens, or where no token more fits into a context. Raises
        TierUnreachable (KF493), or what the lower tier's engine does."""
        opened = self._open(sampling)
        limit = min(opened.limit_tokens, self._drafter.engine.facts.longest_tokens)
        left = sampling.max_tokens
        try:
            while left > 0 and len(self._drafter.known) < limit:
                choices = self._round(opened, sampling, min(left, limit - len(self._drafter.known)))
                left -= len(choices)
                yield choices
                if choices[-1].token in self._drafter.engine.facts.ends:
                    return
        finally:
            self._above.end(opened.session)

    def _open(self, sampling: Sampling) -> Opened:
        own, before, began_s = self._own, self._above.bytes_sent, time.monotonic()
        opened = self._above.open(
            Opening(
                family=own.family,
                version=own.version,
                tokenizer=own.tokenizer,
                source=own.source,
                way=self._way,
                after=own.after if self._way == "hidden" else -1,
                max_tier=self._max_tier,
                wish=wish_of(sampling),
            )
        )
        self.tally.upper_blocks, self.tally.further = opened.blocks, tuple(opened.further)
        self.tier, self.why = opened.tier or self._above.tier, opened.why
        seconds, sent = time.monotonic() - began_s, self._above.bytes_sent - before
        if not self.measured.wire.weight:
            # A connection is made with it, too: only a link that was never seen is judged by this.
            took_s = max(0.0, seconds - opened.seconds)
            self.measured = self.measured.opened(took_s, sent, opened.step_s, opened.row_s)
        return opened

    def _round(self, opened: Opened, sampling: Sampling, most: int) -> Sequence[Choice]:
        window = self._best_window(sampling) if self._window is None else self._window
        window = min(window, most - 1) if self._drafter.drafts else 0
        known, first = self._drafter.known, self._sent
        drafted = self._drafter.draft(window, with_hidden=self._way == "hidden")
        self.measured = self.measured.drafted(len(drafted.tokens), drafted.seconds)
        rows = [*known[first:], *drafted.tokens]
        last = self._feed(opened, rows, drafted)
        verdict = self._send(opened, rows[last:], drafted.tokens, drafted.spreads, _rows(drafted.hidden, last), True)
        chosen = verdict.chosen
        self.tier, self.why = verdict.tier or self._above.tier, verdict.why or self.why
        # Behind an end nothing was said, whatever was drafted there.
        ends = self._drafter.engine.facts.ends
        cut = next((place for place, one in enumerate(chosen, 1) if one.token in ends), len(chosen))
        chosen = chosen[: min(cut, most)]
        self._sent = verdict.held
        self._drafter.keep(verdict.accepted, [one.token for one in chosen])
        self.measured = self.measured.verdict(len(drafted.tokens), verdict.accepted)
        tally = self.tally
        tally.rounds, tally.drafted = tally.rounds + 1, tally.drafted + len(drafted.tokens)
        tally.accepted += verdict.accepted
        return [Choice(one.token, one.logprob, one.top) for one in chosen]

    def _feed(self, opened: Opened, rows: Sequence[int], drafted: Drafted) -> int:
        """Send what does not fit into the last frame, and say where that one begins."""
        size = self._row_bytes(drafted.hidden)
        most = max(1, int(_ROOM_BYTES // size))
        begin, checked = 0, len(drafted.tokens) + 1
        while len(rows) - begin > max(most, checked):
            end = min(begin + most, len(rows) - checked)
            part = None if drafted.hidden is None else drafted.hidden[begin:end]
            self._send(opened, rows[begin:end], (), (), part, False)
            self._sent += end - begin
            begin = end
        return begin

    def _send(  # noqa: PLR0917 (a frame's own parts)
        self,
        opened: Opened,
        rows: Sequence[int],
        draft: Sequence[int],
        spreads: Sequence[Spread],
        hidden: Floats | None,
        wants: bool,
    ) -> Verdict:
        self._number += 1
        own, above = self._own, self._above
        packed = b""
        if hidden is not None and self._way == "hidden":
            packed = pack(hidden, source=own.source, block=own.after + 1, start=self._sent, kind=own.kind)
        before, began_s = above.bytes_sent, time.monotonic()
        verdict = above.round(
            Round(
                session=opened.session,
                number=self._number,
                start=self._sent,
                tokens=tuple(draft) if packed else tuple(rows),
                drafted=len(draft),
                wants=wants,
                spreads=tuple(spreads),
                hidden=packed,
            )
        )
        seconds, sent = time.monotonic() - began_s, above.bytes_sent - before
        self.measured = self.measured.round(seconds, sent, len(rows), verdict.seconds)
        self.tally.upper_rows += len(rows)
        return verdict

    def _best_window(self, sampling: Sampling) -> int:
        if not self._drafter.drafts:
            return 0
        return rounds_of(self.measured, self._way, self._row_bytes(None), sampling).best_window(MOST_WINDOW)

    def _row_bytes(self, hidden: Floats | None) -> float:
        if self._way == "draft":
            return _TOKEN_BYTES
        width = self._drafter.engine.facts.width if hidden is None else hidden.shape[1]
        return row_bytes(self._way, width, self._own.kind)


def row_bytes(way: Way, width: int, kind: Kind) -> float:
    if way == "draft":
        return _TOKEN_BYTES
    return packed_bytes(kind, width) + _TOKEN_BYTES


def rounds_of(measured: Measured, way: Way, size: float, sampling: Sampling) -> Rounds:
    """The cost of a way in rounds, from what was measured so far. Before a draft was timed, it is taken to cost a tenth
    of a step above, so that the first rounds try some."""
    upper = measured.upper
    spreads = _SPREAD_BYTES if sampling.temperature > 0 else 0
    return Rounds(
        link=measured.link,
        upper=upper if upper.step_s else replace(upper, step_s=0.01),
        draft_s=measured.draft_s or (upper.step_s or 0.01) / 10,
        acceptance=measured.acceptance,
        row_bytes=size + spreads,
        round_bytes=FRAME_BYTES + HEAD_BYTES,
        # Handing over costs the lower tier a step for the token that the upper one chose.
        row_s=measured.draft_s if way == "hidden" else 0.0,
    )


def _rows(hidden: Floats | None, begin: int) -> Floats | None:
    return None if hidden is None else hidden[begin:]
