"""An answer by whichever tier it takes: this one, the one above, or both; and in the end always by this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as with_fields

from models.assistant.reply import TIERS, Tier
from models.engine.port import Engine, Masker, Piece
from models.engine.sampling import Choice, Sampler, Sampling
from models.engine.schema import grammar_of
from models.engine.text import Text
from models.errors import ContextTooLong, TierUnreachable, WayImpossible
from models.escalation.cost import Rounds, WayName, Whole, choose
from models.escalation.drafter import Drafter
from models.escalation.measured import Measured
from models.escalation.port import Above, Question
from models.escalation.receipt import Receipt, Terms, WayAsked
from models.escalation.relay import HEAD_BYTES, Own, Relay, Tally, rounds_of, row_bytes
from protocol.tiers import Way

SURE_TOKENS = 8
_TOKEN_TEXT_BYTES = 6
EXPECTED_TOKENS = 64


@dataclass(frozen=True)
class Bit:
    """text: what the answer now says more. choice: the token behind it, where it is known."""

    text: str
    tier: Tier
    choice: Choice | None = None


@dataclass(frozen=True)
class Here:
    """This tier. own: what it shares with the one above; hands_over, drafts_for: which of the ways the two members
    allow. temperature, threshold: its calibration; 0 as threshold is sure of everything."""

    engine: Engine
    tier: Tier
    own: Own
    hands_over: bool = False
    drafts_for: bool = True
    temperature: float = 1.0
    threshold: float = 0.0


@dataclass
class Answering:
    """One request. measured: what earlier ones have measured; read `measured` afterwards for the next. window: a fixed
    one, None to adapt."""

    here: Here
    above: Above | None
    terms: Terms
    measured: Measured = field(default_factory=Measured)
    window: int | None = None
    clock_s: Callable[[], float] = time.monotonic

    def answer(self, question: Question, sampling: Sampling) -> Iterator[Bit | Receipt]:
        """Bits, then the receipt. Raises ContextTooLong (KF394), WayImpossible (KF505) for a way that was asked for by
        name and can't be, and what the engine here raises. The tier above never raises: below it the answer goes on."""
        return _Run(self, question, sampling).run()


