"""One simulation of one net under one controller: what a child process of `kinflow bench signals` does.

python -m sim_devices.sumo.run < spec.json > figures.json
"""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from edge_server.signals.controller import controller
from edge_server.signals.layout import layouts
from edge_server.signals.sight import Sight
from edge_server.signals.webster import retimed
from protocol.ids import ApproachId
from sim_devices.city.net import sumo_home
from sim_devices.errors import NetWithoutSignals, ScenarioStopped, SumoMissing
from sim_devices.sumo import nema
from sim_devices.sumo.belief import BeliefFigures
from sim_devices.sumo.emergency import PREFIX, Emergencies, Sent
from sim_devices.sumo.eyes import open_eyes
from sim_devices.sumo.flows import approach_flows, lane_flows
from sim_devices.sumo.net import Net, read_net
from sim_devices.sumo.peers import ACTUATED, DELAY_BASED, NEMA, STATIC, TYPES, Guard, install
from sim_devices.sumo.programme import Programme, Step
from sim_devices.sumo.sensing import Kind
from sim_devices.sumo.signal_loop import SignalLoop
from sim_devices.sumo.signals import Steered, clusters, derive
from sim_devices.sumo.site import make_site, timetable_of
from sim_devices.sumo.trips import TripFigures, read_trips
from sim_devices.sumo.walkers import Walkers

LOOK_MS = 1_000
BETWEEN_MS = 250
# Of a scenario that names no end.
LONGEST_MS = 4 * 3_600_000
OURS = {
    "fixed": "fixed-time",
    "max_pressure": "max-pressure-textbook",
    "kinflow": "kinflow",
    "kinflow_nema": "kinflow-nema",
}


class RunSpec(Struct, frozen=True, kw_only=True):
    """arguments: SUMO's, that name the scenario. controller: one of OURS, a peer, or the name of a controller's file.
    end_s: when it ends at the latest, in its own time; None: when its configuration says, or four hours after its
    beginning. minutes: after its warm-up, if that is earlier. dead_share: of intersections with one dead camera.
    webster: time the
    fixed plan by the flows of the scenario's routes."""

    arguments: tuple[str, ...]
    controller: str
    seed: int
    sensing: Kind = "truth"
    loss: float = 0.0
    delay_ms: int = 0
    dead_share: float = 0.0
    webster: bool = False
    weather: str = "day"
    picture_ms: int = 200
    detect_every: int = 1
    step_s: float | None = None
    warm_up_s: float = 0.0
    end_s: float | None = None
    minutes: float | None = None
    ev_per_hour: float = 0.0
    preemption: bool = False


class RunFigures(Struct, frozen=True, kw_only=True):
    trips: TripFigures
    signals: int
    steered: int
    steps: int
    wall_s: float
    tick_p99_ms: float | None
    tick_p50_ms: float | None
    overruled: int
    collisions: int
    recovery_s: float | None = None
    belief: BeliefFigures | None = None


