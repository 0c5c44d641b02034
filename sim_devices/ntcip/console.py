"""What a person types to a simulated NTCIP controller: faults, calls, a restart."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import get_args

from protocol.errors import KinflowError
from sim_devices.errors import SimulatedFaultUnknown
from sim_devices.ntcip import core
from sim_devices.ntcip.agent import SimulatedNtcipController

FAULTS: tuple[core.Fault, ...] = get_args(core.Fault)


def obey_lines(lines: Iterable[str], controller: SimulatedNtcipController) -> None:
    for line in lines:
        try:
            obey(line, controller)
        except (KinflowError, ValueError) as error:
            print(error, file=sys.stderr, flush=True)


def obey(line: str, controller: SimulatedNtcipController) -> None:
    """Raises SimulatedFaultUnknown (KF346), or ValueError for what is no command."""
    match line.split():
        case []:
            return
        case ["fault", "none"]:
            controller.spoil(None)
        case ["fault", name]:
            fault = next((one for one in FAULTS if one == name), None)
            if fault is None:
                raise SimulatedFaultUnknown(name=name, known=", ".join(FAULTS))
            controller.spoil(fault)
        case ["call" | "walk" as kind, phase]:
            number = int(phase)
            controller.change(lambda state: core.call(state, number, walks=kind == "walk"))
        case ["restart"]:
            controller.restart()
        case _:
            raise ValueError("type: fault NAME | fault none | call PHASE | walk PHASE | restart")
