"""What a question asks for, read off the device member's residual by small networks, and off its words by tables
(their training: models/training/kin/heads.py and words.py).

The two are wrong about different questions: their chances are multiplied, the residual's to the power of RESIDUAL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.assistant.tools import Tool
from models.engine.port import Floats

TOOLS = tuple(Tool)
_PARTS = ("norm", "look", "whole", "tool", "status", "switch", "near", "about", "span")
_EPSILON = 1e-5
RESIDUAL = 0.75


@dataclass(frozen=True)
class Reading:
    """tools: chance of each, in the order of Tool. statuses: of none, then of each of STATUSES. switch: of off, on, and
    neither. begins, ends: tokens, how likely free text begins or ends there, as logarithms. spans: the table of
    spans.py, None for what the residual says alone. alone: tools by the residual alone."""

    tools: Floats
    statuses: Floats
    switch: Floats
    begins: Floats
    ends: Floats
    spans: Floats | None = None
    alone: Floats | None = None


class Heads:
    """Raises OSError and ValueError for a file that is none of these."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            held = {name: np.asarray(file[name], np.float32) for name in file.files}
        wanted = {f"{part}.{name}" for part in _PARTS for name in ("weight", "bias")}
        if not wanted <= set(held) or held["tool.weight"].shape[0] != len(TOOLS):
            raise ValueError(f"{path} does not hold the heads that read questions")
        self._held = held
        self._tables = [
            {name.removeprefix(f"{table}."): one for name, one in held.items() if name.startswith(f"{table}.")}
            for table in sorted({name.partition(".")[0] for name in held if name.startswith("words")})
        ]
        self.width = held["norm.weight"].shape[0]

    def read(self, residual: Floats, rows: Sequence[int] = ()) -> Reading:
        """residual: tokens x width of the question, its opening and its closing token included. rows: of the tables,
        as ngrams.py has them; none for what the residual says alone."""
        seen = self._normed(residual)
        looks = np.stack([_chances(one) for one in self._linear("look", seen).T])
        whole = _silu(self._linear("whole", np.concatenate((seen[-1], seen.mean(0), (looks @ seen).ravel()))))
        empty = np.zeros((1, self.width), np.float32)
        before, after = np.concatenate((empty, seen[:-1])), np.concatenate((seen[1:], empty))
        near = _silu(self._linear("near", np.concatenate((before, seen, after), 1)) + self._linear("about", whole))
        span = self._linear("span", near)
        return Reading(
            tools=self._joined("tool", whole, rows),
            statuses=self._joined("status", whole, rows),
            switch=self._joined("switch", whole, rows),
            begins=np.log(_chances(span[:, 0]) + 1e-9),
            ends=np.log(_chances(span[:, 1]) + 1e-9),
            spans=self._held.get("span.table"),
            alone=_chances(self._linear("tool", whole)),
        )

    def _joined(self, name: str, whole: Floats, rows: Sequence[int]) -> Floats:
        chances = _chances(self._linear(name, whole))
        if not rows or not self._tables:
            return chances
        told = RESIDUAL * np.log(chances + 1e-9)
        for table in self._tables:
            mean = table["table.weight"][list(rows)].sum(0) / np.sqrt(len(rows))
            hidden = np.maximum(0, table["hidden.weight"] @ mean + table["hidden.bias"])
            said = _chances(table[f"{name}.weight"] @ hidden + table[f"{name}.bias"])
            told = told + np.log(said + 1e-9) / len(self._tables)
        return _chances(told)

    def _normed(self, x: Floats) -> Floats:
        x = x - x.mean(1, keepdims=True)
        scaled: Floats = x / np.sqrt((x * x).mean(1, keepdims=True) + _EPSILON)
        return scaled * self._held["norm.weight"] + self._held["norm.bias"]

    def _linear(self, name: str, x: Floats) -> Floats:
        return x @ self._held[f"{name}.weight"].T + self._held[f"{name}.bias"]


def _silu(x: Floats) -> Floats:
    silu: Floats = x / (1 + np.exp(-np.clip(x, -80, 80)))
    return silu


def _chances(x: Floats) -> Floats:
    raised = np.exp(x - x.max())
    chances: Floats = raised / raised.sum()
    return chances
