"""One camera's emergency evidence, picture by picture: tracks, beacons, siren and declaration in, a reading out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

from agent.emergency import latch as latches
from agent.emergency.beacon import EMPTY, BeaconReading, Colour, History, fast_enough, judge, remember, whole
from agent.emergency.crops import Box
from agent.emergency.evidence import Declared, Evidence, Kind, of_beacons, of_class, of_declaration, of_siren
from agent.emergency.flicker import brightness
from agent.emergency.fusion import fired, probability
from agent.emergency.latch import OFF, Latch, Rule
from agent.emergency.siren import SirenReading
from agent.traffic.track import Track
from models.vision.detector import Label
from protocol.messages.observation import EmergencyState

Direction = Literal["towards", "away", "standing"]

REQUEST = Rule(k=4, n=6, hold_ms=5_000, longest_ms=120_000)
PRESENT = Rule(k=5, n=8, hold_ms=2_000, longest_ms=3_600_000)
SIREN = Rule(k=3, n=4, hold_ms=5_000, longest_ms=600_000)
REQUEST_FROM = 0.5
_MOVING_MPS = 1.0
_UNSEEN_MS = 1_500
PREDICTED_MS = 300
# A vehicle is found whether its lamps are lit or not; what is found less often than this may be the light itself.
LEAST_FOUND = 0.5
# Red lamps alone count on what is found as often as a vehicle is, and comes nearer for so long without a pause, or once
# did for longer: it drives. The box of what stands sways to and fro.
_MOSTLY_FOUND = 0.7
_COMES_AFTER_MS, _DRIVES_AFTER_MS = 300, 700
_SENSE_AFTER_MS = 1_000
_GAIN_SHARE = 0.03
NO_BEACONS: frozenset[Label] = frozenset({"person", "bicycle"})
_WEIGHT = {"requested": 2, "present": 1}


@dataclass(frozen=True)
class Sighting:
    """One emergency vehicle, or the sound of one. probability: that it asks for way on this approach. since_ms:
    monotonic, when this state began. It has no id that outlives this camera."""

    kind: Kind
    state: Literal["present", "requested"]
    probability: float
    evidence: tuple[Evidence, ...]
    colours: tuple[Colour, ...]
    direction: Direction | None
    since_ms: int


@dataclass(frozen=True)
class EmergencyReading:
    """senses: which kinds of evidence could have spoken. probability: of a request on this approach, 0..1."""

    state: EmergencyState
    probability: float
    senses: tuple[Evidence, ...]
    sightings: tuple[Sighting, ...] = ()


@dataclass(frozen=True)
class Watched:
    """One track. looks: pictures in which it was looked for. coming_ms: since when it has come nearer without a pause.
    drives: it did for long enough. probability: of a request now."""

    history: History = EMPTY
    looks: int = 1
    coming_ms: int | None = None
    drives: bool = False
    present: Latch = OFF
    requested: Latch = OFF
    probability: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    colours: tuple[Colour, ...] = ()
    kind: Kind = "unknown"
    direction: Direction | None = None
    box: Box = (0.0, 0.0, 0.0, 0.0)
    seen_ms: int = 0


UNSEEN = Watched()


@dataclass(frozen=True)
class State:
    watched: Mapping[int, Watched] = field(default_factory=dict)
    usual: float | None = None
    times_ms: tuple[int, ...] = ()
    siren: Latch = OFF
    heard_ms: int = -1


class EmergencyModel:
    """thresholds: the detector's, from which a class counts as found; synthetic_only: classes that only drawings
    taught, which are never more than emergency_other and never cause a request by themselves. sees: False where the
    detector knows no emergency vehicles: its tracks then tell nothing, and absence is not claimed."""

    def __init__(
        self, thresholds: Mapping[Label, float], synthetic_only: frozenset[Label] = frozenset(), *, sees: bool = True
    ) -> None:
        self._thresholds, self._synthetic, self._sees = thresholds, synthetic_only, sees

    def initial(self) -> State:
        return State()

    def step(
        self,
        state: State,
        tracks: Sequence[Track] | None,
        image: NDArray[Any],
        mono_ms: int,
        *,
        heard: tuple[SirenReading, int] | None = None,
        declared: Declared | None = None,
        skipped: bool = False,
    ) -> tuple[State, EmergencyReading]:
        """tracks: None where no detector runs. skipped: it skipped this picture, and boxes are where their things must
        be by now. image: BGR uint8, the picture that they were found in. heard: the newest
        finding of the camera's sound source and when it was heard; None where there is none or it is too old. declared:
        what a vehicle has said for this approach, while it holds."""
        tracks = tracks if self._sees else None
        state = self._listened(state, heard, mono_ms)
        siren_llr = of_siren(None if heard is None else heard[0])
        given: dict[Evidence, float] = {"siren": siren_llr, "declared": of_declaration(declared)}
        watched: dict[int, Watched] = {}
        if tracks is not None:
            level = brightness(image)
            usual = level if state.usual is None else state.usual + _GAIN_SHARE * (level - state.usual)
            times = (*(at for at in state.times_ms if mono_ms - at <= _SENSE_AFTER_MS), mono_ms)
            state = replace(state, usual=usual, times_ms=times)
            for track in tracks:
                before = state.watched.get(track.id, UNSEEN)
                watched[track.id] = self._watch(before, track, image, level / usual, mono_ms, given, skipped)
            for key, one in state.watched.items():
                if key not in watched and mono_ms - one.seen_ms <= max(_UNSEEN_MS, REQUEST.hold_ms):
                    watched[key] = self._missed(one, mono_ms)
        state = replace(state, watched=MappingProxyType(watched))
        return state, self._reading(state, tracks is not None, heard is not None, declared, given)

    def _watch(  # noqa: PLR0917
        self,
        one: Watched,
        track: Track,
        image: NDArray[Any],
        gain: float,
        mono_ms: int,
        given: Mapping[Evidence, float],
        skipped: bool,
    ) -> Watched:
        history, beacons = one.history, BeaconReading(available=True)
        looks = one.looks + (not skipped)
        # Where it was looked for and missed for longer than a blink, there is something else.
        there = skipped or track.last_ms - track.seen_ms <= PREDICTED_MS
        if there and track.label not in NO_BEACONS and whole(image, track.box):
            history = remember(history, image, track.box, gain, mono_ms)
            if track.hits >= LEAST_FOUND * looks:
                beacons = judge(history)
        named = of_class(track.scores, self._thresholds, self._synthetic)
        direction = direction_of(track.velocity_mps)
        coming_ms = None if direction != "towards" else mono_ms if one.coming_ms is None else one.coming_ms
        for_ms = 0 if coming_ms is None else mono_ms - coming_ms
        drives = one.drives or for_ms >= _DRIVES_AFTER_MS
        vehicle = (drives or for_ms >= _COMES_AFTER_MS) and track.hits >= _MOSTLY_FOUND * looks
        flash = of_beacons(beacons.llr, beacons.amber_llr, named)
        placed = track.ground is not None or direction is not None
        if placed and not vehicle and "blue" not in beacons.colours and not named.learnt:
            # Red lamps flash at the roadside too, at works and at crossings, and as tail lamps of what stands ahead.
            flash = min(0.0, flash)
        llrs: dict[Evidence, float] = {"class": named.llr, "beacons": flash, **given}
        if named.llr + flash <= 0:
            # A declaration is of one vehicle, not of everyone on the approach.
            llrs["declared"] = 0.0
        chance = probability(llrs)
        asks = chance >= REQUEST_FROM and direction != "away"
        told = fired(llrs), beacons.colours
        if not asks and one.requested.on:  # what it was agreed on
            told = one.evidence, one.colours
        sight = named.named or (beacons.llr > 0 and chance >= REQUEST_FROM)
        return Watched(
            history,
            looks,
            coming_ms,
            drives,
            latches.step(one.present, PRESENT, sight, mono_ms),
            latches.step(one.requested, REQUEST, asks, mono_ms),
            chance,
            *told,
            named.kind if named.kind != "unknown" else one.kind,
            direction,
            track.box,
            mono_ms,
        )

    @staticmethod
    def _missed(one: Watched, mono_ms: int) -> Watched:
        """A track that is not there any more: what it was agreed on lapses."""
        present = latches.step(one.present, PRESENT, False, mono_ms)
        return replace(one, present=present, requested=latches.step(one.requested, REQUEST, False, mono_ms))

    @staticmethod
    def _listened(state: State, heard: tuple[SirenReading, int] | None, mono_ms: int) -> State:
        if heard is None:
            return replace(state, siren=latches.step(state.siren, SIREN, False, mono_ms) if state.siren.on else Latch())
        reading, heard_ms = heard
        if heard_ms <= state.heard_ms:
            return state
        siren = latches.step(state.siren, SIREN, reading.sounding == "siren", mono_ms)
        return replace(state, siren=siren, heard_ms=heard_ms)

    @staticmethod
    def _reading(
        state: State,
        sees: bool,
        hears: bool,
        declared: Declared | None,
        given: Mapping[Evidence, float],
    ) -> EmergencyReading:
        senses: list[Evidence] = []
        if sees:
            senses.append("class")
            if fast_enough(state.times_ms):
                senses.append("beacons")
        if hears:
            senses.append("siren")
        if declared is not None:
            senses.append("declared")
        if not senses:
            return EmergencyReading("unavailable", 0.0, ())
        found = distinct([one for one in state.watched.values() if one.present.on or one.requested.on])
        sightings = [_sighting(one) for one in found]
        chance = max([one.probability for one in state.watched.values()], default=0.0)
        if declared is not None and given["declared"] > 0 and not any(one.state == "requested" for one in sightings):
            alone = probability(given)
            if alone >= REQUEST_FROM:
                sightings.append(Sighting(declared.kind, "requested", alone, fired(given), (), None, declared.mono_ms))
                chance = max(chance, alone)
        if state.siren.since_ms is not None and not sightings:
            alone = probability({"siren": given["siren"]})
            sightings.append(Sighting("unknown", "present", alone, ("siren",), (), None, state.siren.since_ms))
            chance = max(chance, alone)
        sightings.sort(key=lambda one: (-_WEIGHT[one.state], -one.probability))
        return EmergencyReading(
            sightings[0].state if sightings else "absent" if sees else "unavailable",
            round(chance, 4),
            tuple(senses),
            tuple(sightings),
        )


def _sighting(one: Watched) -> Sighting:
    asks = one.requested.on
    since_ms = one.requested.since_ms if asks else one.present.since_ms
    return Sighting(
        one.kind,
        "requested" if asks else "present",
        round(one.probability, 4),
        one.evidence,
        one.colours,
        one.direction,
        since_ms if since_ms is not None else one.seen_ms,
    )


def distinct(found: Sequence[Watched]) -> list[Watched]:
    """One for each vehicle: the beacons of one vehicle shine within the boxes of its neighbours too."""
    kept: list[Watched] = []
    for one in sorted(found, key=lambda w: (not w.requested.on, -w.probability)):
        if not any(_overlap(one.box, other.box) > 0.3 for other in kept):
            kept.append(one)
    return kept


def _overlap(a: Box, b: Box) -> float:
    """The share of the smaller box that lies in the other."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / max(1e-9, min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])))


def direction_of(velocity_mps: tuple[float, float] | None) -> Direction | None:
    """By the calibration's frame, whose y grows away from the stop line and the camera."""
    if velocity_mps is None:
        return None
    vx, vy = velocity_mps
    if vx * vx + vy * vy < _MOVING_MPS**2:
        return "standing"
    return "towards" if vy < 0 else "away"
