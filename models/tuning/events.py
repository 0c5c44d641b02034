"""What a worker tells whoever started it, a JSON line each."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a worker tells. measure, score: as models.tuning.training.Judged has them.

    name, step_ms, memory_mb, pieces: of what a search tried. number and fields: of an error, to be raised again by
    whoever reads this."""

    event: str
    done: int = 0
    total: int = 0
    epoch: int = 0
    loss: float = 0.0
    judged_loss: float | None = None
    measure: str = ""
    score: float = 0.0
    number: int = 0
    fields: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    examples: int = 0
    trained: int = 0
    name: str = ""
    step_ms: float = 0.0
    memory_mb: float = 0.0
    pieces: int = 1
