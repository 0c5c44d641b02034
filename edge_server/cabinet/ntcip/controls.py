"""What is written to serve some phases: calls, holds, omits and force-offs. Pure.

None of it sets a lamp. The controller goes on in its own rings and over its own barriers, times its own minimum greens,
walks, clearances, yellows and reds, and ends a green by force-off only after them.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.numbers import Numbers
from edge_server.cabinet.ntcip.objects import Oid
from protocol.ids import PhaseId

NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Controls:
    """The columns of phaseControlGroupTable, as the controller's phases."""

    omit: frozenset[int] = NOBODY
    ped_omit: frozenset[int] = NOBODY
    hold: frozenset[int] = NOBODY
    force_off: frozenset[int] = NOBODY
    veh_call: frozenset[int] = NOBODY
    ped_call: frozenset[int] = NOBODY

    def values(self, groups: range) -> dict[Oid, int]:
        columns = (self.omit, self.ped_omit, self.hold, self.force_off, self.veh_call, self.ped_call)
        return {
            objects.control(column, group): objects.mask(phases, group)
            for group in groups
            for column, phases in zip(objects.CONTROLS, columns, strict=True)
        }


NONE = Controls()


def controls(numbers: Numbers, phases: frozenset[PhaseId], serving: frozenset[PhaseId]) -> Controls:
    """To serve `phases`, from what is green or walks now.

    What is wanted is called, and held once it runs. What is not wanted is omitted while it does not run, so that the
    rings pass it over, and forced off."""
    wanted, walks = numbers.running(phases), numbers.walking(phases)
    running = numbers.running(serving)
    ending = running - wanted
    return Controls(
        omit=numbers.all - wanted - running,
        ped_omit=frozenset(numbers.walks.values()) - walks,
        hold=wanted,
        force_off=ending,
        veh_call=wanted,
        ped_call=walks,
    )
