"""The assistant: from a question to an answer, on this machine or, where it may and must, a tier above it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from models.assistant.facts import Facts
from models.assistant.notes import Notes
from models.assistant.question import answers, shortened
from models.assistant.reply import Piece, Policy, Reply, Said, Step, Tier
from models.assistant.skills import Guess, Pending, Result, Skills, checked_arguments
from models.assistant.small_talk import small_talk
from models.assistant.summary import fitted
from models.assistant.telling import meaning
from models.assistant.tools import Tool, Value
from models.assistant.understanding.choice import Choice, Entities
from models.errors import ArgumentsUnfit, ContextTooLong, FactsMissing, SkillFailed, TierUnreachable
from protocol.errors import KinflowError

log = logging.getLogger(__name__)

PATIENCE_MS = 300_000
# Below it a question back would rather annoy than help.
LIKELY = 0.5
_PRIVATE = frozenset((Tool.REMEMBER, Tool.RECALL, Tool.FORGET))
_ASKS_BACK = frozenset((Tool.SET_SETTING, Tool.FORGET))
_UNKNOWN = "I don't know."
_UNSURE = "I don't know for certain that I understood."
_OUTSIDE = "That seems to be about something else."


class Choosing(Protocol):
    """What understands a question, from any thread."""

    def choose(self, question: str, entities: Entities) -> Choice: ...


class Higher(Protocol):
    """The tier above this one."""

    @property
    def tier(self) -> Tier: ...

    def ask(self, question: str, policy: Policy, conversation: str) -> Reply:
        """Its own reply, with the bytes that were sent to it. conversation: in which its yes finds what it asked back.
        Raises TierUnreachable (KF493)."""
        ...


@dataclass(frozen=True)
class Waiting:
    """What a yes would do, and until when. pending: None where the tier above asked, and is told the answer."""

    pending: Pending | None
    until_ms: int


@dataclass
class Session:
    """What one person's conversation leaves behind for the next question. name: by which the tier above knows it."""

    waiting: Waiting | None = None
    name: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True)
class _Asked:
    """left_out: what was done with a question that was too long, "" for nothing."""

    text: str
    session: Session
    policy: Policy
    left_out: str = ""


@dataclass(frozen=True)
class _Done:
    """An answer without its receipt's figures."""

    result: Result
    tier: Tier
    why: str
    tool: str
    choice: Choice | None = None
    bytes_sent: int = 0
    asked_above: bool = False
    arguments: dict[str, Value] = field(default_factory=dict)


Answering = Generator[Said, None, _Done]


