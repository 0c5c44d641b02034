"""Whose prompt goes first.

Niyama's hybrid priority (arXiv 2503.22562, section 3.3): the deadline, and the more a prompt has left the later, so
that short ones are not held up by long ones; those that will miss their deadline anyway stand behind the others (eager
relegation), and come by their arrival. Between tenants the one that was given least comes first (virtual token counter;
Sheng and others 2024, arXiv 2401.00588, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.serving.planning.request import Request

# A relegated prompt that has waited this many times its time to the first token is put back among the others.
PATIENCE = 4.0


def ordered(waiting: Sequence[Request], given: Mapping[str, float], row_s: float, now_s: float) -> tuple[Request, ...]:
    """waiting: prompts that are not whole. given: tokens that each tenant was given so far, by weight. row_s: seconds
    that a row of a prompt takes."""

    def key(one: Request) -> tuple[bool, float, float, int]:
        behind = one.relegated and not is_patient(one, now_s)
        deadline = one.arrived_s if one.relegated else one.due_s + row_s * one.prompt_left
        return behind, given.get(one.tenant, 0.0), deadline, one.name

    return tuple(sorted(waiting, key=key))


def is_patient(one: Request, now_s: float) -> bool:
    """Whether it has waited so long that it goes on beside everybody who speaks."""
    return now_s - one.arrived_s >= PATIENCE * (one.due_s - one.arrived_s)


def is_late(one: Request, row_s: float, now_s: float) -> bool:
    """Whether it misses its first token's time although it had every row from now on."""
    return not one.relegated and one.spoke_s is None and now_s + row_s * one.prompt_left > one.due_s
