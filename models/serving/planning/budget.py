"""How many rows a step may hold so that nobody who speaks waits too long for the next token.

Niyama's dynamic chunk (Goel and others 2025, arXiv 2503.22562, section 3.2): the largest step whose expected time,
with a margin, is within the least slack of those who speak.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.serving.planning.request import Request
from models.serving.planning.step_time import NOTHING, StepTime, Work, work

MARGIN = 1.2
# Fewer rows of prompts than this waste a step: weights are read once for all of its rows.
LEAST_ROWS = 16
# Before anything is known of the machine.
BLIND_ROWS = 64


def speaking_work(requests: Sequence[Request]) -> Work:
    found = NOTHING
    for one in requests:
        if one.speaks:
            found += work(1, one.context)
    return found


def prompt_rows(requests: Sequence[Request], time: StepTime, most_rows: int, now_s: float) -> int:
    """How many rows of prompts may go beside those who speak; at least LEAST_ROWS, so that prompts are never starved,
    whatever the slack. most_rows: that the engine computes at once."""
    speaking = [one for one in requests if one.speaks]
    room = max(0, most_rows - len(speaking))
    if not speaking:
        return room
    least = min(LEAST_ROWS, room)
    if not time.knows:
        return max(least, min(BLIND_ROWS, room))
    slack_s = min(one.slack_s(now_s) for one in speaking)
    beside, context = speaking_work(speaking), _context(requests)
    low, high = least, room
    while low < high:  # the largest that fits: time grows with rows
        middle = (low + high + 1) // 2
        if MARGIN * time.expected_s(beside + work(middle, context)) <= slack_s:
            low = middle
        else:
            high = middle - 1
    return low


def _context(requests: Sequence[Request]) -> int:
    """Of the prompt that is furthest: no other costs more a row."""
    return max((one.context for one in requests if not one.speaks), default=0)
