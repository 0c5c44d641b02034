"""A nested family on text that it has not seen: loss of each member, and what a hand-over between members costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct, structs

from benchmarks.errors import TextTooShort
from models.engine.generate import generate
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.engine.port import Floats, Piece
from models.engine.sampling import Sampling
from models.engine.trust import Trust
from models.family.handover import pack, read, row_bytes, unpack
from models.family.manifest import Continuation, Manifest, Member, read_manifest
from models.serving.template import Said, stops_of, tokens_of

STRETCH_TOKENS = 256
MOST_TOKENS = 10_240
ANSWER_TOKENS = 32
OWN = "each member's own greedy answers to held-back questions"


class MemberFigures(Struct, frozen=True, kw_only=True):
    """loss: mean natural logarithm a token; perplexity: its exponential. shipped_loss and independent_loss: as the card
    has them, on the card's text; independent: of a model of the same size trained alone, None where there is none."""

    loss: float
    perplexity: float
    shipped_loss: float | None
    independent_loss: float | None


class HandoverFigures(Struct, frozen=True, kw_only=True):
    """From the first member to each of the others, all that the first's trunk computed left to it. max_logit_diff: in
    fp32, against the whole member. argmax_agreement_int8: share of tokens whose likeliest next stays the same, with the
    code that goes over the wire; argmax_agreement_byte: when its last bit were left out. bytes_per_token: of that code,
    its frame left out. tokens: compared, over all the others; judged_on: which."""

    max_logit_diff: float
    argmax_agreement_int8: float
    argmax_agreement_byte: float
    bytes_per_token: int
    tokens: int
    judged_on: str


class Figures(Struct, frozen=True, kw_only=True):
    """text: that losses are of. answers: the hand-over on the members' own answers, where that was asked for."""

    members: dict[str, MemberFigures]
    handover: HandoverFigures
    tokens: int
    text: str
    answers: HandoverFigures | None = None


@dataclass(frozen=True)
class Stretch:
    """Tokens in one context, of which rows from `first` on are judged."""

    tokens: list[int]
    first: int = 0


def measure(
    folder: Path,
    trust: Trust,
    text: str,
    told: dict[str, tuple[float | None, float | None]],
    *,
    most_tokens: int = MOST_TOKENS,
    named: str = "a text",
    questions: Sequence[str] = (),
) -> Figures:
    """folder: of a nested family. text: what it is judged on, and how that is called. told: by member, the card's loss
    and independent loss. questions: of which each member's own greedy answers are judged, too. Raises TextTooShort
    (KF461), ManifestWrong (KF403), and as `load`."""
    manifest = read_manifest(folder)
    tokens = _tokens(folder, manifest, trust, text)[:most_tokens]
    if len(tokens) < 2:
        raise TextTooShort()
    stretches = [tokens[begin : begin + STRETCH_TOKENS] for begin in range(0, len(tokens) - 1, STRETCH_TOKENS)]
    members = {}
    for member in manifest.members:
        loss = _loss(folder, member, trust, stretches)
        card, independent = told.get(member.name, (member.loss, None))
        members[member.name] = MemberFigures(
            loss=round(loss, 4),
            perplexity=round(math.exp(loss), 2),
            shipped_loss=card,
            independent_loss=independent,
        )
    first, *others = manifest.members
    onward = [
        (member, one)
        for member in others
        for one in manifest.continuations
        if first.exit is not None and one.of == member.name and one.after == first.exit - 1
    ]
    of_text = {member.name: [Stretch(one) for one in stretches] for member, _ in onward}
    of_answers = {member.name: _answers(folder, member, trust, questions) for member, _ in onward if questions}
    return Figures(
        members=members,
        handover=_handover(folder, first, onward, trust, of_text, named),
        tokens=len(tokens),
        text=named,
        answers=_handover(folder, first, onward, trust, of_answers, OWN) if of_answers else None,
    )


def _answers(folder: Path, member: Member, trust: Trust, questions: Sequence[str]) -> list[Stretch]:
    """Rows that choose a token of an answer."""
    engine = _opened(folder, member.file, trust, None)
    found = []
    for question in questions:
        prompt = tokens_of(engine, [Said("user", question)])
        sampling = Sampling(max_tokens=ANSWER_TOKENS, stop=stops_of(engine))
        engine.rollback(0, 0)
        said = [step.choice.token for step in generate(engine, 0, prompt, sampling)]
        found.append(Stretch([*prompt, *said[:-1]], len(prompt) - 1))
    engine.close()
    return found


