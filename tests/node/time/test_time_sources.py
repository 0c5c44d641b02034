"""Whose time counts, read from receivers that are not real; the real clock is never set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinflow.main import run as kinflow
from node.clock import ManualClock
from node.config.schema import Time
from node.doctor.check import Context
from node.doctor.checks.time import TimeSource
from node.errors import GpsSilent, TimeNotSettable, TimeOff
from node.time import gpsd, kernel
from node.time.choose import RANK, STEP_MS, Reading, Verdict, choose, clock_error_ms, step_due
from node.time.clock_setting import settle
from node.time.gather import Heard, gather
from node.time.plausible import EARLIEST_MS, ROLLOVER_MS
from node.time.standing import clock_state, standing, words
from node.trust.known_time import KnownTime
from protocol.messages.health import ClockState
from sim_devices.gps import SimulatedGpsd, SimulatedReceiver, system_ms

NOW_MS = 1_795_000_000_000
YEAR_MS = 31_557_600_000


@pytest.fixture(autouse=True)
def _the_clock_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a test tried to set the clock")

    monkeypatch.setattr(time, "clock_settime", refuse)
    monkeypatch.setattr(time, "clock_settime_ns", refuse)


def nobody() -> None:
    return None


READINGS = st.lists(
    st.builds(Reading, st.sampled_from(RANK), st.integers(-30 * YEAR_MS, 30 * YEAR_MS), st.integers(0, 60_000)),
    max_size=4,
    unique_by=lambda one: one.source,
)


@given(READINGS)
def test_the_best_source_with_a_date_that_can_be_counts(readings: list[Reading]) -> None:
    verdict = choose(readings, NOW_MS)
    fit = [one for one in readings if EARLIEST_MS <= NOW_MS + one.offset_ms < EARLIEST_MS + 40 * YEAR_MS]
    if not fit:
        assert (verdict.source, verdict.error_ms) == ("none", None)
    else:
        best = min(fit, key=lambda one: RANK.index(one.source))
        assert (verdict.source, verdict.offset_ms, verdict.error_ms) == (best.source, best.offset_ms, best.error_ms)
    assert len(verdict.refused) == len(readings) - len(fit)


@given(READINGS, st.booleans(), st.booleans())
def test_a_step_is_for_a_better_source_allowed_and_done_once(
    readings: list[Reading], allowed: bool, stepped: bool
) -> None:
    verdict = choose(readings, NOW_MS)
    if step_due(verdict, allowed=allowed, stepped=stepped):
        assert allowed
        assert not stepped
        assert verdict.source in ("gps", "edge")
        assert abs(verdict.offset_ms) > STEP_MS


def test_others_that_differ_are_told() -> None:
    verdict = choose([Reading("gps", 90_000, 1_000), Reading("ntp", 0, 20), Reading("edge", 300, 1_000)], NOW_MS)
    assert (verdict.source, verdict.differing) == ("ntp", ("gps differs by +90.0 s",))


def test_the_error_grows_with_time() -> None:
    assert clock_error_ms(Verdict("gps", 0, 1_000), 86_400_000) == 1_000 + 4_320
    assert clock_error_ms(Verdict()) is None


@pytest.fixture
def receiver() -> Iterator[Callable[..., SimulatedReceiver]]:
    made: list[SimulatedReceiver] = []

    def make(**what: object) -> SimulatedReceiver:
        made.append(SimulatedReceiver(**what).start())  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.stop()


def heard(home: Path, gps: str, wait_s: float = 5.0) -> Heard:
    return gather(home, Time(gps=gps, gps_wait_s=wait_s), ntp_error_ms=nobody)


def test_a_receiver_on_a_serial_line(tmp_path: Path, receiver: Callable[..., SimulatedReceiver]) -> None:
    (found,) = heard(tmp_path, receiver(offset_ms=3_600_000, every_s=0.3).path).readings
    assert found.source == "gps"
    assert abs(found.offset_ms - 3_600_000) <= found.error_ms


def test_a_receiver_that_has_rolled_over_is_refused(tmp_path: Path, receiver: Callable[..., SimulatedReceiver]) -> None:
    found = heard(tmp_path, receiver(offset_ms=-ROLLOVER_MS, every_s=0.3).path)
    verdict = choose(found.readings, system_ms())
    assert verdict.source == "none"
    assert "1024 weeks have begun anew" in verdict.refused[0]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"valid": False}, "it sees no satellites yet"),
        ({"spoil": lambda line: line.replace(b"*", b"1*")}, "no sentence RMC or ZDA with a right checksum came"),
        ({"every_s": 9.0}, "no sentence RMC or ZDA with a right checksum came"),
    ],
)
def test_a_receiver_that_tells_nothing_says_why(
    tmp_path: Path, receiver: Callable[..., SimulatedReceiver], what: dict[str, object], why: str
) -> None:
    found = heard(tmp_path, receiver(**{"every_s": 0.2} | what).path, 3.0)
    assert found.readings == ()
    assert [(type(one), one.fields["detail"]) for one in found.faults] == [(GpsSilent, why)]


def test_no_such_receiver(tmp_path: Path) -> None:
    for gps in (str(tmp_path / "nothing"), "gpsd://127.0.0.1:1"):
        (fault,) = heard(tmp_path, gps, 1.0).faults
        assert isinstance(fault, GpsSilent)


def test_gpsd(tmp_path: Path) -> None:
    daemon = SimulatedGpsd(offset_ms=-90_000).start()
    try:
        (found,) = heard(tmp_path, daemon.source).readings
        assert abs(found.offset_ms + 90_000) <= found.error_ms
        daemon.mode = 1
        (fault,) = heard(tmp_path, daemon.source, 1.0).faults
        assert "no satellites" in str(fault)
    finally:
        daemon.stop()


@given(st.binary(max_size=300))
def test_nothing_that_gpsd_might_say_raises(noise: bytes) -> None:
    assert gpsd.parse(noise) is None
    gpsd.parse(b'{"class":"TPV","mode":3,"time":"' + noise + b'"}')


def test_the_edge_servers_time_counts_where_nothing_better_is(tmp_path: Path) -> None:
    KnownTime(tmp_path / "trust").learn(system_ms() + 7_200_000)
    verdict = standing(tmp_path, ntp_error_ms=nobody)
    assert verdict.source == "edge"
    assert abs(verdict.offset_ms - 7_200_000) < 5_000
    assert "By the edge server" in words(verdict)
    assert standing(tmp_path, ntp_error_ms=lambda: 30).source == "ntp"


def test_health_tells_whose_time_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ntp_error_ms", nobody)
    assert clock_state(tmp_path) == ClockState(source="none")
    KnownTime(tmp_path / "trust").learn(system_ms() + 60_000)
    state = clock_state(tmp_path)
    assert state.source == "edge"
    assert state.error_ms is not None
    assert 60_000 <= state.error_ms < 70_000


class Machine:
    """Whose clock can be set: `wall_ms` is what it shows, by an offset from the real one."""

    def __init__(self, home: Path, off_ms: int) -> None:
        self.home, self.off_ms, self.sets = home, off_ms, 0
        self.boot = "boot-1"

    def wall_ms(self) -> int:
        return system_ms() + self.off_ms

    def set(self, at_ms: int) -> None:
        self.sets += 1
        self.off_ms = at_ms - system_ms()

    def settle(self, source: str = "gps", *, allowed: bool = True, dry: bool = False):
        return settle(
            self.home,
            lambda: Heard((Reading(source, system_ms() - self.wall_ms(), 100),)),  # type: ignore[arg-type]
            allowed=allowed,
            setter=None if dry else self.set,
            wall_ms=self.wall_ms,
            boot=lambda: self.boot,
        )


def test_the_clock_is_stepped_once_a_start_and_then_only_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path, -YEAR_MS)
    assert machine.settle(allowed=False).stepped_ms == 0
    assert abs(machine.settle(dry=True).stepped_ms - YEAR_MS) < 2_000
    assert machine.sets == 0
    first = machine.settle()
    assert abs(first.stepped_ms - YEAR_MS) < 2_000
    assert abs(machine.off_ms) < 2_000
    machine.off_ms = 60_000
    again = machine.settle()
    assert (again.stepped_ms, again.earlier_ms) == (0, first.stepped_ms)
    assert abs(again.verdict.offset_ms + 60_000) < 2_000
    assert machine.sets == 1
    machine.boot = "boot-2"
    machine.settle()
    assert machine.sets == 2


def test_ntp_is_never_interfered_with(tmp_path: Path) -> None:
    machine = Machine(tmp_path, -YEAR_MS)
    machine.settle("ntp")
    assert machine.sets == 0


def test_what_may_not_be_set_is_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path, -YEAR_MS)

    def may_not(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    machine.set = may_not  # type: ignore[method-assign]
    with pytest.raises(TimeNotSettable, match="Operation not permitted"):
        machine.settle()


def test_doctor_names_the_source_and_finds_a_clock_that_is_off(tmp_path: Path) -> None:
    context = Context(tmp_path, ManualClock(wall_ms=NOW_MS))

    def said(*readings: Reading) -> str:
        return TimeSource(lambda _: choose(readings, NOW_MS)).run(context)

    assert said() == "Nobody keeps this clock right: neither NTP nor GPS nor an edge server."
    assert said(Reading("ntp", 0, 20)) == "By NTP, to within 0.02 s."
    assert said(Reading("gps", -2_000, 1_000)) == "By GPS, to within 1 s; this clock differs by +2.0 s."
    with pytest.raises(TimeOff, match=r"differs by \+90 s from what edge says"):
        said(Reading("edge", -90_000, 5_000))


def test_the_commands_tell_and_a_dry_run_sets_nothing(
    tmp_path: Path, receiver: Callable[..., SimulatedReceiver], capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    """The real setter stands behind --dry-run here, and is never called."""
    monkeypatch.setattr(kernel, "ntp_error_ms", nobody)
    gps = receiver(offset_ms=3_600_000, every_s=0.3)
    (tmp_path / "kinflow.toml").write_text(f'[time]\ngps = "{gps.path}"\nset_clock = true\n')
    assert kinflow(["time", "show", "--json", "--home", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["chosen"]["source"] == "gps"
    assert kinflow(["time", "set", "--dry-run", "--home", str(tmp_path)]) == 0
    assert "The clock would be stepped by +36" in capsys.readouterr().out
    assert not (tmp_path / "time-source.json").exists()


def test_the_kernel_is_asked_and_not_changed() -> None:
    """By the real adjtimex of this machine, in a process of its own."""
    code = "from node.time.kernel import ntp_error_ms; print(ntp_error_ms())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "None" or int(done.stdout) > 0


def test_where_the_kernel_may_not_be_asked_timesyncds_file_tells(tmp_path: Path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(kernel.ctypes, "CDLL", refused)
    assert kernel.ntp_error_ms(tmp_path / "synchronized") is None
    (tmp_path / "synchronized").touch()
    assert kernel.ntp_error_ms(tmp_path / "synchronized") == kernel.FILE_ERROR_MS
