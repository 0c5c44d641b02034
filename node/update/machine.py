"""How an update goes on: (state, event) -> (state, effects), without a clock, a file or a process.

The new state is on the disk before its effects begin, and each effect may be begun again: so that a power cut at any
moment costs the step that it hit, and nothing else. `resume` says what to do after one.

    idle -> fetching -> downloaded -> unpacked -> tested -> trial -> committing -> idle
                 any fault: discarding -> idle          a fault: reverting -> idle
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from msgspec.structs import replace

from node.update.journal import KEPT_OUTCOMES, Baseline, Journal, Outcome, Phase, Reason, Result
from node.update.version import is_newer

MOST_TRIES = 8


# Events


@dataclass(frozen=True)
class Wanted:
    """A signed version is on offer. again: a person asks, so an earlier failure of it is forgotten."""

    version: str
    attempt: str
    source: str
    command: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Refused:
    """Nothing that could be tried was on offer."""

    version: str
    reason: Reason
    command: str | None = None


@dataclass(frozen=True)
class Done:
    """The effect of the present phase is complete."""


@dataclass(frozen=True)
class Prepared:
    """What works now was noted, and so were the stores' schemas."""

    baseline: tuple[Baseline, ...]
    trial_s: float
    starts_limit: int


@dataclass(frozen=True)
class Failed:
    reason: Reason


@dataclass(frozen=True)
class GoBack:
    """A person wants the version before, which was kept."""


Event = Wanted | Refused | Done | Prepared | Failed | GoBack


# Effects


@dataclass(frozen=True)
class Fetch:
    version: str
    source: str


@dataclass(frozen=True)
class Install:
    version: str


@dataclass(frozen=True)
class SelfTest:
    version: str


@dataclass(frozen=True)
class Prepare:
    version: str


@dataclass(frozen=True)
class Try:
    """Switch, restart, and watch."""

    version: str
    baseline: tuple[Baseline, ...]
    attempt: str


@dataclass(frozen=True)
class Clean:
    """Delete every version but these, and what was downloaded."""

    keep: tuple[str, ...]


@dataclass(frozen=True)
class Revert:
    """Switch back to `version`, bring the stores back to what it knows, restart, and delete `bad`."""

    version: str
    bad: str


@dataclass(frozen=True)
class Discard:
    """keep_download: what was fetched so far may be gone on with."""

    bad: str
    keep_download: bool = False


Effect = Fetch | Install | SelfTest | Prepare | Try | Clean | Revert | Discard

_NEXT: dict[Phase, Phase] = {"fetching": "downloaded", "downloaded": "unpacked", "unpacked": "tested"}


def step(  # noqa: PLR0911 (one for each event)
    state: Journal, event: Event, at_ms: int, keep_previous: bool = False
) -> tuple[Journal, tuple[Effect, ...]]:
    """at_ms: the wall clock, for outcomes that people read. An event that the phase doesn't expect changes nothing."""
    match event:
        case Wanted():
            return _wanted(state, event, at_ms)
        case Refused():
            if state.phase != "idle":
                return state, ()
            return _ended(replace(state, command=event.command), event.version, "refused", event.reason, at_ms), ()
        case Done():
            return _done(state, at_ms, keep_previous)
        case Prepared():
            if state.phase != "tested":
                return state, ()
            return _enter(
                replace(state, baseline=event.baseline, trial_s=event.trial_s, starts_limit=event.starts_limit),
                "trial",
            )
        case Failed():
            return _failed(state, event.reason)
        case GoBack():
            if state.phase != "idle" or state.previous is None:
                return state, ()
            reason = Reason("operator", f"somebody asked for version {state.previous} again")
            back = replace(state, version=state.previous, previous=None, target=state.version, reason=reason)
            return _enter(back, "reverting")
        case _:
            assert_never(event)


def resume(state: Journal) -> tuple[Journal, tuple[Effect, ...]]:
    """After a start: the same phase once more. What was cut off too often is given up, with that as its reason."""
    if state.phase == "idle":
        return state, ()
    again = replace(state, tries=state.tries + 1)
    if again.tries > MOST_TRIES and state.phase not in {"committing", "reverting", "discarding"}:
        return _failed(again, Reason("interrupted", f"it was cut off {MOST_TRIES} times while {state.phase}"))
    return again, effects(again)