def _tokens(folder: Path, manifest: Manifest, trust: Trust, text: str) -> list[int]:
    engine = _opened(folder, manifest.members[0].file, trust, None, context_tokens=max(1024, len(text)))
    tokens = engine.tokenize(text)
    engine.close()
    return tokens


def _opened(
    folder: Path, file: str | None, trust: Trust, tap: int | None, *, context_tokens: int = STRETCH_TOKENS
) -> LlamaEngine:
    """Keys in F32 and attention written out, so that what differs is not for rounding's sake."""
    weights = load(folder / str(file), trust, accelerate=False)
    options = Options(
        context_tokens=context_tokens, batch_tokens=STRETCH_TOKENS, threads=1, tap=tap, kv="f32", flash=False
    )
    return LlamaEngine(weights, options)


def _loss(folder: Path, member: Member, trust: Trust, stretches: Sequence[Sequence[int]]) -> float:
    engine = _opened(folder, member.file, trust, None)
    total, count = 0.0, 0
    for tokens, logits in zip(stretches, _all_logits(engine, stretches), strict=True):
        wanted = np.asarray(tokens[1:])
        raised = logits[:-1] - logits[:-1].max(1, keepdims=True)
        likely = raised - np.log(np.exp(raised).sum(1, keepdims=True))
        total -= float(likely[np.arange(len(wanted)), wanted].sum())
        count += len(wanted)
    engine.close()
    return total / max(1, count)


def _all_logits(engine: LlamaEngine, stretches: Sequence[Sequence[int]]) -> Iterator[Floats]:
    for tokens in stretches:
        engine.rollback(0, 0)
        [output] = engine.decode([Piece(0, list(tokens), wanted="all")])
        yield output.logits


def _handover(  # noqa: PLR0917 (what it compares)
    folder: Path,
    first: Member,
    onward: Sequence[tuple[Member, Continuation]],
    trust: Trust,
    stretches: Mapping[str, Sequence[Stretch]],
    named: str,
) -> HandoverFigures:
    """stretches: by the member that goes on."""
    worst, same, same_byte, count, size = 0.0, 0, 0, 0, 0
    for member, one in onward:
        device = _opened(folder, first.file, trust, one.after)
        whole, rest = _opened(folder, member.file, trust, None), _opened(folder, one.file, trust, None)
        facts = rest.facts
        size = row_bytes("int8", facts.width)
        for stretch in stretches[member.name]:
            device.rollback(0, 0)
            [seen] = device.decode([Piece(0, stretch.tokens, wanted="none")])
            assert seen.hidden is not None
            whole.rollback(0, 0)
            wanted = whole.decode([Piece(0, stretch.tokens, wanted="all")])[0].logits[stretch.first :]
            exact = _continued(rest, seen.hidden)[stretch.first :]
            worst = max(worst, float(np.abs(exact - wanted).max()))
            packed = pack(seen.hidden, source=facts.source, block=facts.first_block, start=0)
            sent, best = read(packed), wanted.argmax(1)
            byte = msgspec.msgpack.encode(structs.replace(sent, last_bits=bytes(len(sent.last_bits))))
            handed, coarse = (
                _continued(rest, unpack(frame, facts, 0))[stretch.first :].argmax(1) for frame in (packed, byte)
            )
            same, same_byte = same + int((handed == best).sum()), same_byte + int((coarse == best).sum())
            count += len(best)
        for engine in (device, whole, rest):
            engine.close()
    return HandoverFigures(
        max_logit_diff=worst,
        argmax_agreement_int8=round(same / count, 5) if count else 1.0,
        argmax_agreement_byte=round(same_byte / count, 5) if count else 1.0,
        bytes_per_token=size,
        tokens=count,
        judged_on=named,
    )


def _continued(rest: LlamaEngine, hidden: Floats) -> Floats:
    rest.rollback(0, 0)
    [output] = rest.decode([Piece(0, hidden=hidden, wanted="all")])
    return output.logits