def run(spec: RunSpec) -> RunFigures:
    """Raises SumoMissing (KF95), NetUnreadable (KF341), NetWithoutSignals (KF342) or ScenarioStopped (KF340), and with
    rendered cameras CamerasForOneSignal (KF307), ApproachUnwatchable (KF308) or WeatherUnknown (KF309)."""
    home = sumo_home()
    try:
        api: Any = importlib.import_module("libsumo")
    except ImportError as error:
        raise SumoMissing(detail=str(error)) from error
    with TemporaryDirectory() as folder:
        begun = time.monotonic()
        trips = Path(folder) / "trips.xml"
        command = [
            str(home / "bin" / "sumo"), *spec.arguments, "--seed", str(spec.seed), "--time-to-teleport", "-1",
            "--tripinfo-output", str(trips), "--tripinfo-output.write-unfinished", "true",
            "--tripinfo-output.write-undeparted", "true", "--device.emissions.probability", "0",
            "--no-step-log", "true", "--no-warnings", "true", "--duration-log.disable", "true",
            "--collision.action", "warn", "--precision", "3",
        ]  # fmt: skip
        if spec.step_s is not None:
            command += ["--step-length", str(spec.step_s)]
        rings: set[str] = set()
        if spec.controller == "nema":
            _start(api, command)
            try:
                net, _, steered = _read_signals(api)
                plans = layouts(make_site(net, steered))
                added = Path(folder) / "nema.add.xml"
                rings = nema.write(added, [(one, plans[one.intersection.id]) for one in steered])
                given = api.simulation.getOption("additional-files")
                command += ["--additional-files", f"{given},{added}" if given else str(added)]
            finally:
                api.close()
        _start(api, command)
        counted_s = api.simulation.getTime() + spec.warm_up_s
        try:
            figures = _drive(spec, api, rings)
        except (api.TraCIException, api.FatalTraCIError) as error:
            raise ScenarioStopped(time_s=0, detail=str(error)[:300]) from error
        finally:
            api.close()
        return msgspec.structs.replace(
            figures, trips=read_trips(trips, PREFIX, counted_s), wall_s=round(time.monotonic() - begun, 2)
        )


def _start(api: Any, command: list[str]) -> None:
    try:
        api.start(command)
    except (api.TraCIException, api.FatalTraCIError, RuntimeError) as error:
        raise ScenarioStopped(time_s=0, detail=str(error)[:300]) from error


def _read_signals(api: Any) -> tuple[Net, dict[str, Programme], list[Steered]]:
    """Raises NetUnreadable (KF341) or NetWithoutSignals (KF342)."""
    net = read_net(Path(api.simulation.getOption("net-file")))
    programmes = {light: one for light in api.trafficlight.getIDList() if (one := _programme(api, light)) is not None}
    steered = [
        one
        for number, lights in enumerate(clusters(net, programmes), 1)
        if (one := derive(net, lights, [programmes[light] for light in lights], number)) is not None
    ]
    if not steered:
        raise NetWithoutSignals(path=net.path)
    return net, programmes, steered


def _drive(spec: RunSpec, api: Any, rings: set[str]) -> RunFigures:
    """rings: lights that run SUMO's NEMA controller already."""
    net, programmes, steered = _read_signals(api)
    now_ms = _now_ms(api)
    eyes = open_eyes(spec, api, net, steered, now_ms)
    steered = eyes.steered
    loops: list[SignalLoop] = []
    guards: list[Guard] = []
    if spec.controller in TYPES:
        own = {light: one for light, one in programmes.items() if light not in rings}
        guards = _peers(api, own, TYPES[spec.controller])
    else:
        loops = _loops(spec, net, steered, now_ms)
    emergencies = Emergencies(api, loops, net) if spec.preemption else None
    approaches = [approach for one in steered for approach in one.stop_lanes]
    sights: dict[ApproachId, Sight] = {approach: Sight(now_ms) for approach in approaches}
    walkers = Walkers(api, loops)
    end_s = spec.end_s or api.simulation.getEndTime()
    end_ms = round(end_s * 1000) if end_s > 0 else now_ms + LONGEST_MS
    if spec.minutes is not None:
        end_ms = min(end_ms, now_ms + round(spec.warm_up_s * 1000 + spec.minutes * 60_000))
    sent = Sent(api, seed=spec.seed, per_hour=spec.ev_per_hour, begin_ms=now_ms, end_ms=end_ms)
    shown: dict[str, str] = {}
    ticks: list[float] = []
    looked_ms = now_ms - LOOK_MS
    # With delays, what happens between two looks matters.
    between_ms = range(LOOK_MS - BETWEEN_MS, 0, -BETWEEN_MS) if spec.delay_ms else ()
    steps = collisions = 0
    while now_ms < end_ms and api.simulation.getMinExpectedNumber() > 0:
        eyes.step(now_ms)
        if loops and now_ms - looked_ms >= LOOK_MS:
            looked_ms = now_ms
            eyes.look(sights, now_ms)
            walkers.call(now_ms)
            if emergencies is not None:
                emergencies.look(sights, now_ms)
            before_ns = sum(loop.spent_ns for loop in loops)
            for loop in loops:
                for before_ms in between_ms:
                    loop.step(sights, now_ms - before_ms)
                for (light, _), signs in zip(loop.one.lights, loop.step(sights, now_ms), strict=True):
                    if shown.get(light) != signs:
                        shown[light] = signs
                        api.trafficlight.setRedYellowGreenState(light, signs)
            ticks.append((sum(loop.spent_ns for loop in loops) - before_ns) / 1e6)
        for guard in guards:
            guard.step(now_ms)
        api.simulationStep()
        sent.step(now_ms)
        steps += 1
        collisions += api.simulation.getCollidingVehiclesNumber()
        now_ms = _now_ms(api)
    return RunFigures(
        trips=None,  # type: ignore[arg-type]  # known once SUMO has closed its file
        signals=len(programmes),
        steered=len(steered),
        steps=steps,
        wall_s=0.0,
        tick_p99_ms=float(np.percentile(ticks, 99)) if ticks else None,
        tick_p50_ms=float(np.percentile(ticks, 50)) if ticks else None,
        overruled=sum(loop.overruled for loop in loops),
        collisions=collisions,
        recovery_s=float(np.mean(emergencies.recovered_s)) if emergencies and emergencies.recovered_s else None,
        belief=eyes.belief(),
    )


