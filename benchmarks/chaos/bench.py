"""`bench chaos`: a seeded schedule of real faults against one or more sites, and what became of alarms, events and
controllers. Nothing here is looked up inside Kinflow: processes are ended, links cut and disks filled from outside, and
what is counted comes from accounts that the bench keeps beside it.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from benchmarks.chaos import judge
from benchmarks.chaos.disk import can_mount
from benchmarks.chaos.schedule import KINDS, Fault, Kind, schedule
from benchmarks.chaos.site import AGENTS, LOOK_S, Mark, Site
from protocol.site import Intersection

PATIENCE_S = 90.0
DRAIN_S = 60.0


class Recovery(Struct, kw_only=True):
    """Seconds from the end of a fault (of a kill: from the kill) until all is well again: each agent's next alarm and
    next reading of its camera are stored, and each controller has obeyed the edge server. Where faults overlap, from
    the end of the last of them."""

    faults: int
    p50: float | None
    p99: float | None
    most: float | None
    never: int


class Figures(Struct, kw_only=True):
    """faults: carried out. unplanned_controllers: how often a controller's lamps followed no plan. died: how processes
    ended that nobody had ended: exit statuses, or minus a signal. unavailable: kinds of faults that can't be made here,
    with the reason."""

    faults: int
    seed: int
    sites: int
    seconds: float
    alarms: int
    alarms_lost: int
    events_duplicated: int
    unplanned_controllers: int
    recovery_s: Recovery
    by_kind: dict[str, Recovery]
    certificates_renewed: int
    died: dict[str, list[int]]
    unavailable: dict[str, str]
    problems: list[str]


@dataclass
class _Felt:
    fault: Fault
    recovery_s: float | None


@dataclass
class _Run:
    """One site's faults, one after the other."""

    site: Site
    faults: list[Fault]
    felt: list[_Felt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    last_over: float = 0.0

    def carry_out(self, stopping: threading.Event) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            under_way = []
            for fault in self.faults:
                if stopping.wait(max(0.0, began + fault.gap_s - time.monotonic())):
                    break
                if fault.waits:
                    for one in under_way:
                        one.result()
                    under_way.clear()
                began = time.monotonic()
                under_way.append(pool.submit(self._one, fault, stopping))
            for one in under_way:
                one.result()

    def _one(self, fault: Fault, stopping: threading.Event) -> None:
        try:
            with self.site.hurt(fault):
                if fault.lasts_s:
                    stopping.wait(fault.lasts_s)
        except (OSError, RuntimeError) as error:
            self.problems.append(f"{self.site.name}: {fault.kind} {fault.way} could not be made: {error}")
            return
        over, mark = time.monotonic(), self.site.mark()
        self.last_over = over
        recovered = self.site.whole(mark)
        while not recovered and time.monotonic() - over < PATIENCE_S and not stopping.is_set():
            time.sleep(LOOK_S)
            recovered = self.site.whole(mark)
        # Where another one came meanwhile, all can only be well after that.
        self.felt.append(_Felt(fault, time.monotonic() - max(over, self.last_over) if recovered else None))
        if not recovered and not stopping.is_set():
            self.problems.append(f"{self.site.name}: not well {PATIENCE_S:.0f} s after {fault}\n{self.site.logs()}")


def measure(faults: int, seed: int, sites: int = 1, keep: Path | None = None) -> Figures:
    """Everything that it starts has ended when this returns. keep: a folder for logs, ledgers, journals and stores.
    Raises RuntimeError with the reason."""
    unavailable = {} if can_mount() else {"disk": "filling a disk needs one of its own, which only root can mount"}
    kinds: list[Kind] = [one for one in KINDS if one not in unavailable]
    began, stopping = time.monotonic(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="kinflow-chaos-") as name, ExitStack() as stack:
        runs = []
        for number in range(sites):
            share = faults // sites + (number < faults % sites)
            site = stack.enter_context(Site(Path(name), f"site-{number + 1}", seed + number, not unavailable))
            runs.append(_Run(site, schedule(share, f"{seed}/{number}", kinds, AGENTS)))
        with ThreadPoolExecutor(sites) as pool:
            try:
                for done in [pool.submit(run.carry_out, stopping) for run in runs]:
                    done.result()
            except BaseException:
                stopping.set()
                raise
        for run in runs:
            _drain(run.site)
        seconds = time.monotonic() - began
        died = {f"{run.site.name}/{name}": ends for run in runs for name, ends in run.site.died().items()}
        renewed = sum(run.site.renewals() for run in runs)
        for run in runs:
            run.site.stop()  # its accounts are final now
        if keep is not None:
            for run in runs:
                run.site.keep(keep)
        return _figures(runs, seed, seconds, unavailable, died, renewed)


def _drain(site: Site) -> None:
    """Wait until all that the agents have said so far has had time to come in."""
    mark, deadline = site.mark(), time.monotonic() + DRAIN_S
    while not (site.whole(mark) and not _lost(site, mark)) and time.monotonic() < deadline:
        time.sleep(1.0)


def _lost(site: Site, mark: Mark) -> bool:
    said = [one for one in site.said() if one.text.isdecimal() and int(one.text) <= mark.ticks[one.source]]
    return bool(judge.alarms_lost(said, ((row[0], row[1], row[2]) for row in site.stored())))


def _figures(  # noqa: PLR0917 (what was found)
    runs: list[_Run], seed: int, seconds: float, unavailable: dict[str, str], died: dict[str, list[int]], renewed: int
) -> Figures:
    felt = [one for run in runs for one in run.felt]
    by_kind: dict[str, list[_Felt]] = defaultdict(list)
    for one in felt:
        by_kind[f"{one.fault.kind} {one.fault.way}"].append(one)
    problems = [one for run in runs for one in run.problems]
    alarms, lost, doubled, unplanned = 0, 0, 0, 0
    for run in runs:
        said, stored, lines = run.site.said(), run.site.stored(), run.site.looked()
        missing = judge.alarms_lost(said, ((row[0], row[1], row[2]) for row in stored))
        alarms += sum(one.step == "kept" for one in said)
        lost += len(missing)
        problems += [f"{run.site.name}: lost {one}" for one in missing[:20]]
        doubled += judge.duplicated(stored)
        for one in run.site.streets.intersections:
            without = judge.unplanned(lines, one.id, longest_step_ms(one))
            unplanned += len(without)
            problems += [f"{run.site.name}: {text}" for text in without[:20]]
    return Figures(
        faults=len(felt),
        seed=seed,
        sites=len(runs),
        seconds=round(seconds, 1),
        alarms=alarms,
        alarms_lost=lost,
        events_duplicated=doubled,
        unplanned_controllers=unplanned,
        recovery_s=_recovery(felt),
        by_kind={name: _recovery(by_kind[name]) for name in sorted(by_kind)},
        certificates_renewed=renewed,
        died=died,
        unavailable=unavailable,
        problems=problems,
    )


def longest_step_ms(intersection: Intersection) -> int:
    """How long the local plan may leave the lamps as they are: twice its longest green and what clears after it, since
    it may meet a step that has just begun."""
    green_s = max(step.green_s for step in intersection.plan.steps)
    clearance_s = max(
        one.yellow_s + one.all_red_s + one.walk_s + one.pedestrian_clearance_s for one in intersection.phases
    )
    return round(2_000 * (green_s + clearance_s))


def _recovery(felt: list[_Felt]) -> Recovery:
    times = sorted(one.recovery_s for one in felt if one.recovery_s is not None)
    never = len(felt) - len(times)

    def nearest_rank(share: float) -> float | None:
        return round(times[min(len(times) - 1, int(share * len(times)))], 2) if times else None

    return Recovery(
        faults=len(felt),
        p50=nearest_rank(0.50),
        p99=nearest_rank(0.99) if not never else None,
        most=round(times[-1], 2) if times and not never else None,
        never=never,
    )


def plot(figures: Figures, path: Path) -> None:
    """For each kind of fault, how long it took until all was well again."""
    import matplotlib as mpl  # noqa: PLC0415 (only a plot needs it, and only the dev extra has it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    names = sorted(figures.by_kind, key=lambda name: figures.by_kind[name].p50 or 0.0)
    figure, axis = plt.subplots(figsize=(8, 0.34 * len(names) + 1.4), constrained_layout=True)
    for row, name in enumerate(names):
        one = figures.by_kind[name]
        axis.plot([one.p50 or 0.0, one.most or 0.0], [row, row], color="0.75", linewidth=2, zorder=1)
        axis.scatter([one.p50 or 0.0], [row], color="#1f5fbf", zorder=2, label="median" if row == 0 else None)
        axis.scatter([one.most or 0.0], [row], color="#c0392b", zorder=2, label="longest" if row == 0 else None)
    axis.set_yticks(range(len(names)), [f"{name} ({figures.by_kind[name].faults})" for name in names])
    axis.set(xlabel="seconds from the end of the fault until all is well again", xlim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    axis.set_title(
        f"{figures.faults} faults: {figures.alarms:,} alarms, {figures.alarms_lost} lost; "
        f"{figures.events_duplicated} doubled; {figures.unplanned_controllers} times without a plan",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