class Assistant:
    """Of one person on one machine; used by one thread at a time. higher: None where no tier above was set up.
    monotonic_ms: a clock that only goes forward. tier: what this machine calls itself in receipts."""

    def __init__(
        self,
        understanding: Choosing,
        facts: Facts,
        notes: Notes,
        *,
        wall_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
        tier: Tier = "device",
        higher: Higher | None = None,
    ) -> None:
        self._understanding, self._facts = understanding, facts
        self._skills = Skills(facts, notes, wall_ms)
        self._now_ms, self._tier, self._higher = monotonic_ms, tier, higher

    def ask(self, question: str | bytes, session: Session, policy: Policy) -> Reply:
        """Raises as `stream` does."""
        reply = None
        for said in self.stream(question, session, policy):
            reply = said if isinstance(said, Reply) else reply
        assert reply is not None
        return reply

    def stream(self, question: str | bytes, session: Session, policy: Policy) -> Iterator[Said]:
        """Steps, then the answer in pieces, then all of it. Raises QuestionUnfit (KF487), AssistantUntrained (KF486),
        AssistantBusy (KF496), SkillFailed (KF494) or ContextTooLong (KF394); else failures are told in the answer."""
        began_ms = self._now_ms()
        text, left_out = shortened(question, policy.too_long)
        asked = _Asked(text, session, policy, left_out)
        done = yield from self._answer(asked)
        result = done.result
        session.waiting = None
        if result.pending is not None or done.asked_above:
            session.waiting = Waiting(result.pending, self._now_ms() + PATIENCE_MS)
        yield from (Piece(text=one) for one in pieces(result.text))
        yield Reply(
            answer=result.text,
            tier=done.tier,
            why=f"{asked.left_out}; {done.why}" if asked.left_out else done.why,
            seconds=round((self._now_ms() - began_ms) / 1000, 3),
            bytes_sent=done.bytes_sent,
            tool=done.tool,
            arguments=done.choice.arguments if done.choice is not None else done.arguments,
            confidence=None if done.choice is None else round(done.choice.confidence, 4),
            code=result.code,
            asks=session.waiting is not None,
        )

    def _answer(self, asked: _Asked) -> Answering:
        waiting = asked.session.waiting
        meant = answers(asked.text) if waiting is not None and self._now_ms() < waiting.until_ms else None
        if waiting is not None and meant is not None:
            return (yield from self._settle(asked, waiting, meant))
        yield Step(step="understanding")
        entities, missing = self._entities()
        choice = self._choose(asked, entities)
        if (talk := self._talk(asked.text, choice)) is not None:
            return talk
        may_rise = self._may_rise(choice, asked.policy)
        if not choice.sure:
            doubt = f"not sure what is asked ({choice.confidence:.2f})"
            guess = self._guess(choice, missing)
            if may_rise:
                return (yield from self._rise(asked, choice, guess, doubt))
            return self._local(guess, f"{doubt}, and no higher tier may be used", choice)
        yield Step(step=choice.tool.value)
        result = self._skills.do(choice.tool, choice.arguments, asked.text)
        if result.code == f"KF{FactsMissing.number}" and may_rise:
            return (yield from self._rise(asked, choice, result, "understood, but not known on this machine"))
        return self._local(result, f"understood here ({choice.confidence:.2f})", choice)

    def _talk(self, text: str, choice: Choice) -> _Done | None:
        """A greeting and the like, told by its words where the model reads nothing else in them."""
        talk = small_talk(text)
        if talk is None or (choice.sure and choice.tool is not Tool.NONE):
            return None
        introduced = f" {self._skills.do(Tool.NONE, {}).text}" if talk.introduces else ""
        meant = replace(choice, tool=Tool.NONE, arguments={})
        return self._local(Result(text=f"{talk.answer}{introduced}"), "small talk, by its words", meant)

    def _guess(self, choice: Choice, missing: KinflowError | None) -> Result:
        """What asks back anyway is asked back at once; nothing is done in either case. missing: why no name of the site
        is known."""
        if choice.tool is Tool.NONE and choice.confidence >= LIKELY:
            return Result(text=f"{_OUTSIDE} {self._skills.do(Tool.NONE, {}).text}")
        guess = guessed(choice)
        if guess.pending is None and missing is not None and choice.tool not in _PRIVATE | {Tool.NONE}:
            return Result(text=f"{_UNKNOWN} {missing.cause_text} {missing.advice_text}", code=missing.code)
        if guess.pending is None or choice.tool not in _ASKS_BACK:
            return guess
        asked = self._skills.do(choice.tool, choice.arguments)
        return Result(text=f"{_UNSURE} {asked.text}", pending=asked.pending) if asked.pending is not None else guess

    def _choose(self, asked: _Asked, entities: Entities) -> Choice:
        """Raises as `stream`."""
        text = asked.text
        try:
            while True:
                try:
                    return self._understanding.choose(text, entities)
                except ContextTooLong as error:
                    if asked.policy.too_long == "refuse":
                        raise
                    # Of many languages a letter is a token, and more.
                    limit, told = error.fields["limit_tokens"], error.fields["tokens"]
                    # Of very many they are not counted.
                    share = limit / told if isinstance(limit, int) and isinstance(told, int) else 0.5
                    text = fitted(text, int(len(text) * share * 0.9), asked.policy.too_long)
        except KinflowError:
            raise
        except Exception as error:
            log.exception("understanding broke")
            raise SkillFailed(tool="understanding", detail=type(error).__name__) from error

    def _settle(self, asked: _Asked, waiting: Waiting, meant: bool) -> Answering:
        """A yes or a no to what was asked back."""
        if waiting.pending is None:
            refused = Result(text="Nothing was done.", code=f"KF{TierUnreachable.number}")
            if self._higher is None or not asked.policy.allows(self._higher.tier):
                return self._local(refused, "the tier that asked back may not be used for the answer")
            return (yield from self._rise(asked, None, refused, "the answer to what it asked back"))
        if not meant:
            return self._local(Result(text="Nothing was changed."), "you said no")
        yield Step(step="confirm")
        return self._local(self._skills.confirm(waiting.pending), "you said yes")

    def _rise(self, asked: _Asked, choice: Choice | None, below: Result, why: str) -> Answering:
        """Ask the tier above; where it gives no answer, what is known below it stands, and says so."""
        assert self._higher is not None
        yield Step(step=self._higher.tier)
        try:
            reply = self._higher.ask(asked.text, asked.policy, asked.session.name)
        except TierUnreachable as error:
            # What is asked back stands at the end.
            parts = (below.text, error.cause_text) if below.pending is None else (error.cause_text, below.text)
            told = Result(text=" ".join(parts), code=below.code or error.code, pending=below.pending)
            return self._local(told, f"{why}, and the {self._higher.tier} tier gave no answer", choice)
        return _Done(
            Result(text=reply.answer, code=reply.code),
            reply.tier,
            f"{why}; {reply.tier}: {reply.why}",
            reply.tool,
            None,
            reply.bytes_sent,
            asked_above=reply.asks,
            arguments=reply.arguments,
        )

    def _local(self, result: Result, why: str, choice: Choice | None = None) -> _Done:
        tool = choice.tool if choice is not None else Tool.NONE
        return _Done(result, self._tier, why, tool.value, choice)

    def _may_rise(self, choice: Choice, policy: Policy) -> bool:
        if self._higher is None or not policy.allows(self._higher.tier):
            return False
        return policy.share_notes or choice.tool not in _PRIVATE

    def _entities(self) -> tuple[Entities, KinflowError | None]:
        """The site's names; none, and why, where nobody here knows a site. Notes and small talk need none."""
        try:
            return self._facts.world().entities(), None
        except KinflowError as error:
            return Entities(), error


def guessed(choice: Choice) -> Result:
    """The answer of somebody who is not sure: with a question back where a guess is likelier right than wrong, and
    whole."""
    if choice.tool is Tool.NONE or choice.confidence < LIKELY:
        return Result(text=_UNKNOWN)
    try:
        checked_arguments(choice.tool, choice.arguments)
    except ArgumentsUnfit:
        return Result(text=_UNKNOWN)
    meant = meaning(choice.tool, choice.arguments)
    guess = Guess(tool=choice.tool, arguments=choice.arguments)
    return Result(text=f"{_UNKNOWN} Did you mean {meant}? Say yes or no.", pending=guess)


def pieces(text: str) -> list[str]:
    """An answer in parts of a sentence each, whose sum is the answer."""
    return re.findall(r".+?(?:[.?!:](?:\s+|$)|$)", text, re.DOTALL)
