"""Updates on real processes: a handful of kills here, a hundred and every bad release by the slow ones."""

from __future__ import annotations

import pytest

from benchmarks import update
from benchmarks.update_stages import STAGES


@pytest.mark.timeout(600)
def test_an_update_that_is_killed_leaves_a_working_version() -> None:
    found = update.measure(kills=2, seed=3, bad=False, seconds=dict.fromkeys(STAGES, 0.2))
    assert found.kills == 2
    assert (found.unbootable, found.wrong_version, found.reasons_missing) == (0, 0, 0)
    assert sum(found.by_phase.values()) == 2
    assert found.committed + found.rolled_back == found.updates > 0


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_hundred_kills_and_every_bad_release() -> None:
    found = update.measure(kills=100, seed=1)
    assert all(found.by_phase[name] for name in STAGES), found.by_phase
    assert (found.unbootable, found.wrong_version, found.reasons_missing) == (0, 0, 0)
    for name, one in found.bad_releases.items():
        assert one.ok is not False, f"{name}: {one}"
