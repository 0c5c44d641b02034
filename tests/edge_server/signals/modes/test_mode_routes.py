"""Who may raise and lower a mode, over HTTP and on the command line; that both are audited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from edge_server.cli import app as edge_command
from protocol.ids import IntersectionId
from sim_devices.city.site import write_site
from tests.edge_server.accounts.test_signing_in import House, house  # noqa: F401 (a fixture)
from tests.edge_server.gateway.demo_edge import demo_site

WEST = IntersectionId("west")


def test_raising_needs_an_admin_and_a_reason_and_lowering_an_operator(house: House) -> None:  # noqa: F811
    operator, admin = house.sign_in("the-operator"), house.sign_in("the-admin")
    down = operator.post("/api/v1/signals/west/mode/lower", json={"mode": "off"})
    assert (down.status_code, down.json()["mode"], down.json()["by"]) == (200, "off", "the-operator")
    wanted = {"mode": "advise", "reason": "the crossing was looked at"}
    assert operator.post("/api/v1/signals/west/mode/raise", json=wanted).status_code == 403
    for reason in ({}, {"reason": ""}, {"reason": "  "}):
        assert admin.post("/api/v1/signals/west/mode/raise", json={"mode": "advise", **reason}).status_code == 422
    assert house.edge.modes.of(WEST).mode == "off"
    up = admin.post("/api/v1/signals/west/mode/raise", json=wanted)
    assert (up.status_code, up.json()["reason"]) == (200, wanted["reason"])
    assert admin.post("/api/v1/signals/west/mode/raise", json=wanted).json()["error"]["code"] == "KF305"
    assert admin.post("/api/v1/signals/nowhere/mode/raise", json=wanted).json()["error"]["code"] == "KF92"
    shown = {one["intersection"]: one["mode"] for one in admin.get("/api/v1/signals/modes").json()}
    assert shown == {"west": "advise", "east": "act"}
    lines = house.accounts.audit.lines(4)
    assert [(line.who, line.what, line.subject, line.detail) for line in lines if line.what.startswith("mode")] == [
        ("the-admin", "mode-raised", "west", "off to advise: the crossing was looked at"),
        ("the-operator", "mode-lowered", "west", "act to off: "),
    ]


def test_what_cannot_be_audited_is_not_raised(house: House, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    house.edge.modes.lower(WEST, "off", "tests", "")
    admin = house.sign_in("the-admin")
    from edge_server.errors import AccountsUnusable  # noqa: PLC0415

    def refuse(*_: object) -> None:
        raise AccountsUnusable(path="accounts.db", detail="for this test")

    monkeypatch.setattr(house.accounts.audit, "note", refuse)
    assert admin.post("/api/v1/signals/west/mode/raise", json={"mode": "act", "reason": "why"}).status_code == 503
    assert house.edge.modes.of(WEST).mode == "off"


def test_a_proposal_that_is_gone_says_so(house: House) -> None:  # noqa: F811
    operator = house.sign_in("the-operator")
    for does, body in (("confirm", None), ("decline", {"reason": "no"})):
        answer = operator.post(f"/api/v1/signals/west/advice/ns-1/{does}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "KF306")


def test_the_state_shows_the_mode_and_who_changed_it(house: House) -> None:  # noqa: F811
    viewer = house.sign_in("the-viewer")
    house.edge.modes.lower(WEST, "shadow", "anna", "works on the road")

    def signal() -> dict:
        (found,) = (one for one in viewer.get("/api/v1/state").json()["signals"] if one["id"] == "west")
        return found

    for _ in range(200):
        if signal()["mode"] == "shadow":
            break
    assert (signal()["mode"], signal()["mode_by"], signal()["mode_reason"]) == ("shadow", "anna", "works on the road")


def test_the_command_line_lists_raises_and_lowers(tmp_path: Path) -> None:
    write_site(replace(demo_site(), simulated=False), tmp_path / "site.toml")

    def run(*words: str) -> str:
        done = CliRunner().invoke(edge_command, ["signals", *words, "--home", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    def modes() -> dict[str, tuple[str, str]]:
        rows = json.loads(run("modes", "--json"))["modes"]
        return {one["intersection"]: (one["mode"], one["reason"]) for one in rows}

    assert modes() == {"west": ("shadow", ""), "east": ("shadow", "")}
    run("raise", "west", "act", "--reason", "seen for a month")
    assert modes()["west"] == ("act", "seen for a month")
    run("lower", "west", "off")
    assert modes()["west"][0] == "off"
    assert "off" in run("modes")
    assert CliRunner().invoke(edge_command, ["signals", "raise", "west", "act", "--home", str(tmp_path)]).exit_code != 0
    assert modes()["west"][0] == "off"
