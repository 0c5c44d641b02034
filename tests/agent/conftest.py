"""A road that the tests draw themselves: boxes in perspective."""

from __future__ import annotations

import pytest

from sim_devices.plain_road import DrawnRoad


@pytest.fixture(scope="session")
def drawn_road() -> type[DrawnRoad]:
    return DrawnRoad