def adopt(state: Journal | None, in_use: str | None) -> Journal | None:
    """Somebody may have installed another version by hand: what is in use then is what counts. None: nothing is there.

    While an update is under way only a version that is neither the old nor the new one ends it.
    """
    if in_use is None:
        return state
    if state is None:
        return Journal(version=in_use)
    if state.phase == "idle":
        return state if state.version == in_use else replace(state, version=in_use, previous=None)
    if in_use in {state.version, state.target}:
        return state
    return Journal(version=in_use, refused=state.refused, outcomes=state.outcomes)


def effects(state: Journal) -> tuple[Effect, ...]:  # noqa: PLR0911 (one for each phase)
    """What is to be done in a phase; done again it does no harm."""
    target = state.target or ""
    match state.phase:
        case "idle":
            return ()
        case "fetching":
            return (Fetch(target, state.source),)
        case "downloaded":
            return (Install(target),)
        case "unpacked":
            return (SelfTest(target),)
        case "tested":
            return (Prepare(target),)
        case "trial":
            return (Try(target, state.baseline, state.attempt),)
        case "committing":
            return (Clean((state.version, *([state.previous] if state.previous else []))),)
        case "reverting":
            return (Revert(state.version, target),)
        case "discarding":
            kept = state.reason is not None and state.reason.code in {"unreachable", "interrupted"}
            return (Discard(target, keep_download=kept),)
        case _:
            assert_never(state.phase)


def _wanted(state: Journal, event: Wanted, at_ms: int) -> tuple[Journal, tuple[Effect, ...]]:
    if state.phase != "idle":
        return state, ()
    asked = replace(state, command=event.command)
    if event.version == state.version:
        # Who asked is told; it is no failure that there is nothing to do.
        return (_ended(asked, event.version, "committed", None, at_ms) if event.command else state), ()
    if not is_newer(event.version, state.version):
        reason = Reason("older", f"version {event.version} is older than {state.version}, which runs")
        return _ended(asked, event.version, "refused", reason, at_ms), ()
    known = state.refused.get(event.version)
    if known is not None and not event.again:
        return (_ended(asked, event.version, "refused", known, at_ms) if event.command else state), ()
    refused = {version: reason for version, reason in state.refused.items() if version != event.version}
    begun = replace(
        asked,
        target=event.version,
        attempt=event.attempt,
        source=event.source,
        refused=refused,
        reason=None,
        baseline=(),
    )
    return _enter(begun, "fetching")


def _done(state: Journal, at_ms: int, keep_previous: bool) -> tuple[Journal, tuple[Effect, ...]]:
    target = state.target or ""
    if state.phase in _NEXT:
        return _enter(state, _NEXT[state.phase])
    match state.phase:
        case "trial":
            previous = state.version if keep_previous else None
            return _enter(replace(state, version=target, previous=previous), "committing")
        case "committing":
            return _ended(state, target, "committed", None, at_ms), ()
        case "reverting":
            return _ended(state, target, "rolled-back", state.reason, at_ms), ()
        case "discarding":
            return _ended(state, target, "refused", state.reason, at_ms), ()
        case _:
            return state, ()


def _failed(state: Journal, reason: Reason) -> tuple[Journal, tuple[Effect, ...]]:
    if state.phase in {"idle", "committing", "reverting", "discarding"}:
        # Those are done again until they succeed: the machine runs a working version meanwhile.
        return state, ()
    return _enter(replace(state, reason=reason), "reverting" if state.phase == "trial" else "discarding")


def _enter(state: Journal, phase: Phase) -> tuple[Journal, tuple[Effect, ...]]:
    entered = replace(state, phase=phase, tries=1)
    return entered, effects(entered)


def _ended(state: Journal, version: str, result: Result, reason: Reason | None, at_ms: int) -> Journal:
    outcome = Outcome(version=version, result=result, at_ms=at_ms, reason=reason, command=state.command)
    refused = state.refused
    if reason is not None and state.target == version and reason.code not in PASSING:
        refused = {**refused, version: reason}
    return replace(
        state,
        phase="idle",
        target=None,
        attempt="",
        source="",
        command=None,
        tries=0,
        baseline=(),
        reason=None,
        refused=refused,
        outcomes=(*state.outcomes, outcome)[-KEPT_OUTCOMES:],
    )


# What says nothing about the version itself: it may be tried again.
PASSING = frozenset({"unreachable", "disk-full", "interrupted", "operator", "expired"})
