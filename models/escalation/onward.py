"""The middle of three tiers: what it has computed of a row goes on to the tier above it, and that one chooses."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from models.engine.port import Engine, Floats, Piece
from models.errors import ContextTooLong, HiddenForeign, SessionGone
from models.escalation.port import Above
from models.family.handover import Kind, pack, read, unpack
from models.serving.holding import Holding
from models.serving.port import Scheduler
from protocol.tiers import Opened, Opening, Round, Verdict

# The tier below waits longer than that, so that it hears of it.
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Place:
    """What a middle tier computes: file of the family, None for its member's own; the block of that file behind which
    rows are read, and the last block of the whole below them."""

    file: str | None
    tap: int
    after: int


def place_of(holding: Holding, after: int) -> Place | None:
    """For rows that come from behind block `after` of the whole; None where no other part goes on from this member.
    Raises as `Holding.engine`."""
    member, manifest = holding.member, holding.manifest
    if manifest.realisation == "segments":
        if member == manifest.members[-1]:
            return None
        blocks = holding.blocks()
        return Place(None, blocks - 1, after + blocks)
    continuation = holding.continuation(after)
    if continuation is None or member.exit is None:
        return None
    leaves = member.exit - 1
    if not any(one.after == leaves and one.of != member.name for one in manifest.continuations):
        return None
    # The exit's own block is computed as well, so that this tier can go on by itself when the one above goes.
    return Place(continuation.file, leaves - after - 1, leaves)


@dataclass
class Onward:
    """A session above, for one here. Blocks; used by one thread at a time. scheduler: of this tier's own part, whose
    engine shows what it has computed. source, after: of what is handed on."""

    above: Above
    scheduler: Scheduler
    source: str
    after: int
    opened: Opened

    @property
    def tier(self) -> str:
        return self.opened.tier or self.above.tier

    def round(self, asked: Round, hidden: Floats, kind: Kind) -> Verdict:
        """The same round, one tier further. Raises TierUnreachable (KF493)."""
        packed = pack(hidden, source=self.source, block=self.after + 1, start=asked.start, kind=kind)
        verdict = self.above.round(replace(asked, session=self.opened.session, hidden=packed))
        return verdict if verdict.tier else replace(verdict, tier=self.above.tier)

    def close(self) -> None:
        self.above.end(self.opened.session)
        self.above.close()


def open_above(above: Above, asked: Opening, after: int) -> Opened:
    """Raises TierUnreachable (KF493)."""
    above.timeout_s = min(above.timeout_s, PATIENCE_S)
    return above.open(replace(asked, after=after))


def advanced(engine: Engine, sequence: int, held: int, limit: int, asked: Round) -> tuple[Floats, Kind]:
    """On the engine's thread: compute the rows that came, each once, and tell what is to be handed on. held: how many
    rows stand; what was computed behind them was not accepted. Raises SessionGone (KF504), ContextTooLong (KF394),
    HiddenForeign (KF402), or what `Engine.decode` does."""
    if asked.start != held:
        raise SessionGone(detail=f"it begins at token {asked.start}, and {held} are held")
    rows = unpack(asked.hidden, engine.facts, held)
    if held + len(rows) > limit:
        raise ContextTooLong(tokens=held + len(rows), excess_tokens=held + len(rows) - limit, limit_tokens=limit)
    if engine.length(sequence) > held:
        engine.rollback(sequence, held)
    [output] = engine.decode([Piece(sequence, hidden=rows, wanted="none")])
    if output.hidden is None:
        raise HiddenForeign(detail="this tier's engine shows none to hand on")
    return output.hidden, read(asked.hidden).kind
