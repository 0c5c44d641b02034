"""Who steers a controller: the edge's side of the lease, one pure machine for each intersection.

(state, event) -> (state, order). A controller is steered only under a lease that it granted. Whoever begins to steer
takes an epoch above every one that the controller has ever taken; whoever finds another edge steering stands by. An
order quotes the controller's latest heartbeat, so a late one is recognised without a clock, and none is given once that
heartbeat is old. Nothing is ever taken back by a message: a lease that is not renewed lapses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from edge_server.signals.safety import SafeCommand
from protocol.ids import BootId, DeviceId, MessageId, PhaseId
from protocol.messages import CommandOutcome, Heartbeat

LEASE_MS = 3_000
# Below the controller's own 1.5 s, so that what is sent is fresh when it arrives.
HEARTBEAT_MAX_AGE_MS = 1_200
# Without news an order is repeated this often; a heartbeat that only answers the last order asks for none.
RENEW_MS = 500
# How long a controller that disobeys, or knows other phases than the site, is left to itself.
BARRED_MS = 30_000
# More than fit into the time that a command stays fresh, at 20 a second.
REMEMBERED_ORDERS = 32

# How much longer than the first edge server of a pair the second one waits before it asks, while the first one lives.
DEFER_MS = 2_000

# Refusals that no newer command would mend: the site and the controller differ, or it takes none at all.
MISFITS = ("foreign-intersection", "unknown-phase", "conflicting-phases", "lease-too-long", "not-taking-commands")
USURPED = ("lower-epoch", "epoch-too-high", "held-by-another")

Standing = Literal["unheard", "idle", "asking", "holding", "standing-by", "barred"]


@dataclass(frozen=True)
class Order:
    """A safe command on its way: what the shell makes a SignalCommand of."""

    command: SafeCommand
    heartbeat: int
    heartbeat_boot: BootId
    epoch: int
    lease_ms: int


class LeaseState(Struct, frozen=True):
    """boot, counter, heard_ms: of the latest heartbeat, heard_ms on the edge's monotonic clock. epoch: the one that we
    ask for or hold, None while we neither ask nor hold. holder: who else steers, for left_ms more; twin: it goes by our
    own id, and renews. orders: the phases of our
    latest orders by message id; answered: the latest that was answered. usurp: steer even though another edge does,
    because a person said so. defers: the first edge server of our pair lives and may steer; free_ms: since when nobody
    has steered, as far as we know."""

    edge: DeviceId
    standing: Standing = "unheard"
    boot: BootId | None = None
    counter: int = -1
    heard_ms: int = 0
    highest_epoch: int = 0
    epoch: int | None = None
    holder: DeviceId | None = None
    left_ms: int = 0
    twin: bool = False
    orders: Mapping[MessageId, frozenset[PhaseId]] = {}
    answered: MessageId | None = None
    sent_ms: int | None = None
    sent_phases: tuple[PhaseId, ...] = ()
    barred_until_ms: int = 0
    usurp: bool = False
    defers: bool = False
    free_ms: int | None = None


def is_news(state: LeaseState, heartbeat: Heartbeat) -> bool:
    """False for a heartbeat that is older than one already heard of the same boot.

    Of two boots nobody can tell which is newer: a late heartbeat of the earlier one misleads until the next comes, and
    the controller refuses whatever quotes it."""
    return heartbeat.boot != state.boot or heartbeat.counter > state.counter


def hear(state: LeaseState, heartbeat: Heartbeat, now_ms: int) -> LeaseState:
    """What a heartbeat changes. One that is not news changes nothing."""
    if not is_news(state, heartbeat):
        return state
    heard = replace(
        state,
        boot=heartbeat.boot,
        counter=heartbeat.counter,
        heard_ms=now_ms,
        highest_epoch=heartbeat.highest_epoch,
    )
    return _standing(_answered(heard, heartbeat, now_ms), heartbeat, now_ms)


def order(state: LeaseState, command: SafeCommand, now_ms: int, *, urgent: bool) -> Order | None:
    """The order that carries a decision, or None while it may not be sent. urgent: something new was seen; else a
    decision that says the same as the last waits until it is time to renew."""
    if state.boot is None or state.epoch is None or state.standing not in ("asking", "holding"):
        return None
    if now_ms - state.heard_ms > HEARTBEAT_MAX_AGE_MS:
        return None
    same = command.phases == state.sent_phases
    if same and not urgent and state.sent_ms is not None and now_ms - state.sent_ms < RENEW_MS:
        return None
    return Order(command, state.counter, state.boot, state.epoch, LEASE_MS)


def sent(state: LeaseState, order: Order, message: MessageId, now_ms: int) -> LeaseState:
    """Remember an order that was handed to the link, so that its answer is recognised."""
    orders = dict(state.orders)
    orders[message] = frozenset(order.command.phases)
    while len(orders) > REMEMBERED_ORDERS:
        del orders[next(iter(orders))]
    return replace(state, orders=orders, sent_ms=now_ms, sent_phases=order.command.phases)


def bar(state: LeaseState, now_ms: int) -> LeaseState:
    """Leave the controller to its own plan for a while: the lease lapses."""
    return replace(state, standing="barred", epoch=None, barred_until_ms=now_ms + BARRED_MS, usurp=False)


def let_go(state: LeaseState) -> LeaseState:
    """Steer no more: what is held lapses, and nothing is asked for until somebody decides to."""
    standing = "barred" if state.standing == "barred" else "idle"
    return replace(state, standing=standing, epoch=None, usurp=False, sent_phases=(), sent_ms=None)


def take_over(state: LeaseState) -> LeaseState:
    """A person wants this edge to steer, whoever does now: with the next heartbeat it asks above every epoch."""
    return replace(state, usurp=True)


def defer(state: LeaseState, defers: bool) -> LeaseState:
    """Whether the first edge server of our pair is to be let go first."""
    return state if state.defers == defers else replace(state, defers=defers)


def answer(state: LeaseState, heartbeat: Heartbeat) -> CommandOutcome | None:
    """What became of one of our orders, the first time that a heartbeat says so."""
    outcome = heartbeat.last_command
    if outcome is None or outcome.command == state.answered or outcome.command not in state.orders:
        return None
    return outcome


def _answered(state: LeaseState, heartbeat: Heartbeat, now_ms: int) -> LeaseState:
    outcome = answer(state, heartbeat)
    if outcome is None:
        return state
    state = replace(state, answered=outcome.command)
    if outcome.refusal in MISFITS:
        return bar(state, now_ms)
    return replace(state, epoch=None, usurp=False) if outcome.refusal in USURPED else state


def _standing(state: LeaseState, heartbeat: Heartbeat, now_ms: int) -> LeaseState:
    lease = heartbeat.lease
    ours = lease is not None and lease.edge == state.edge and lease.epoch == state.epoch
    # A lease in our name that is not ours is of our time before a restart, which we take up again at once and once
    # only; or of a twin that goes by the same id, which would do likewise for ever.
    former = lease is not None and lease.edge == state.edge and not ours
    former = former and (state.standing == "unheard" or state.epoch == heartbeat.highest_epoch + 1)
    other = lease.edge if lease is not None and not ours and not former else None
    left_ms = lease.remaining_ms if lease is not None and not ours else 0
    renewed = state.twin or (state.holder == state.edge and left_ms > state.left_ms)
    state = replace(state, holder=other, left_ms=left_ms, twin=other == state.edge and renewed)
    state = replace(state, free_ms=None if lease is not None else state.free_ms or state.heard_ms)
    if state.standing == "barred" and now_ms < state.barred_until_ms:
        return state
    if heartbeat.control == "flash":
        return replace(state, standing="idle", epoch=None)
    if other is not None and not state.usurp:
        return replace(state, standing="standing-by", epoch=None)
    if ours:
        return replace(state, standing="holding", usurp=False)
    free_for_ms = state.heard_ms - (state.free_ms or state.heard_ms)
    if state.defers and free_for_ms < DEFER_MS and not (former or state.usurp or state.standing == "asking"):
        return replace(state, standing="standing-by", epoch=None)
    # Nobody steers, or this edge did before it was restarted, or somebody is to be relieved.
    epoch = state.highest_epoch + 1
    return replace(state, standing="asking", epoch=epoch, sent_ms=state.sent_ms if epoch == state.epoch else None)
