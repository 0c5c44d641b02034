"""The stages of an update as they are seen on the disk, how long each takes, and which of them kills are to hit next.

Most of an update's time goes into two stages, and so moments that are drawn evenly over time miss the others: here a
stage is drawn first, the one that was hit least before the rest, and then a moment within it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from node.update.journal import load_journal
from node.update.places import UNFINISHED, Places

# In their order. environment: the new version's is being made. switch: what works is noted, until the link is turned.
# gate: the new version is on trial. delete: the old one is going.
STAGES = ("fetch", "unpack", "environment", "self-test", "switch", "gate", "commit", "delete")
# Besides them: way-back, while a version is taken back or thrown away, and idle, while no update is under way.
OF_PHASE = {
    "fetching": "fetch",
    "unpacked": "self-test",
    "tested": "switch",
    "reverting": "way-back",
    "discarding": "way-back",
    "idle": "idle",
}
MOST_A_RUN = 5
# Shorter than a look at the disk: what follows is hit instead.
SHORTEST_S = 0.002


def stage(places: Places) -> str:
    """What the journal and the folders say. A version whose deletion has begun is marked or gone."""
    journal = load_journal(places.journal)
    if journal is None:
        return "idle"
    target = places.versions / (journal.target or "none")
    match journal.phase:
        case "downloaded":
            return "environment" if target.exists() else "unpack"
        case "trial":
            return "gate" if places.in_use() == journal.target else "switch"
        case "committing":
            others = [one for one in places.versions.iterdir() if one != target]
            return "commit" if any(_is_untouched(one) for one in others) else "delete"
        case phase:
            return OF_PHASE[phase]


def _is_untouched(version: Path) -> bool:
    return (version / "bin" / "kinflow").exists() and not (version / UNFINISHED).exists()


def timed(places: Places, going: Callable[[], bool], turn: Callable[[], None]) -> dict[str, float]:
    """Watch an update that nobody disturbs; the seconds that each stage takes here."""
    seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    last_s = turned_s = time.monotonic()
    while going():
        now_s = time.monotonic()
        if (name := stage(places)) in seconds:
            seconds[name] += now_s - last_s
        last_s = now_s
        if now_s - turned_s > 0.05:
            turned_s = now_s
            turn()
        time.sleep(0.001)
    return {name: max(found, SHORTEST_S) for name, found in seconds.items()}


def drawn(random: Random, hit: Counter[str]) -> list[str]:
    """Which stages the next update is to be killed in, in their order: those that were hit least."""
    names = sorted(STAGES, key=lambda name: (hit[name], random.random()))
    return sorted(names[: random.randint(2, MOST_A_RUN)], key=STAGES.index)


def reached(places: Places, wanted: str, going: Callable[[], bool], turn: Callable[[], None], limit_s: float) -> bool:
    """Wait until the stage has begun, or one after it. False when the update ended before, or took too long."""
    later = frozenset(STAGES[STAGES.index(wanted) :])
    deadline_s, turned_s = time.monotonic() + limit_s, 0.0
    while stage(places) not in later:
        now_s = time.monotonic()
        if not going() or now_s > deadline_s:
            return False
        if now_s - turned_s > 0.05:
            turned_s = now_s
            turn()
        time.sleep(0.0005)
    return True
