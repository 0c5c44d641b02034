"""Ranges of a prompt as they come: each whole, in order, as large as it said, or none at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.engine.port import Portion
from models.errors import PrefillGarbled
from protocol.kv_frames import Done, Frame, Identity, Part, Range


@dataclass(frozen=True)
class Collected:
    """number: of the asking. identity: of what was asked for. next: where the next range begins; end: where the last
    one ends. most_token_bytes: more can't be one token's. open: the range that is under way; parts: what came of it.
    done: whether all is there."""

    number: int
    identity: Identity
    next: int
    end: int
    most_token_bytes: int
    open: Range | None = None
    parts: tuple[bytes, ...] = ()
    done: bool = False

    @property
    def got_bytes(self) -> int:
        return sum(map(len, self.parts))


def take(state: Collected, frame: Frame) -> tuple[Collected, Portion | None]:
    """With one frame more, and the range that it completes. Raises PrefillGarbled (KF528)."""
    if isinstance(frame, Part):
        return _part(state, frame)
    if isinstance(frame, Range) and state.open is None:
        return _begun(state, frame), None
    if isinstance(frame, Done) and state.open is None and (frame.number, frame.end) == (state.number, state.end):
        if state.next != state.end:
            raise PrefillGarbled(detail=f"it ended behind token {state.next} of {state.end}")
        return replace(state, done=True), None
    raise PrefillGarbled(detail=f"a frame {type(frame).__name__.lower()} that has no place here")


def _begun(state: Collected, frame: Range) -> Collected:
    if frame.number != state.number or frame.start != state.next or not frame.start < frame.end <= state.end:
        raise PrefillGarbled(
            detail=f"tokens {frame.start} to {frame.end} came, of {state.next} to {state.end} that were to come"
        )
    if frame.size_bytes > (frame.end - frame.start + 1) * state.most_token_bytes:
        raise PrefillGarbled(detail=f"{frame.size_bytes} bytes for {frame.end - frame.start} tokens")
    return replace(state, open=frame, parts=())


def _part(state: Collected, frame: Part) -> tuple[Collected, Portion | None]:
    if state.open is None:
        raise PrefillGarbled(detail="a part of no range")
    state = replace(state, parts=(*state.parts, frame.data))
    opened, got = state.open, state.got_bytes
    assert opened is not None
    if got > opened.size_bytes:
        raise PrefillGarbled(detail=f"{got} bytes of a range of {opened.size_bytes}")
    if got < opened.size_bytes:
        return state, None
    portion = Portion(
        state.identity.fingerprint,
        state.identity.layout,
        opened.start,
        opened.end,
        opened.whole,
        b"".join(state.parts),
        opened.sha256,
    )
    return replace(state, open=None, parts=(), next=opened.end), portion
