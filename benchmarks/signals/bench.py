"""Run every controller on every demand and seed, each in a process of its own, and compare them seed by seed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from benchmarks.errors import ControllerUnknown, DemandUnknown, RunFailed
from benchmarks.signals.pairs import Ratio, ratio
from sim_devices.errors import CamerasForOneSignal
from sim_devices.sumo import grid, scenario
from sim_devices.sumo.belief import BeliefFigures
from sim_devices.sumo.rendered import weather_of
from sim_devices.sumo.run import OURS, RunFigures, RunSpec
from sim_devices.sumo.sensing import Kind

CONTROLLERS = ("fixed", "actuated", "delay_based", "nema", "max_pressure", "kinflow", "kinflow_nema")
AS_GIVEN = "as-given"
RUN_LIMIT_S = 3_600.0
# How emergency vehicles drive here: they stop at red, at up to 1.2 times the speed limit.
EMERGENCY_MODEL = "obeys-signals"
# With rendered cameras, and at the junction whatever is sensed: SUMO's step, and how long cameras have hung there (and
# learnt the empty road) before anybody is counted.
STEP_S = 0.2
WARM_UP_S = 120.0
JUNCTION_MINUTES = 20.0
# What one sees through rendered cameras is told beside what one would see without them.
BESIDE: dict[Kind, tuple[Kind, ...]] = {"camera": ("truth", "truth-in-view", "camera")}
# It looks at nothing.
BLIND = "fixed"


# Of one row: demand, controller, whether with pre-emption, what is sensed.
Key = tuple[str, str, bool, Kind]


class Setting(Struct, frozen=True, kw_only=True):
    """scenario: `grid`, `junction` or a SUMO configuration. demands: empty for all that it has. minutes: end after so
    many, of simulated time; None: as the scenario says. weather, pictures_per_s, detect_every: of rendered cameras."""

    scenario: str = "grid"
    demands: tuple[str, ...] = ()
    controllers: tuple[str, ...] = CONTROLLERS
    seeds: int = 3
    ev_per_hour: float = 0.0
    sensing: Kind = "truth"
    loss: float = 0.0
    delay_ms: int = 0
    dead_share: float = 0.0
    crossings: bool = False
    minutes: float | None = None
    weather: str = "day"
    pictures_per_s: float = 2.0
    detect_every: int = 2

    @property
    def watches(self) -> bool:
        return self.sensing == "camera"


class Row(Struct, frozen=True, kw_only=True):
    """One controller on one demand: means over the seeds. Emergency vehicles stand apart from the others. vs_truth: its
    travel time against the same controller's with sensing truth. belief: of the vehicles in view."""

    controller: str
    sensing: str
    preemption: bool
    demand: str
    mean_travel_time_s: float
    p95_travel_time_s: float
    mean_time_loss_s: float
    mean_waiting_s: float
    arrived: float
    vehicles: float
    ev_time_loss_s: float | None
    ev_travel_time_s: float | None
    ev_stops: float | None
    pedestrian_wait_p95_s: float | None
    recovery_s: float | None
    decision_ms_p99: float | None
    run_wall_s: float
    vs_actuated: Ratio | None
    vs_max_pressure: Ratio | None
    vs_truth: Ratio | None = None
    belief: BeliefFigures | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """decision_ms_p99: processor time of one tick (decision and safety check at all `intersections`), the worst of our
    controllers."""

    scenario: str
    scenario_hash: str
    sumo_version: str
    emergency_model: str
    sensing: str
    weather: str | None
    pictures_per_s: float | None
    detect_every: int | None
    warm_up_s: float
    seeds: int
    wall_s: float
    decision_ms_p99: float | None
    intersections: int
    traffic_lights: int
    results: list[Row]


