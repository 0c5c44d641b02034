"""Reading Requires-Dist: for whom a line holds."""

from __future__ import annotations

from importlib.metadata import distributions

import pytest

from firmware_configs.sbom.requirement import on, parse

LINES = sorted({line for one in distributions() for line in one.requires or ()})
LINUX, WINDOWS = on("3.11", "x86_64"), on("3.13", "AMD64", "win32")
NOBODY: frozenset[str] = frozenset()


def test_every_line_that_is_installed_here_can_be_read() -> None:
    assert len(LINES) > 100
    for line in LINES:
        assert isinstance(parse(line).holds(LINUX, frozenset({"test"})), bool), line


@pytest.mark.parametrize(
    ("marker", "linux", "windows"),
    [
        ('python_version < "3.12"', True, False),
        ('python_version >= "3.9" and sys_platform != "win32"', True, False),
        ('platform_machine in "x86_64 arm64"', True, False),
        ("os_name == 'nt'", False, True),
        ("implementation_name == 'cpython'", True, True),
    ],
)
def test_a_marker_holds_for_a_machine(marker: str, linux: bool, windows: bool) -> None:
    line = parse(f"one; {marker}")
    assert (line.holds(LINUX, NOBODY), line.holds(WINDOWS, NOBODY)) == (linux, windows)


def test_an_extra_holds_for_whoever_asked_for_it() -> None:
    line = parse('A_b.c[One_two]>=1; extra == "Fast-Json"')
    assert (line.name, line.extras) == ("a-b-c", {"one-two"})
    assert line.holds(LINUX, frozenset({"other", "fast-json"}))
    assert not line.holds(LINUX, frozenset({"other"}))
    assert not line.holds(LINUX, NOBODY)


@pytest.mark.parametrize(
    "line", ["", "; x", "one; python_version <", "one; (a", "one; moon == '1'", "one; 'a' == 'a' 'b'", "one; a § b"]
)
def test_what_can_not_be_read_is_told(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(line).holds(LINUX, NOBODY)
