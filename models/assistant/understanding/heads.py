"""What a question asks for, read off the device member's residual by small networks (their training:
models/training/kin/heads.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.assistant.tools import Tool
from models.engine.port import Floats

TOOLS = tuple(Tool)
_PARTS = ("norm", "look", "whole", "tool", "status", "switch", "near", "about", "span")
_EPSILON = 1e-5


@dataclass(frozen=True)
class Reading:
    """tools: chance of each, in the order of Tool. statuses: of none, then of each of STATUSES. switch: of off, on, and
    neither. begins, ends: tokens, how likely free text begins or ends there, as logarithms."""

    tools: Floats
    statuses: Floats
    switch: Floats
    begins: Floats
    ends: Floats


class Heads:
    """Raises OSError and ValueError for a file that is none of these."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            held = {name: np.asarray(file[name], np.float32) for name in file.files}
        wanted = {f"{part}.{name}" for part in _PARTS for name in ("weight", "bias")}
        if not wanted <= set(held) or held["tool.weight"].shape[0] != len(TOOLS):
            raise ValueError(f"{path} does not hold the heads that read questions")
        self._held = held
        self.width = held["norm.weight"].shape[0]

    def read(self, residual: Floats) -> Reading:
        """residual: tokens x width of the question, its opening and its closing token included."""
        seen = self._normed(residual)
        looks = np.stack([_chances(one) for one in self._linear("look", seen).T])
        whole = _silu(self._linear("whole", np.concatenate((seen[-1], seen.mean(0), (looks @ seen).ravel()))))
        empty = np.zeros((1, self.width), np.float32)
        before, after = np.concatenate((empty, seen[:-1])), np.concatenate((seen[1:], empty))
        near = _silu(self._linear("near", np.concatenate((before, seen, after), 1)) + self._linear("about", whole))
        span = self._linear("span", near)
        return Reading(
            tools=_chances(self._linear("tool", whole)),
            statuses=_chances(self._linear("status", whole)),
            switch=_chances(self._linear("switch", whole)),
            begins=np.log(_chances(span[:, 0]) + 1e-9),
            ends=np.log(_chances(span[:, 1]) + 1e-9),
        )

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
