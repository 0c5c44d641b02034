"""Reading Requires-Dist: against packaging, which the tests have and Kinflow does not need."""

from __future__ import annotations

from importlib.metadata import distributions

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement as Theirs

from firmware_configs.sbom.requirement import normal, on, parse

LINES = sorted({line for one in distributions() for line in one.requires or ()})
MACHINES = [on("3.11", "x86_64"), on("3.13", "aarch64"), on("3.11", "AMD64", "win32"), on("3.14", "arm64", "darwin")]


def test_every_line_that_is_installed_here_is_read_as_packaging_reads_it() -> None:
    assert len(LINES) > 100
    for line in LINES:
        ours, theirs = parse(line), Theirs(line)
        assert ours.name == normal(theirs.name), line
        assert ours.extras == {normal(one) for one in theirs.extras}, line
        for machine in MACHINES:
            for extra in ("", "test", "dev", "standard", "agent"):
                wanted = theirs.marker is None or theirs.marker.evaluate({**machine, "extra": extra})
                assert ours.holds(machine, frozenset({extra}) if extra else frozenset()) == wanted, (line, extra)


@pytest.mark.parametrize(
    "marker",
    [
        'python_version < "3.9" or (python_version >= "3.10" and sys_platform != "win32")',
        'python_version ~= "3.11"',
        'python_full_version >= "3.11.0"',
        'python_version not in "3.11 3.12"',
        'platform_machine in "x86_64 AMD64"',
        "implementation_name == 'cpython' and os_name == 'posix'",
        '"win" in sys_platform',
        '(sys_platform == "linux")',
    ],
)
def test_markers(marker: str) -> None:
    for machine in MACHINES:
        wanted = Marker(marker).evaluate({**machine, "extra": ""})
        assert parse(f"one; {marker}").holds(machine, frozenset()) == wanted, machine


@pytest.mark.parametrize(
    "line", ["", "; x", "one; python_version <", "one; (a", "one; moon == '1'", "one; 'a' == 'a' 'b'", "one; a § b"]
)
def test_what_can_not_be_read_is_told(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(line).holds(MACHINES[0], frozenset())
