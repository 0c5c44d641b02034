"""The pair for real: two edge servers, two mosquittos with TLS, controllers and agents; who steers is killed."""

from __future__ import annotations

import os

import pytest

from benchmarks.pair import measure, two_in_command
from node.broker.mosquitto import find_mosquitto

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@needs_mosquitto
@pytest.mark.timeout(120)
def test_the_other_one_takes_over_and_nothing_is_lost() -> None:
    figures = measure("kill", runs=1)
    assert figures.measured
    assert figures.never == 0
    assert figures.two_in_command == 0
    assert figures.alarms
    assert figures.alarms_lost == 0


@needs_mosquitto
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["hang", "vanish"])
def test_so_it_does_when_the_first_one_says_nothing_more(mode) -> None:
    if mode == "vanish" and os.geteuid() != 0:
        pytest.skip("network namespaces need root: run this one as root")
    figures = measure(mode, runs=2)
    assert (figures.never, figures.two_in_command, figures.alarms_lost) == (0, 0, 0)


def test_two_in_command_is_counted_by_controller_and_lease() -> None:
    assert two_in_command([("x", "a", 0, 3000), ("x", "b", 3000, 6000), ("y", "b", 100, 3100)]) == 0
    assert two_in_command([("x", "a", 0, 3000), ("x", "b", 2999, 6000), ("x", "a", 3500, 6500)]) == 2
