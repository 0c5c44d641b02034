"""Every reachable state, small here and large where it says `slow`; with -s the figures that docs/preemption.md
quotes."""

from __future__ import annotations

import json
from unittest import mock

import msgspec
import pytest

from edge_server.signals import safety
from edge_server.signals.preemption import arbitration, machine
from tests.edge_server.signals.preemption import model
from tests.edge_server.signals.preemption.model import Found, Model, Violation, search


def whole(setting: Model) -> Found:
    found = search(setting)
    print(json.dumps(msgspec.to_builtins(found)))
    assert found.whole
    assert found.quiet_s <= 60
    return found


def test_lamps_under_any_proposals():
    assert whole(Model("lamps", own_stages=False)).states > 50


def test_lamps_with_a_walk_that_may_be_cut():
    assert whole(Model("lamps", own_stages=False, walks=True)).states > 100


def test_a_walk_that_is_cut_too_early_is_found(monkeypatch):
    from sim_devices.controller import lamps  # noqa: PLC0415

    monkeypatch.setattr(lamps, "WALK_CUT_MS", 0)
    real = model.judge

    def hasty(*args, **kwargs):
        with mock.patch.object(safety, "WALK_CUT_MS", 0):
            return real(*args, **kwargs)

    monkeypatch.setattr(model, "judge", hasty)
    with pytest.raises(Violation, match="walk ended after"):
        search(Model("lamps", own_stages=False, walks=True))


def test_the_claims_of_one_vehicle():
    assert whole(Model("claims", 1, delays=False)).states > 500


def test_claims_and_lamps_together():
    assert whole(Model("both", 1, delays=False, outranked=False, own_stages=False)).states > 500


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    "setting",
    [
        Model("lamps"),
        Model("lamps", walks=True),
        Model("claims", 1),
        Model("claims", 2),
        Model("claims", 3, delays=False, renew=1),
        Model("both", 1, own_stages=False),
        Model("both", 2, delays=False, own_stages=False, outranked=False, renew=1),
    ],
    ids=lambda one: f"{one.parts}-{one.vehicles}{'-walks' if one.walks else ''}",
)
def test_every_state(setting):
    whole(setting)


def test_a_lease_without_a_cap_is_found(monkeypatch):
    monkeypatch.setattr(machine, "until_ms", lambda *_: 10**9)
    with pytest.raises(Violation, match="beyond its cap; come by: ambulance-a asks"):
        search(Model("claims", 1, delays=False, outranked=False))


def test_leases_that_follow_one_another_for_ever_are_found(monkeypatch):
    real = arbitration.until_ms
    monkeypatch.setattr(machine, "until_ms", lambda state, *rest: real(msgspec.structs.replace(state, run=None), *rest))
    monkeypatch.setattr(
        arbitration, "until_ms", lambda state, *rest: real(msgspec.structs.replace(state, run=None), *rest)
    )
    with pytest.raises(Violation, match="followed one another"):
        search(Model("claims", 2, delays=False, outranked=False, renew=1), most=3_000)


def test_a_recovery_that_never_ends_is_found(monkeypatch):
    def put_off(state, event):
        if state.recovery is None:
            return state, ()
        recovery = msgspec.structs.replace(state.recovery, until_ms=event.at_ms + 15_000)
        return msgspec.structs.replace(state, recovery=recovery), ()

    monkeypatch.setattr(machine, "_recover", put_off)
    with pytest.raises(Violation, match="back to normal control"):
        search(Model("claims", 1, delays=False, outranked=False))


def test_a_safety_check_that_lets_everything_pass_is_found(monkeypatch):
    monkeypatch.setattr(safety._Check, "_is_expired", lambda *_: False)
    monkeypatch.setattr(safety._Check, "_affords", lambda *_: True)
    with pytest.raises(Violation, match="without green for"):
        search(Model("lamps", own_stages=False))
