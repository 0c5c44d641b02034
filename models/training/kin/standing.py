"""When a member's own text stands, and when the tier above is asked: the calibration that a family's manifest holds.

Judged by the member above: at each of the first tokens of an answer, would it have said the same? The temperature is
the one at which a member's probabilities foretell that best; an answer's confidence is their geometric mean, as
`Drafter.confidence` takes it. The threshold is the least confidence from which answers agree with the member above in
nine of ten of these tokens, found on answers to questions that neither was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.engine.port import Piece
from models.escalation.answer import SURE_TOKENS
from models.family.manifest import Calibration, encode_toml, read_manifest
from models.family.shipped import FACTS, facts, trust_in, unfold
from models.serving.template import Said, tokens_of

STANDS = 0.9
# Fewer say nothing of the others that are as sure.
LEAST = 20
TEMPERATURES = tuple(round(0.1 + 0.05 * step, 2) for step in range(59))
ORDER = ("device", "edge", "cloud")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """logits: of what was said, tokens x vocabulary. same: whether the member above would have said each."""

    logits: NDArray[np.float32]
    same: NDArray[np.bool_]


def confidence(answer: Answer, temperature: float) -> float:
    return float(np.exp(np.mean(_logs(answer, temperature))))


def fitted(answers: Sequence[Answer], stands: float = STANDS) -> Calibration:
    """Threshold 1 where no confidence is enough."""
    temperature = min(TEMPERATURES, key=lambda one: _surprise(answers, one))
    sure = np.array([confidence(one, temperature) for one in answers])
    same = np.array([one.same.mean() for one in answers])
    # Rounded down, so that the answer it is found at stands by it.
    steps = np.unique(np.floor(sure * 1e4) / 1e4)
    enough = [one for one in steps if (sure >= one).sum() >= LEAST and same[sure >= one].mean() >= stands]
    threshold = float(enough[0]) if enough else 1.0
    return Calibration(temperature=temperature, threshold=threshold, held_back=len(answers))


def answers_of(home: Path, folder: Path, lower: str, upper: str, questions: Sequence[str]) -> list[Answer]:
    place, trust = unfold(home, folder), trust_in(home, folder)
    files = {one.name: place / str(one.file) for one in read_manifest(place).members}
    first, second = (
        LlamaEngine(load(files[one], trust, accelerate=False), Options(threads=1)) for one in (lower, upper)
    )
    try:
        return [_answer(first, second, question) for question in questions]
    finally:
        first.close()
        second.close()


def calibrate(home: Path, folder: Path, questions: Sequence[str]) -> dict[str, Calibration]:
    """Of each member that has one above it, written into the family's facts."""
    known = facts(folder)
    names = [one for one in ORDER if one in known.members]
    found = {lower: fitted(answers_of(home, folder, lower, upper, questions)) for lower, upper in pairwise(names)}
    members = {
        name: replace(one, calibration=found[name]) if name in found else one for name, one in known.members.items()
    }
    (folder / FACTS).write_bytes(encode_toml(msgspec.to_builtins(replace(known, members=members))))
    return found


def _answer(lower: LlamaEngine, upper: LlamaEngine, question: str) -> Answer:
    prompt = tokens_of(lower, [Said("user", question)])
    said: list[int] = []
    rows = []
    lower.rollback(0, 0)
    fresh = prompt
    while len(said) < SURE_TOKENS and (not said or said[-1] not in lower.facts.ends):
        rows.append(lower.decode([Piece(0, fresh)])[0].logits[-1])
        fresh = [int(np.argmax(rows[-1]))]
        said += fresh
    upper.rollback(0, 0)
    [judged] = upper.decode([Piece(0, [*prompt, *said[:-1]], wanted="all")])
    return Answer(np.stack(rows), np.argmax(judged.logits[len(prompt) - 1 :], axis=1) == np.array(said))


def _logs(answer: Answer, temperature: float) -> Values:
    """Of the likeliest tokens' probabilities."""
    logits = answer.logits.astype(np.float64) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    return np.asarray(-np.log(np.exp(logits).sum(axis=1)), np.float64)


def _surprise(answers: Sequence[Answer], temperature: float) -> float:
    logs = np.concatenate([_logs(one, temperature) for one in answers])
    same = np.concatenate([one.same for one in answers])
    return float(-np.where(same, logs, np.log(np.maximum(1e-9, -np.expm1(logs)))).mean())
