"""How many rows a step may hold so that nobody who speaks waits too long for the next token.

Niyama's dynamic chunk (Goel and others 2025, arXiv 2503.22562, section 3.2): the largest step whose expected time,
with a margin, is within the least slack of those who speak. How much margin the last steps' surprises say
(docs/decisions/0025). There are two kinds of slack. None may be silent for longer than its gap, or twice that where a
longer step wastes so much less (STRETCH). And each keeps a pace in the mean, as long as it can: tokens that came sooner
pay for a prompt's step later. Where pace leaves nothing for prompts they wait, unless that would cost one of them its
time to the first token, or it has been patient.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from models.serving.planning.order import is_late, is_patient
from models.serving.planning.request import Request
from models.serving.planning.step_time import NOTHING, TILE_ROWS, StepTime, Work, work

# Fewer rows of prompts than this waste a step, unless a prompt ends with them: weights are read once for all of them.
LEAST_ROWS = 16
# Whole lots of fused attention are taken in place of more rows where each row then costs so much less.
CHEAPER_DOWN, CHEAPER_UP = 0.95, 0.925
# Two lots in place of one may take so many times what slack there is: gaps are promised by short steps, and behind many
# tokens a single lot leaves an eighth of all time to the steps of those who speak.
STRETCH = 2.0
# Before anything is known of the machine.
BLIND_ROWS = 64
# While nobody speaks a step takes as long as so many of one row: somebody may come, and what does not grow with its
# rows is then a twentieth of it.
SILENT_STEPS = 20.0


def speaking_work(requests: Sequence[Request]) -> Work:
    found = NOTHING
    for one in requests:
        if one.speaks:
            found += work(1, one.context)
    return found


def prompt_rows(requests: Sequence[Request], time: StepTime, most_rows: int, now_s: float) -> int:
    """How many rows of prompts may go beside those who speak. most_rows: that the engine computes at once."""
    speaking = [one for one in requests if one.speaks]
    prompts = [one for one in requests if not one.speaks]
    room = max(0, most_rows - len(speaking))
    if not prompts or not room:
        return 0
    if not time.knows:
        return min(BLIND_ROWS, room) if speaking else room
    step = _Step(time, speaking_work(speaking), max(one.context for one in prompts), room)
    if not speaking:
        return room if time.alone_s is None else step.fitting(SILENT_STEPS * time.alone_s, min(TILE_ROWS, room))
    return _beside(speaking, prompts, step, now_s)


def _beside(speaking: Sequence[Request], prompts: Sequence[Request], step: _Step, now_s: float) -> int:
    slack_s = min(one.slack_s(now_s) for one in speaking) / step.time.margin
    most = step.stretched(step.fitting(slack_s, step.least), STRETCH * slack_s)
    paced = [one for one in speaking if one.keeps_pace(now_s, step.bare_s)]
    if not paced:
        return most
    rows = min(most, step.fitting(min(one.pace_slack_s(now_s) for one in paced) / step.time.margin, 0))
    patient = any(is_patient(one, now_s) for one in prompts)
    if rows >= (_few(prompts) if patient else _worth_a_step(prompts)):
        return rows
    if patient:
        return step.least
    return most if any(_is_urgent(one, step.time.row_s, step.bare_s, now_s) for one in prompts) else 0


@dataclass(frozen=True)
class _Step:
    """beside: those who speak. context: of the prompt that is furthest; no other costs more a row. room: rows."""

    time: StepTime
    beside: Work
    context: int
    room: int

    def seconds(self, rows: int) -> float:
        return self.time.expected_s(self.beside + work(rows, self.context))

    @property
    def bare_s(self) -> float:
        """Without any prompt."""
        return self.time.expected_s(self.beside)

    @property
    def least(self) -> int:
        """LEAST_ROWS, or those that fused attention takes together, where that makes each cost less than half."""
        few, many = min(LEAST_ROWS, self.room), min(TILE_ROWS, self.room)
        return many if self._each(many) < self._each(few) / 2 else few

    def fitting(self, seconds: float, least: int) -> int:
        """The most rows that take no longer, or as many whole lots of fused attention where they are cheaper; `least`
        where none do. Time grows with rows but for one step down, where lots begin."""
        for rows in (range(TILE_ROWS, self.room + 1), range(1, min(self.room + 1, TILE_ROWS))):
            if rows and self.seconds(rows[0]) <= seconds:
                most = rows[bisect_right(rows, seconds, key=self.seconds) - 1]
                whole = most - most % TILE_ROWS
                return max(least, whole if whole and self._each(whole) < CHEAPER_DOWN * self._each(most) else most)
        return least

    def stretched(self, rows: int, seconds: float) -> int:
        """Two lots in place of one, where that is cheaper and takes no longer than `seconds`."""
        two = 2 * TILE_ROWS
        worth = rows == TILE_ROWS and two <= self.room and self.seconds(two) <= seconds
        return two if worth and self._each(two) < CHEAPER_UP * self._each(rows) else rows

    def _each(self, rows: int) -> float:
        """Seconds of the step for each of them."""
        return self.seconds(rows) / rows


def _worth_a_step(prompts: Sequence[Request]) -> int:
    """LEAST_ROWS, or those of the prompts in time that end with fewer, all together."""
    rows = 0
    for left in sorted(one.prompt_left for one in prompts if not one.relegated):
        if rows + left > LEAST_ROWS:
            break
        rows += left
    return rows or _few(prompts)


def _few(prompts: Sequence[Request]) -> int:
    return min(LEAST_ROWS, sum(one.prompt_left for one in prompts))


def _is_urgent(one: Request, row_s: float, step_s: float, now_s: float) -> bool:
    """Whether it can be in time still, but not if it waited for as long again as it takes."""
    needed_s = row_s * one.prompt_left
    late = one.relegated or is_late(one, row_s, now_s)
    return not late and now_s + 2 * needed_s + step_s > one.due_s
