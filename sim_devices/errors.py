"""Errors of the simulated city: 95-99. Those of simulated controllers, 100-104, follow below."""

from __future__ import annotations

from protocol.errors import KinflowError


class SumoMissing(KinflowError):
    number = 95
    cause = "SUMO is not installed: {detail}."
    advice = "Install the simulation's extra (`pip install 'kinflow[sim]'`), or run ./install.sh, which does."


class CityBuildFailed(KinflowError):
    number = 96
    cause = "The simulated city's street network could not be made: {detail}."
    advice = "Delete the folder {folder} and start again; if it fails again, report the text above."


class SumoStopped(KinflowError):
    number = 97
    cause = "SUMO stopped after {time_s} s of simulated time: {detail}."
    advice = "Start the city again with the same seed to see whether it happens again, and report it with that seed."


class FaultUnknown(KinflowError):
    number = 98
    cause = "{name!r} is no fault, or {subject!r} is nothing that this city has."
    advice = "GET /faults on the fault panel lists every fault and what it can be applied to."