def measure(setting: Setting, tell: Callable[[str], None] = lambda _: None) -> Figures:
    """tell: hears of each run. Raises ControllerUnknown (KF466), DemandUnknown (KF467), RunFailed (KF465), with cameras
    CamerasForOneSignal (KF307) and WeatherUnknown (KF309), and what a scenario's reader raises."""
    for name in setting.controllers:
        if name not in CONTROLLERS:
            raise ControllerUnknown(name=name, known=", ".join(CONTROLLERS))
    if setting.watches:
        weather_of(setting.weather)
        if setting.scenario == "grid":
            raise CamerasForOneSignal(count=grid.COLUMNS**2)
    begun = time.monotonic()
    alone = setting.scenario == "junction"
    stepped = setting.watches or alone
    runs: dict[Key, list[RunFigures]] = {}
    with TemporaryDirectory() as folder:
        world = _Grid(Path(folder), setting) if setting.scenario in _GRIDS else _File(Path(setting.scenario), setting)
        for demand in world.demands:
            for seed in range(1, setting.seeds + 1):
                for controller, preemption, sensing in _variants(setting):
                    spec = RunSpec(
                        arguments=world.arguments(demand, seed),
                        controller=controller,
                        seed=seed,
                        sensing=sensing,
                        loss=setting.loss,
                        delay_ms=setting.delay_ms,
                        dead_share=setting.dead_share,
                        end_s=world.end_s,
                        minutes=setting.minutes or (JUNCTION_MINUTES if alone else None),
                        ev_per_hour=world.ev_per_hour,
                        preemption=preemption,
                        webster=world.webster,
                        weather=setting.weather,
                        picture_ms=round(1000 / setting.pictures_per_s),
                        detect_every=setting.detect_every,
                        step_s=STEP_S if stepped else None,
                        warm_up_s=WARM_UP_S if stepped else 0.0,
                    )
                    figures = _run(spec, demand)
                    runs.setdefault((demand, controller, preemption, sensing), []).append(figures)
                    mean_s = figures.trips.mean_travel_time_s
                    seen = f"{sensing}, {setting.weather}" if sensing == "camera" else sensing
                    tell(f"{demand} seed {seed} {controller} ({seen}): {mean_s:.1f} s, took {figures.wall_s:.0f} s")
        every = [one for some in runs.values() for one in some]
        ticks = [one.tick_p99_ms for one in every if one.tick_p99_ms is not None]
        return Figures(
            scenario=setting.scenario,
            scenario_hash=world.fingerprint,
            sumo_version=version("eclipse-sumo"),
            emergency_model=EMERGENCY_MODEL,
            sensing=setting.sensing,
            weather=setting.weather if setting.watches else None,
            pictures_per_s=setting.pictures_per_s if setting.watches else None,
            detect_every=setting.detect_every if setting.watches else None,
            warm_up_s=WARM_UP_S if stepped else 0.0,
            seeds=setting.seeds,
            wall_s=round(time.monotonic() - begun, 1),
            decision_ms_p99=max(ticks, default=None),
            intersections=every[0].steered,
            traffic_lights=every[0].signals,
            results=[_row(key, runs) for key in runs],
        )


def _variants(setting: Setting) -> Iterator[tuple[str, bool, Kind]]:
    for name in setting.controllers:
        looks = name in OURS and name != BLIND
        for sensing in BESIDE.get(setting.sensing, (setting.sensing,)) if looks else (_base(setting.sensing),):
            yield name, False, sensing
            if setting.ev_per_hour > 0 and name in OURS:
                yield name, True, sensing


def _base(sensing: str) -> Kind:
    return "truth" if sensing in BESIDE else sensing  # type: ignore[return-value]


# How many columns and rows of junctions, their demands, and the peak of these.
_GRIDS = {"grid": (grid.COLUMNS, grid.DEMANDS_VEH_H, grid.PEAK), "junction": (1, grid.JUNCTION_VEH_H, 1.0)}


class _Grid:
    def __init__(self, folder: Path, setting: Setting) -> None:
        self._folder = folder
        self._setting = setting
        columns, self._rates_veh_h, self._peak = _GRIDS[setting.scenario]
        self.demands = tuple(self._rates_veh_h) if setting.demands in ((), (AS_GIVEN,)) else setting.demands
        for name in self.demands:
            if name not in self._rates_veh_h:
                raise DemandUnknown(name=name, scenario=setting.scenario)
        self._net = grid.make_grid(folder, crossings=setting.crossings, columns=columns)
        self.end_s: float | None = grid.END_S
        self.webster = True
        # Its emergency vehicles are in the demand already.
        self.ev_per_hour = 0.0
        told = (self._rates_veh_h, grid.MIX, self._peak, setting.crossings, setting.ev_per_hour)
        self.fingerprint = sha256(repr(told).encode()).hexdigest()[:16]

    def arguments(self, demand: str, seed: int) -> tuple[str, ...]:
        path = self._folder / f"{demand}-{seed}.rou.xml"
        if not path.is_file():
            grid.write_demand(
                self._net, path, rate_veh_h=self._rates_veh_h[demand], seed=seed,
                ev_per_hour=self._setting.ev_per_hour, walkers=self._setting.crossings, peak=self._peak,
            )  # fmt: skip
        return ("--net-file", str(self._net), "--route-files", str(path))


