"""Errors of the simulated city: 95-99. Those of simulated controllers, 100-104, and of nets, 340-349, follow."""

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
    advice = "`kinflow city fault` lists every fault, and what it can be applied to."


class CityNotRunning(KinflowError):
    number = 99
    cause = "No fault panel of a running city answers ({folder})."
    advice = "Start the city with `kinflow city run`, with the same --home, and try again."


class EpochFileUnreadable(KinflowError):
    number = 100
    cause = "The simulated controller's file {path} can't be read: {detail}."
    advice = "Delete it: the controller then begins at epoch 0, and every edge server asks for its lease anew."


class EpochNotKept(KinflowError):
    number = 101
    cause = "The simulated controller {device} could not write down epoch {epoch}: {detail}."
    advice = "Free some disk space; until then a restart of the controller would accept an older edge server."


class ScenarioStopped(KinflowError):
    number = 340
    cause = "SUMO could not run the scenario: {detail}."
    advice = "Run it with SUMO's own `sumo -c FILE` first; what that reports has to be put right in the scenario."


class NetUnreadable(KinflowError):
    number = 341
    cause = "The street network {path} can't be read: {detail}."
    advice = "Give a net that netconvert wrote (`.net.xml` or `.net.xml.gz`), whole and of SUMO 1.0 or newer."


class NetWithoutSignals(KinflowError):
    number = 342
    cause = "The street network {path} has no traffic light that makes anybody wait for somebody else."
    advice = "Choose a scenario with signals, or add some: `netconvert -s FILE --tls.guess -o NEW`."


class ScenarioUnreadable(KinflowError):
    number = 343
    cause = "{path} can't be read as a SUMO configuration: {detail}."
    advice = "Give a `.sumocfg` file that `sumo -c FILE` runs, or `grid`."


class SimulatedPhasesUnfit(KinflowError):
    number = 344
    cause = "The simulated NTCIP controller has phases 1 to 8, and {intersection} wants {phases}."
    advice = "Give its phases numbers from 1 to 8 in the cabinet's `phases`, opposing movements in different rings."


class SimulatedAgentFailed(KinflowError):
    number = 345
    cause = "The simulated NTCIP controller can't listen on {address}: {detail}."
    advice = "Choose another --port; 161 needs a right that only root has."


class SimulatedFaultUnknown(KinflowError):
    number = 346
    cause = "A simulated NTCIP controller has no fault {name!r}."
    advice = "Choose one of: {known}."


class CamerasForOneSignal(KinflowError):
    number = 307
    cause = "The scenario has {count} signals, and cameras are drawn and watched at one."
    advice = "Take `--scenario junction` or a net with one signal; `--sensing camera-like` runs on any."


class ApproachUnwatchable(KinflowError):
    number = 308
    cause = "The road {road} goes straight for {straight_m} m before its stop line, and a camera needs {least_m} m."
    advice = "Take another net, or `--sensing camera-like`, which draws no picture and follows bends."


class WeatherUnknown(KinflowError):
    number = 309
    cause = "No weather {name!r} can be drawn."
    advice = "There are: {known}."