def _now_ms(api: Any) -> int:
    return round(api.simulation.getTime() * 1000)


def _programme(api: Any, light: str) -> Programme | None:
    """What a traffic light runs now; None for one that is no road signal (a railway's), or shows nothing."""
    running = api.trafficlight.getProgram(light)
    logic = next((one for one in api.trafficlight.getAllProgramLogics(light) if one.programID == running), None)
    if logic is None or logic.type not in (STATIC, ACTUATED, NEMA, DELAY_BASED) or not logic.phases:
        return None
    steps = tuple(Step(max(1, round(phase.duration * 1000)), phase.state) for phase in logic.phases)
    at = api.trafficlight.getPhase(light)
    left_ms = round(api.trafficlight.getNextSwitch(light) * 1000) - _now_ms(api)
    into_ms = sum(step.duration_ms for step in steps[:at]) + max(0, steps[at].duration_ms - left_ms)
    return Programme(steps, _now_ms(api) - into_ms)


def _peers(api: Any, programmes: dict[str, Programme], kind: int) -> list[Guard]:
    guards = []
    for light, programme in programmes.items():
        if len({step.greens for step in programme.steps}) > 1:
            install(api, light, programme, kind)
            guards.append(Guard(api, light, programme))
    return guards


def _loops(spec: RunSpec, net: Net, steered: list[Steered], now_ms: int) -> list[SignalLoop]:
    name = OURS.get(spec.controller, spec.controller)
    decide = controller(name)
    plans = layouts(make_site(net, steered))
    timed = {one.intersection.id: replace(plans[one.intersection.id], plan=timetable_of(one)) for one in steered}
    if spec.webster:
        flows = lane_flows(net, Path(spec.arguments[spec.arguments.index("--route-files") + 1]))
        timed = {name: retimed(layout, approach_flows(layout, flows, steered)) for name, layout in timed.items()}
    return [
        SignalLoop(
            one,
            timed[one.intersection.id],
            net,
            decide,
            name,
            now_ms=now_ms,
            delay_ms=spec.delay_ms,
        )
        for one in steered
    ]


def main() -> None:
    from protocol.errors import KinflowError  # noqa: PLC0415

    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=RunSpec)
    try:
        answer: object = run(spec)
    except KinflowError as error:
        answer = {"error": str(error)}
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