class _File:
    def __init__(self, config: Path, setting: Setting) -> None:
        self.demands = setting.demands or (AS_GIVEN,)
        for name in self.demands:
            if name != AS_GIVEN:
                raise DemandUnknown(name=name, scenario=setting.scenario)
        self._arguments = scenario.arguments(config)
        self.fingerprint = scenario.fingerprint(config)
        self.webster = False
        self.end_s: float | None = None
        self.ev_per_hour = setting.ev_per_hour

    def arguments(self, demand: str, seed: int) -> tuple[str, ...]:  # noqa: ARG002 (as the grid's)
        return self._arguments


def _run(spec: RunSpec, demand: str) -> RunFigures:
    """In a process of its own: libsumo holds one simulation, and SUMO may crash on a net."""
    command = [sys.executable, "-m", "sim_devices.sumo.run"]
    # numpy's own threads would wait for one another longer than they compute.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, input=msgspec.json.encode(spec), capture_output=True, timeout=RUN_LIMIT_S, check=False,
            env=environment,
        )  # fmt: skip
        return msgspec.json.decode(done.stdout, type=RunFigures)
    except subprocess.TimeoutExpired as error:
        detail = f"it took more than {RUN_LIMIT_S:.0f} s"
        raise RunFailed(controller=spec.controller, demand=demand, seed=spec.seed, detail=detail) from error
    except msgspec.MsgspecError as error:
        said = (done.stdout[:300] + b" " + done.stderr[-500:]).decode(errors="replace").strip()
        detail = said or f"exit status {done.returncode}"
        raise RunFailed(controller=spec.controller, demand=demand, seed=spec.seed, detail=detail) from error


def _row(key: Key, runs: dict[Key, list[RunFigures]]) -> Row:
    demand, controller, preemption, sensing = key
    own = runs[key]

    def mean(name: str) -> float | None:
        found = [value for one in own if (value := getattr(one.trips, name)) is not None]
        return round(fmean(found), 2) if found else None

    def against(other: str, *, seeing: Kind = sensing, leased: bool = False) -> Ratio | None:
        peers = runs.get((demand, other, leased, seeing)) or runs.get((demand, other, leased, _base(seeing)))
        if peers is None:
            return None
        return ratio([one.trips.mean_travel_time_s for one in own], [one.trips.mean_travel_time_s for one in peers])

    ticks = [one.tick_p99_ms for one in own if one.tick_p99_ms is not None]
    recovered = [one.recovery_s for one in own if one.recovery_s is not None]
    return Row(
        controller=controller,
        sensing=sensing,
        preemption=preemption,
        demand=demand,
        mean_travel_time_s=mean("mean_travel_time_s") or 0.0,
        p95_travel_time_s=mean("p95_travel_time_s") or 0.0,
        mean_time_loss_s=mean("mean_time_loss_s") or 0.0,
        mean_waiting_s=mean("mean_waiting_s") or 0.0,
        arrived=mean("arrived") or 0.0,
        vehicles=mean("vehicles") or 0.0,
        ev_time_loss_s=mean("ev_time_loss_s"),
        ev_travel_time_s=mean("ev_travel_time_s"),
        ev_stops=mean("ev_stops"),
        pedestrian_wait_p95_s=mean("pedestrian_wait_p95_s"),
        recovery_s=round(fmean(recovered), 2) if recovered else None,
        decision_ms_p99=max(ticks, default=None),
        run_wall_s=round(fmean(one.wall_s for one in own), 2),
        vs_actuated=against("actuated"),
        vs_max_pressure=against("max_pressure"),
        vs_truth=against(controller, seeing="truth", leased=preemption) if sensing != "truth" else None,
        belief=_believed([one.belief for one in own if one.belief is not None]),
    )


def _believed(every: list[BeliefFigures]) -> BeliefFigures | None:
    names = BeliefFigures.__struct_fields__
    means = {name: round(fmean(getattr(one, name) for one in every), 3) for name in names} if every else None
    return BeliefFigures(**means) if means is not None else None
