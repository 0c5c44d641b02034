"""How long a step takes, fitted while it is used.

Two lines, each through the steps that tell it: what those who speak take, a + b answers + c answers x context; and
what prompts take beside them, a' + b' rows + c' rows x context. Together they could not be told apart while as many
speak in every step. The last term is attention, which reads what a sequence holds for each row that is added; fused
attention does so for 64 rows at a time, and for fewer of one piece row by row.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.serving.planning.line import UNLEARNT, Line

KEPT_ALONE = 9
# Rows, answers and contexts are scaled so that the sums are of one size.
_ROWS, _SPEAKING, _CONTEXT = 64.0, 8.0, 1024.0
# llama.cpp's fused attention on a CPU: rows that it takes together, and how many times longer a row takes alone
# (about so; docs/decisions/0019 has a table).
TILE_ROWS, ROW_BY_ROW = 64, 2.0
# How many times longer than expected steps with prompts take: of the last ones all but the worst, which may be a
# neighbour's doing. Before so many were seen, and at the most, MOST_MARGIN.
SEEN_FOR_MARGIN = 16
LEAST_MARGIN, MOST_MARGIN = 1.03, 1.2


@dataclass(frozen=True)
class Work:
    """What a step holds. rows: of prompts. pairs: of each piece of them rows x (context + rows / 2), summed, in whole
    lots of TILE_ROWS, and ROW_BY_ROW times as many for one of fewer rows. speaking: rows of those who speak; read: what
    they hold, summed."""

    rows: int = 0
    pairs: float = 0.0
    speaking: int = 0
    read: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.rows + other.rows,
            self.pairs + other.pairs,
            self.speaking + other.speaking,
            self.read + other.read,
        )

    @property
    def all_rows(self) -> int:
        return self.rows + self.speaking


def work(rows: int, context: int) -> Work:
    """Of one piece; one of one row is somebody's who speaks. context: tokens that the sequence holds before."""
    if rows == 1:
        return Work(speaking=1, read=context)
    attended = math.ceil(rows / TILE_ROWS) * TILE_ROWS if rows >= TILE_ROWS else ROW_BY_ROW * rows
    return Work(rows, attended * (context + rows / 2))


NOTHING = Work()


@dataclass(frozen=True)
class StepTime:
    """Before anything ran nothing is known: `expected_s` is 0, and `knows` False. alone: what the last steps of a
    single row took. surprises: how many times longer than expected the last ones with prompts did."""

    speaking: Line = UNLEARNT
    prompts: Line = UNLEARNT
    alone: tuple[float, ...] = ()
    surprises: tuple[float, ...] = ()

    @property
    def knows(self) -> bool:
        return self.speaking.weights is not None or self.prompts.weights is not None

    def expected_s(self, done: Work) -> float:
        speaking_s = self.speaking.at(_of_speaking(done)) if done.speaking else 0.0
        return speaking_s + (self.prompts.at(_of_prompts(done)) if done.rows else 0.0)

    @property
    def alone_s(self) -> float | None:
        """Of a token while nobody else is there; None before that was seen."""
        return statistics.median(self.alone) if self.alone else None

    @property
    def row_s(self) -> float:
        """Of a row of a prompt, in a step of a usual size."""
        return self.expected_s(work(TILE_ROWS, 0)) / TILE_ROWS

    @property
    def step_s(self) -> float:
        """Of a step of one row, with nothing before it."""
        return self.expected_s(work(1, 0))

    @property
    def more_row_s(self) -> float:
        """Of each row beyond the first, in a step of a usual size."""
        return (self.expected_s(work(TILE_ROWS, 0)) - self.step_s) / (TILE_ROWS - 1)

    @property
    def margin(self) -> float:
        """So many times what is expected a step may well take."""
        if len(self.surprises) < SEEN_FOR_MARGIN:
            return MOST_MARGIN
        return min(MOST_MARGIN, max(LEAST_MARGIN, sorted(self.surprises)[-2]))

    @property
    def of_prompts(self) -> tuple[float, float, float]:
        """Seconds of a piece, of each of its rows, and of each row for each token before it."""
        if self.prompts.weights is None:
            return 0.0, 0.0, 0.0
        fixed, row, pair = map(float, self.prompts.weights)
        return fixed, row / _ROWS, pair / (_ROWS * _CONTEXT)

    def learnt(self, done: Work, seconds: float) -> StepTime:
        """With one step more."""
        if not done.rows:
            alone = (*self.alone, seconds)[-KEPT_ALONE:] if done.speaking == 1 else self.alone
            return replace(self, speaking=self.speaking.learnt(_of_speaking(done), seconds), alone=alone)
        beside_s = self.speaking.at(_of_speaking(done)) if done.speaking else 0.0
        expected_s = self.expected_s(done)
        return replace(
            self,
            prompts=self.prompts.learnt(_of_prompts(done), max(0.0, seconds - beside_s)),
            surprises=(*self.surprises, seconds / expected_s)[-SEEN_FOR_MARGIN:] if expected_s else self.surprises,
        )


def _of_speaking(done: Work) -> NDArray[np.float64]:
    return np.array([1.0, done.speaking / _SPEAKING, done.read / (_SPEAKING * _CONTEXT)])


def _of_prompts(done: Work) -> NDArray[np.float64]:
    return np.array([1.0, done.rows / _ROWS, done.pairs / (_ROWS * _CONTEXT)])
