"""What keys and values of an engine are bound to."""

from __future__ import annotations

from models.engine.port import Facts
from models.errors import PrefillForeign
from models.serving.planning.step_time import StepTime
from protocol.kv_frames import Identity, Speed


def identity_of(facts: Facts) -> Identity:
    return Identity(
        fingerprint=facts.fingerprint,
        source=facts.source,
        memory=str(facts.memory),
        layout=facts.layout,
        engine=facts.engine,
    )


def require_same(own: Identity, other: Identity) -> None:
    """Raises PrefillForeign (KF525)."""
    names = own.differences(other)
    if names:
        told = ", ".join(f"{name} is {getattr(other, name)[:40]!r}, not {getattr(own, name)[:40]!r}" for name in names)
        raise PrefillForeign(detail=told)


def require_ranges(facts: Facts) -> None:
    """Raises PrefillForeign (KF525)."""
    if not facts.memory.has_ranges:
        raise PrefillForeign(detail=f"its memory is {facts.memory}, which is whole or nothing: no ranges can be sent")


def most_token_bytes(facts: Facts) -> int:
    """More than the keys and values of one token can be: two of them in F32, with room for heads that are wider
    together than the model is."""
    return 1024 + 4 * 4 * facts.width * facts.blocks


def speed_of(time: StepTime) -> Speed:
    step_s, row_s, pair_s = time.of_prompts
    return Speed(step_s=step_s, row_s=row_s, pair_s=pair_s)
