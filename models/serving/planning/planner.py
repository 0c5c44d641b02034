"""The next step: everybody who speaks, and as much of prompts as their slack allows (stall-free batching; Agrawal and
others 2024, arXiv 2403.02310, section 4, algorithm 3; deadlines after Niyama, arXiv 2503.22562).

Laws, whoever asks what: who speaks is in every step; a step never holds more rows than its budget; while there is room
and somebody waits, work is done, and room is left only by prompts that are whole with that step, or leave a whole lot
of fused attention for their last one; no prompt waits for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from models.serving.planning.budget import prompt_rows, speaking_work
from models.serving.planning.order import is_late, is_patient, ordered
from models.serving.planning.request import Plan, Request, Share
from models.serving.planning.step_time import ROW_BY_ROW, TILE_ROWS, StepTime, work


def plan(requests: Sequence[Request], time: StepTime, given: Mapping[str, float], most_rows: int, now_s: float) -> Plan:
    """requests: those that have a sequence. given: tokens that each tenant was given so far. most_rows: that the engine
    computes at once; at least as many as there are requests."""
    speaking = [one for one in requests if one.speaks]
    room = prompt_rows(requests, time, most_rows, now_s)
    row_s = time.row_s
    late = tuple(one.name for one in requests if not one.speaks and is_late(one, row_s, now_s))
    waiting = [one for one in requests if not one.speaks and one.name not in late]
    waiting += [_relegated(one) for one in requests if one.name in late]
    shares = [Share(one.name, 1) for one in speaking]
    done = speaking_work(speaking)
    left, ends = room, False
    for one in ordered(waiting, given, row_s, now_s):
        rows = _leaving_a_lot(min(left, one.prompt_left), one.prompt_left)
        # A first token that comes with this step does not wait for a piece of a prompt that goes on, unless that has
        # been patient.
        if rows <= 0 or (ends and rows < one.prompt_left and not is_patient(one, now_s)):
            continue
        ends |= rows == one.prompt_left
        shares.append(Share(one.name, rows))
        done += work(rows, one.context)
        left -= rows
    return Plan(tuple(shares), len(speaking) + room, time.expected_s(done), late)


def _leaving_a_lot(rows: int, prompt_left: int) -> int:
    """Some rows fewer, where what is left would else be attended to row by row, and that costs more than a lot of fused
    attention: the last step of a long prompt would take longer than those before it."""
    rest = prompt_left - rows
    fewer = rows - (TILE_ROWS - rest)
    return fewer if TILE_ROWS / ROW_BY_ROW < rest < TILE_ROWS <= fewer else rows


def _relegated(one: Request) -> Request:
    return replace(one, relegated=True)
