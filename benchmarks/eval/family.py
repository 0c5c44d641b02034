"""A nested family on text that it has not seen: loss of each member, and what a hand-over between members costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from benchmarks.errors import TextTooShort
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.engine.port import Floats, Piece
from models.engine.trust import Trust
from models.family.handover import pack, unpack
from models.family.manifest import Continuation, Manifest, Member, read_manifest

STRETCH_TOKENS = 256
MOST_TOKENS = 10_240


class MemberFigures(Struct, frozen=True, kw_only=True):
    """loss: mean natural logarithm a token; perplexity: its exponential. shipped_loss and independent_loss: as the card
    has them, on the card's text; independent: of a model of the same size trained alone, None where there is none."""

    loss: float
    perplexity: float
    shipped_loss: float | None
    independent_loss: float | None


class HandoverFigures(Struct, frozen=True, kw_only=True):
    """From the first member to each of the others, all that the first's trunk computed left to it. max_logit_diff: in
    fp32, against the whole member. argmax_agreement_int8: share of tokens whose likeliest next stays the same."""

    max_logit_diff: float
    argmax_agreement_int8: float
    tokens: int


class Figures(Struct, frozen=True, kw_only=True):
    members: dict[str, MemberFigures]
    handover: HandoverFigures
    tokens: int


def measure(
    folder: Path,
    trust: Trust,
    text: str,
    told: dict[str, tuple[float | None, float | None]],
    *,
    most_tokens: int = MOST_TOKENS,
) -> Figures:
    """folder: of a nested family. text: what it is judged on. told: by member, the card's loss and independent loss.
    Raises TextTooShort (KF461), ManifestWrong (KF403), and as `load`."""
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
    return Figures(members=members, handover=_handover(folder, first, onward, trust, stretches), tokens=len(tokens))


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


def _handover(
    folder: Path,
    first: Member,
    onward: Sequence[tuple[Member, Continuation]],
    trust: Trust,
    stretches: Sequence[Sequence[int]],
) -> HandoverFigures:
    if not onward:
        return HandoverFigures(max_logit_diff=0.0, argmax_agreement_int8=1.0, tokens=0)
    device = _opened(folder, first.file, trust, onward[0][1].after)
    others = [
        (_opened(folder, member.file, trust, None), _opened(folder, one.file, trust, None)) for member, one in onward
    ]
    worst, same, count = 0.0, 0, 0
    for tokens in stretches:
        device.rollback(0, 0)
        [seen] = device.decode([Piece(0, list(tokens), wanted="none")])
        assert seen.hidden is not None
        for whole, rest in others:
            whole.rollback(0, 0)
            [wanted] = whole.decode([Piece(0, list(tokens), wanted="all")])
            exact = _continued(rest, seen.hidden)
            facts = rest.facts
            packed = pack(seen.hidden, source=facts.source, block=facts.first_block, start=0)
            rounded = _continued(rest, unpack(packed, facts, 0))
            worst = max(worst, float(np.abs(exact - wanted.logits).max()))
            same += int((rounded.argmax(1) == wanted.logits.argmax(1)).sum())
            count += len(tokens)
    for engine in (device, *(one for pair in others for one in pair)):
        engine.close()
    return HandoverFigures(max_logit_diff=worst, argmax_agreement_int8=round(same / count, 5), tokens=count)


def _continued(rest: LlamaEngine, hidden: Floats) -> Floats:
    rest.rollback(0, 0)
    [output] = rest.decode([Piece(0, hidden=hidden, wanted="all")])
    return output.logits
