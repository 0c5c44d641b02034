"""What a GPS receiver says of the time, in NMEA 0183: the sentences RMC and ZDA. Pure; anything else is passed over.

RMC tells whether satellites are seen, and the year by two digits. ZDA tells it by four, and may come from the
receiver's own clock while it sees none: it only must not contradict a valid RMC of the same second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

LONGEST = 120
# Two sentences must tell the same passing of time as our own clock does: one alone may be noise whose checksum fits,
# and two that come at once have lain in a buffer, nobody knows how long.
AGREE_MS = 600
_SENTENCE = re.compile(rb"\$([A-Z]{2})(RMC|ZDA),([\x20-\x29\x2b-\x7e]*)\*([0-9A-Fa-f]{2})")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(\.\d{1,9})?")
# Autonomous, differential, float and fixed RTK, precise. Not: estimated, manual, simulated, no fix.
_MODES = frozenset("ADFRP")


@dataclass(frozen=True)
class Sentence:
    """valid: satellites are seen; None where the sentence doesn't say."""

    kind: Literal["RMC", "ZDA"]
    utc_ms: int
    valid: bool | None


def parse(line: bytes) -> Sentence | None:
    """One line, whatever surrounds the sentence; None for one that is damaged, of another kind or tells no time."""
    text = line[line.rfind(b"$") :].strip() if b"$" in line else b""
    found = _SENTENCE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    total = 0
    for byte in text[1:-3]:
        total ^= byte
    if total != int(found[4], 16):
        return None
    fields = found[3].decode("ascii").split(",")
    return _rmc(fields) if found[2] == b"RMC" else _zda(fields)


def _rmc(fields: Sequence[str]) -> Sentence | None:
    """time, A or V, latitude, N or S, longitude, E or W, speed, course, ddmmyy, variation, E or W, mode."""
    if len(fields) < 9 or not re.fullmatch(r"\d{6}", fields[8]):
        return None
    day, month, year = fields[8][:2], fields[8][2:4], 2000 + int(fields[8][4:])
    valid = fields[1] == "A" and (len(fields) < 12 or not fields[11] or fields[11] in _MODES)
    at_ms = _utc_ms(fields[0], day, month, year)
    return None if at_ms is None else Sentence("RMC", at_ms, valid)


def _zda(fields: Sequence[str]) -> Sentence | None:
    """time, dd, mm, yyyy, zone."""
    if len(fields) < 4 or not all(map(re.compile(r"\d{1,4}").fullmatch, fields[1:4])):
        return None
    at_ms = _utc_ms(fields[0], fields[1], fields[2], int(fields[3]))
    return None if at_ms is None else Sentence("ZDA", at_ms, None)


def _utc_ms(text: str, day: str, month: str, year: int) -> int | None:
    """A leap second is the first one of the next minute, as everywhere in Unix time."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        minute = datetime(year, int(month), int(day), int(found[1]), int(found[2]), tzinfo=UTC)
    except ValueError:
        return None
    at = minute + timedelta(seconds=int(found[3]) + float(found[4] or 0))
    return round(at.timestamp() * 1000)


@dataclass(frozen=True)
class Listening:
    """What has been heard so far: the latest valid RMC and when, and the one before. valid: of the latest RMC."""

    latest: tuple[int, int] | None = None
    before: tuple[int, int] | None = None
    contradicted: bool = False
    heard: int = 0
    valid: bool = False

    def hear(self, sentence: Sentence, mono_ms: int) -> Listening:
        if sentence.kind == "RMC":
            here = (sentence.utc_ms, mono_ms) if sentence.valid else None
            return Listening(here, self.latest, heard=self.heard + 1, valid=bool(sentence.valid))
        same_second = self.latest is not None and abs(mono_ms - self.latest[1]) < AGREE_MS
        disagrees = same_second and self.latest is not None and abs(sentence.utc_ms - self.latest[0]) > AGREE_MS
        return replace(self, heard=self.heard + 1, contradicted=self.contradicted or disagrees)

    @property
    def settled(self) -> tuple[int, int] | None:
        """UTC and our monotonic clock at that moment, once two sentences agree; None before."""
        if self.latest is None or self.before is None or self.contradicted:
            return None
        passed_utc, passed_mono = (self.latest[n] - self.before[n] for n in (0, 1))
        return self.latest if passed_utc > 0 and abs(passed_utc - passed_mono) < AGREE_MS else None