class _Run:
    """The state of one answer."""

    def __init__(self, asked: Answering, question: Question, sampling: Sampling) -> None:
        limit = asked.here.engine.facts.longest_tokens
        if len(question.tokens) >= limit:
            excess = len(question.tokens) + 1 - limit
            raise ContextTooLong(tokens=len(question.tokens), excess_tokens=excess, limit_tokens=limit - 1)
        self._asked, self._question, self._sampling = asked, question, sampling
        self._began_s = asked.clock_s()
        self._drafter = Drafter(asked.here.engine, question.tokens, sampling)
        self._text = Text(sampling.stop)
        self._tokens: dict[str, int] = {}
        self._said_above = 0
        self._first_s: float | None = None
        self._ended = ""
        self._code = ""
        self._tally = Tally()
        self._prompt_above = 0
        # Of an answer that a middle tier hands on: who chose last, and why it was not a higher one.
        self._chose: Tier | None = None
        self._kept_out = ""

    def run(self) -> Iterator[Bit | Receipt]:
        way, why = self._way()
        answered: Tier = self._asked.here.tier
        above = self._asked.above
        sent, received = (0, 0) if above is None else (above.bytes_sent, above.bytes_received)
        if way != "device":
            assert above is not None
            patience_s = above.timeout_s
            try:
                yield from self._from_above(way, above)
                answered = self._chose or above.tier
                if self._kept_out:
                    self._code, why = f"KF{TierUnreachable.number}", f"{why}; {self._kept_out}"
            except TierUnreachable as error:
                self._code = error.code
                done = sum(self._tokens.values()) or self._said_above
                went = "from the beginning" if not done else f"after {done} tokens"
                why = f"{why}; {error.cause_text.rstrip('.')}; answered below it {went}"
                if not self._drafter.speaks:
                    why += ", where a segment without an exit says no more"
            finally:
                above.timeout_s = patience_s
        if not self._ended:
            yield from self._from_here()
        if above is not None:
            sent, received = above.bytes_sent - sent, above.bytes_received - received
        yield self._receipt(answered, way, why, sent, received)

    # --- which way ----------------------------------------------------------------------------------------------------

    def _way(self) -> tuple[WayAsked, str]:
        asked, terms = self._asked, self._asked.terms
        if terms.way == "device":
            return "device", "asked for"
        if asked.above is None or not terms.allows(asked.above.tier):
            no = "there is no tier above" if asked.above is None else f"{asked.above.tier} may not be asked"
            return "device", no
        possible = self._possible()
        if terms.way != "auto":
            if terms.way not in possible:
                raise WayImpossible(way=terms.way, detail=self._impossible(terms.way))
            chosen = choose(
                {terms.way: possible[terms.way]},
                len(self._question.tokens),
                min(EXPECTED_TOKENS, self._sampling.max_tokens),
                budget_bytes=terms.budget_bytes,
            )
            return (terms.way, "asked for") if chosen.way != "device" else ("device", chosen.why)
        sure = 1.0
        if asked.here.threshold > 0:
            sure = self._drafter.confidence(SURE_TOKENS, asked.here.temperature)
            if sure >= asked.here.threshold:
                return "device", f"sure enough here ({sure:.2f})"
        elif self._drafter.speaks:
            return "device", "nothing says that this member is not sure"
        chosen = choose(
            possible,
            len(self._question.tokens),
            min(EXPECTED_TOKENS, self._sampling.max_tokens),
            left_s=self._left_s(),
            budget_bytes=terms.budget_bytes,
        )
        return chosen.way, f"not sure here ({sure:.2f}); {chosen.why}"

    def _possible(self) -> Mapping[WayName, Whole | Rounds]:
        here, measured, size = self._asked.here, self._asked.measured, len(self._question.tokens)
        found: dict[WayName, Whole | Rounds] = {}
        # Tokens that are told with their probabilities need a way that brings them.
        if self._sampling.logprobs is None:
            found["question"] = Whole(measured.link, measured.upper, HEAD_BYTES + _TOKEN_TEXT_BYTES * size)
        if self._asked.above is None or not self._asked.above.same_family:
            return found
        if here.hands_over:
            each = row_bytes("hidden", here.engine.facts.width, here.own.kind)
            found["hidden"] = rounds_of(measured, "hidden", each, self._sampling)
        if here.drafts_for and self._drafter.drafts:
            found["draft"] = rounds_of(measured, "draft", row_bytes("draft", 0, "int8"), self._sampling)
        return found

    def _impossible(self, way: WayAsked) -> str:
        if self._asked.above is not None and not self._asked.above.same_family:
            return "the server above is none of this family's, and takes whole questions alone"
        if way == "question":
            return "a whole question brings no probabilities of tokens"
        if way == "hidden":
            return "no continuation goes from this member's exit to the one above"
        return "the member here gives no words by itself, or has another tokenizer than the one above"

    def _left_s(self) -> float | None:
        deadline = self._asked.terms.deadline_s
        return None if deadline is None else max(0.0, self._began_s + deadline - self._asked.clock_s())

    # --- the ways -----------------------------------------------------------------------------------------------------

    def _from_above(self, way: WayAsked, above: Above) -> Iterator[Bit]:
        if (left := self._left_s()) is not None:
            above.timeout_s = min(above.timeout_s, max(0.001, left))
        sent = above.bytes_sent
        if way == "question":
            yield from self._question_above(above, sent)
            return
        own = replace(self._asked.here.own, kind=self._asked.terms.kind)
        kind: Way = "hidden" if way == "hidden" else "draft"
        asked, terms = self._asked, self._asked.terms
        # Unasked, a third tier takes part only where the second has no words of its own.
        further = terms.way == "hidden" or not self._drafter.speaks
        relay = Relay(
            own,
            kind,
            self._drafter,
            above,
            measured=asked.measured,
            window=asked.window,
            max_tier=terms.max_tier if further else above.tier,
        )
        try:
            for choices in relay.rounds(self._sampling):
                for choice in choices:
                    yield from self._said(choice, relay.tier)
                    if self._ended:
                        return
                self._require_terms(above, sent)
            self._ended = "length"
            yield from self._rest(relay.tier)
        finally:
            self._chose, self._kept_out = relay.tier, relay.why
            self._asked.measured, self._tally = relay.measured, relay.tally
            self._prompt_above = len(self._question.tokens)

    def _question_above(self, above: Above, sent: int) -> Iterator[Bit]:
        said = ""
        try:
            for told in above.ask(self._question, self._sampling):
                said += told.text
                self._said_above += bool(told.text)
                if told.tokens:
                    self._tokens[above.tier], self._prompt_above = told.tokens, told.prompt_tokens
                if told.text:
                    yield self._bit(told.text, above.tier)
                self._ended = told.ended or self._ended
                if not self._ended:
                    self._require_terms(above, sent)
        finally:
            if not self._ended and said:
                # Its tokens came as text: what was said is read again, and gone on with.
                self._drafter.known += self._asked.here.engine.tokenize(said)

    def _require_terms(self, above: Above, sent: int) -> None:
        """Raises TierUnreachable (KF493) when deadline or budget are used up."""
        terms, left = self._asked.terms, self._left_s()
        if left is not None:
            if left <= 0:
                raise TierUnreachable(tier=above.tier, detail=f"the deadline of {terms.deadline_s} s came first")
            above.timeout_s = min(above.timeout_s, left)
        if terms.budget_bytes is not None and above.bytes_sent - sent > terms.budget_bytes:
            raise TierUnreachable(tier=above.tier, detail=f"the budget of {terms.budget_bytes} bytes is used up")

    def _from_here(self) -> Iterator[Bit]:
        """By this member alone, behind all that was said already."""
        here, drafter, sampling = self._asked.here, self._drafter, self._sampling
        if not drafter.speaks:
            self._ended = "length"
            return
        drafter.resume()
        said = drafter.known[len(self._question.tokens) :]
        left = sampling.max_tokens - max(len(said), sum(self._tokens.values()))
        masker = _masker(here.engine, sampling, said)
        try:
            sampler = Sampler(sampling, masker)
            limit = here.engine.facts.longest_tokens
            while left > 0 and len(drafter.known) < limit:
                fresh = drafter.known[here.engine.length(drafter.sequence) :]
                output = here.engine.decode([Piece(drafter.sequence, fresh)])[0]
                choice = sampler.choose(output.logits[-1])
                drafter.keep(0, [choice.token])
                yield from self._said(choice, here.tier)
                if self._ended:
                    return
                left -= 1
            self._ended = "length"
            yield from self._rest(here.tier)
        finally:
            if masker is not None:
                masker.close()

    # --- what is told -------------------------------------------------------------------------------------------------

    def _said(self, choice: Choice, tier: Tier) -> Iterator[Bit]:
        self._tokens[tier] = self._tokens.get(tier, 0) + 1
        engine = self._asked.here.engine
        if choice.token in engine.facts.ends:
            self._ended = "stop"
            yield self._bit(self._text.end(), tier, choice)
            return
        more = self._text.add(engine.piece(choice.token))
        if self._text.stopped:
            self._ended = "stop"
        yield self._bit(more, tier, choice)

    def _rest(self, tier: Tier) -> Iterator[Bit]:
        if rest := self._text.end():
            yield self._bit(rest, tier)

    def _bit(self, text: str, tier: Tier, choice: Choice | None = None) -> Bit:
        if self._first_s is None:
            self._first_s = self._asked.clock_s() - self._began_s
        return Bit(text, tier, choice)

    def _receipt(self, tier: Tier, way: WayAsked, why: str, sent: int, received: int) -> Receipt:
        tally, link = self._tally, self._asked.measured.link
        said = sum(self._tokens.values())
        receipt = Receipt(
            tier=tier,
            way=way,
            why=why,
            ended=self._ended,
            seconds=round(self._asked.clock_s() - self._began_s, 4),
            first_ms=None if self._first_s is None else round(self._first_s * 1000, 2),
            bytes_sent=sent,
            bytes_received=received,
            tokens=dict(self._tokens),
            prompt_tokens=self._prompt_above or len(self._question.tokens),
            said_tokens=said,
            code=self._code,
            tiers=self._took_part(way),
        )
        if not tally.rounds:
            return receipt
        return with_fields(
            receipt,
            rounds=tally.rounds,
            drafted=tally.drafted,
            accepted=tally.accepted,
            upper_rows=tally.upper_rows,
            upper_blocks=tally.upper_blocks,
            rtt_ms=round(link.rtt_s * 1000, 2),
        )

    def _took_part(self, way: WayAsked) -> tuple[Tier, ...]:
        here, above = self._asked.here.tier, self._asked.above
        found = {*self._tokens, *self._tally.further}
        if above is not None and (self._tally.rounds or self._said_above):
            found.add(above.tier)
        if way != "question" or not found:
            found.add(here)
        return tuple(one for one in TIERS if one in found)


def _masker(engine: Engine, sampling: Sampling, said: Sequence[int]) -> Masker | None:
    if sampling.schema is None:
        return None
    masker = engine.masker(grammar_of(sampling.schema))
    for token in said:
        masker.accept(token)
    return masker
