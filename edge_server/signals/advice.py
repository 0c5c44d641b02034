"""What is proposed to an operator in mode advise, and what becomes of it. Pure: (state, what is wanted) -> state.

A wish that lasts becomes a proposal; it expires by itself, is withdrawn when something else is wanted, and is commanded
only once it is confirmed: for as long as the controller goes on to choose it, and no longer than HELD_MS. All that is
commanded passes the safety check and the lease like anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from protocol.ids import PhaseId, StageId

# A controller may change its mind with each observation; an operator can't.
STEADY_MS = 2_000
EXPIRES_MS = 20_000
# For so long what was declined, or was left to expire, is not proposed again.
QUIET_MS = 30_000
HELD_MS = 60_000

What = Literal["proposed", "confirmed", "declined", "expired", "withdrawn", "done"]


class Wish(Struct, frozen=True):
    """What would be commanded now. controller: whose wish. urgent: a vehicle's, so proposed at once."""

    stage: StageId
    phases: tuple[PhaseId, ...]
    controller: str
    reason: str
    urgent: bool = False


class Advice(Struct, frozen=True):
    """id: of this proposal alone. confirmed_ms: None while nobody has confirmed it. All on the edge's monotonic
    clock."""

    id: str
    wish: Wish
    made_ms: int
    confirmed_ms: int | None = None

    @property
    def ends_ms(self) -> int:
        return self.made_ms + EXPIRES_MS if self.confirmed_ms is None else self.confirmed_ms + HELD_MS


class AdviceState(Struct, frozen=True):
    """wanted, since_ms: the latest wish, and since when it has been for that stage. quiet: until when a stage is not
    proposed again."""

    standing: Advice | None = None
    wanted: Wish | None = None
    since_ms: int = 0
    quiet: Mapping[StageId, int] = {}

    @property
    def confirmed(self) -> Advice | None:
        standing = self.standing
        return standing if standing is not None and standing.confirmed_ms is not None else None


def advised(
    state: AdviceState, wish: Wish | None, now_ms: int, *, served: bool = False
) -> tuple[AdviceState, tuple[tuple[What, Advice], ...]]:
    """wish: what would be commanded and is not what the signals show or head for; None when there is no such thing.
    served: what was confirmed is green."""
    if (wish.stage if wish else None) != (state.wanted.stage if state.wanted else None):
        state = replace(state, since_ms=now_ms)
    state = replace(state, wanted=wish)
    steady = now_ms - state.since_ms >= STEADY_MS or (wish is not None and wish.urgent)
    told: list[tuple[What, Advice]] = []
    standing = state.standing
    if standing is not None:
        over = _over(standing, wish, now_ms, steady=steady, served=served)
        if over is not None:
            told.append((over, standing))
            quiet = {**state.quiet, standing.wish.stage: now_ms + QUIET_MS} if over == "expired" else state.quiet
            state = replace(state, standing=None, quiet=quiet)
    if state.standing is None and wish is not None and steady and state.quiet.get(wish.stage, 0) <= now_ms:
        fresh = Advice(f"{wish.stage}-{now_ms}", wish, now_ms)
        told.append(("proposed", fresh))
        state = replace(state, standing=fresh)
    return state, tuple(told)


def confirmed(state: AdviceState, advice: str, now_ms: int) -> AdviceState | None:
    """None when no such proposal stands, or somebody has confirmed it already."""
    standing = state.standing
    if standing is None or standing.id != advice or standing.confirmed_ms is not None or now_ms >= standing.ends_ms:
        return None
    return replace(state, standing=replace(standing, confirmed_ms=now_ms))


def declined(state: AdviceState, advice: str, now_ms: int) -> AdviceState | None:
    """Also ends what was confirmed. None when no such proposal stands."""
    standing = state.standing
    if standing is None or standing.id != advice:
        return None
    return replace(state, standing=None, quiet={**state.quiet, standing.wish.stage: now_ms + QUIET_MS})


def _over(standing: Advice, wish: Wish | None, now_ms: int, *, steady: bool, served: bool) -> What | None:
    other = wish is None or wish.stage != standing.wish.stage
    if standing.confirmed_ms is None:
        if now_ms >= standing.ends_ms:
            return "expired"
        return "withdrawn" if other and steady else None
    # While it is green and nothing else is wanted there is no wish: the signals show what is chosen.
    if now_ms >= standing.ends_ms or (served and wish is not None and other and steady):
        return "done"
    return None
