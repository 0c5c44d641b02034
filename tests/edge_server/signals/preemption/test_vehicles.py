"""The key file, shifts, and the commands that keep them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_server.cli import app
from edge_server.errors import VehicleKeysUnusable
from edge_server.signals.preemption.shift import DAYS, Shift
from edge_server.signals.preemption.vehicles import (
    FILE_NAME,
    VehicleEntry,
    VehicleFile,
    read_file,
    vehicles,
    write_file,
)
from tests.edge_server.signals.preemption.desk_kit import KEYS, Edge, public

RUN = CliRunner()
KEY = public(KEYS["police-1"])


@pytest.mark.parametrize(
    ("text", "at", "holds"),
    [
        ("mon-fri 06:00-22:00", "2026-11-30 06:00", True),  # a Monday
        ("mon-fri 06:00-22:00", "2026-11-30 22:00", False),
        ("mon-fri 06:00-22:00", "2026-11-29 12:00", False),
        ("sat 20:00-04:00", "2026-11-28 23:59", True),
        ("sat 20:00-04:00", "2026-11-29 03:59", True),
        ("sat 20:00-04:00", "2026-11-28 03:59", False),
        ("fri-mon 00:00-24:00", "2026-11-29 00:00", True),
        ("fri-mon 00:00-24:00", "2026-12-01 00:00", False),
        ("sun 08:00-08:00", "2026-11-30 07:59", True),
    ],
)
def test_a_shift_holds_from_its_start_until_before_its_end(text, at, holds):
    assert Shift.parse(text).holds(datetime.fromisoformat(at).replace(tzinfo=UTC)) is holds


@pytest.mark.parametrize("text", ["", "mon", "mon 6:00-7:00", "mon 25:00-26:00", "mon 06:61-07:00", "xyz 06:00-07:00"])
def test_what_is_no_shift_is_refused(text):
    with pytest.raises(ValueError, match="no s"):
        Shift.parse(text)


@settings(max_examples=25)
@given(day=st.sampled_from(DAYS), start=st.integers(0, 1439), length=st.integers(1, 1440))
def test_a_shift_holds_for_as_many_minutes_of_the_week_as_it_is_long(day, start, length):
    end = (start + length) % 1440
    text = f"{day} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    shift = Shift.parse(text)
    monday = datetime(2026, 11, 30, tzinfo=UTC)
    assert sum(shift.holds(monday + timedelta(minutes=at)) for at in range(7 * 1440)) == length


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / FILE_NAME
    file = VehicleFile(
        (
            VehicleEntry(id="police-1", role="police", key=KEY, shifts=("mon 06:00-07:00",), note='"quoted" \\ ü'),
            VehicleEntry(id="bus-1", role="bus", key=KEY),
        )
    )
    write_file(path, file)
    assert read_file(path) == file
    assert set(vehicles(file, path)) == {"police-1", "bus-1"}


@pytest.mark.parametrize(
    "text",
    [
        "[[vehicle]]\nid = 'a'\nrole = 'police'\nkey = 'AAAA'\n",
        "[[vehicle]]\nid = 'a'\nrole = 'milkman'\nkey = 'AAAA'\n",
        "not toml",
        "\xff\xfe",
        f"[[vehicle]]\nid = 'a'\nrole = 'police'\nkey = '{KEY}'\nshifts = ['never']\n",
        f"[[vehicle]]\nid = 'a'\nrole = 'police'\nkey = '{KEY}'\n" * 2,
    ],
)
def test_a_file_with_a_fault_says_what_it_is(tmp_path, text):
    path = tmp_path / FILE_NAME
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(VehicleKeysUnusable, match=r"KF320: .*vehicles.toml"):
        vehicles(read_file(path), path)


def test_a_vehicle_is_entered_listed_and_removed(tmp_path):
    home = ["--home", str(tmp_path)]
    made = RUN.invoke(app, ["vehicle", "add", "ambulance-9", "--role", "ambulance", *home])
    assert made.exit_code == 0, made.output
    private = tmp_path / "ambulance-9.key"
    assert private.stat().st_mode & 0o077 == 0
    raw = load_pem_private_key(private.read_bytes(), None).public_key().public_bytes_raw()
    listed = json.loads(RUN.invoke(app, ["vehicle", "list", "--json", *home]).output)["vehicles"]
    assert [(one["id"], base64.b64decode(one["key"])) for one in listed] == [("ambulance-9", raw)]
    again = ["vehicle", "add", "ambulance-9", "--role", "police", "--key", KEY, "--shift", "mon-sun 00:00-24:00", *home]
    assert RUN.invoke(app, again).exit_code == 0
    assert "police" in RUN.invoke(app, ["vehicle", "list", *home]).output
    assert RUN.invoke(app, ["vehicle", "remove", "ambulance-9", *home]).exit_code == 0
    assert RUN.invoke(app, ["vehicle", "remove", "ambulance-9", *home]).exit_code == 1
    assert read_file(tmp_path / FILE_NAME) == VehicleFile()


@pytest.mark.parametrize(
    "wrong", [["--role", "milkman"], ["--role", "bus", "--key", "AAAA"], ["--role", "bus", "--shift", "x"]]
)
def test_nothing_wrong_can_be_entered(tmp_path, wrong):
    done = RUN.invoke(app, ["vehicle", "add", "bus-1", "--key", KEY, *wrong, "--home", str(tmp_path)])
    assert isinstance(done.exception, VehicleKeysUnusable)
    assert read_file(tmp_path / FILE_NAME) == VehicleFile()


def test_the_log_is_shown_and_checked(tmp_path):
    write_file(tmp_path / FILE_NAME, VehicleFile((VehicleEntry(id="police-1", role="police", key=KEY),)))
    assert RUN.invoke(app, ["preemption", "log", "--home", str(tmp_path)]).exit_code == 1
    edge = Edge(tmp_path)
    edge.ask("police-1")
    edge.desk.stop()
    shown = RUN.invoke(app, ["preemption", "log", "--home", str(tmp_path)]).output
    assert "Granted police-1" in shown
    lines = RUN.invoke(app, ["preemption", "log", "--json", "--home", str(tmp_path)]).output.splitlines()
    assert json.loads(lines[0])["effects"][0]["what"] == "Granted"
    checked = RUN.invoke(app, ["preemption", "verify", "--json", "--home", str(tmp_path)])
    assert (checked.exit_code, json.loads(checked.output)["files"][0]["problem"]) == (0, "")
    path = tmp_path / "preemption.chain"
    path.write_bytes(path.read_bytes().replace(b"police-1", b"police-2", 1))
    checked = RUN.invoke(app, ["preemption", "verify", "--home", str(tmp_path)])
    assert checked.exit_code == 1
    assert "does not follow" in checked.output


def test_a_file_that_does_not_follow_from_the_one_before_is_found(tmp_path, monkeypatch):
    write_file(tmp_path / FILE_NAME, VehicleFile((VehicleEntry(id="police-1", role="police", key=KEY),)))
    monkeypatch.setattr("edge_server.signals.preemption.log_file.FULL_BYTES", 1)
    edge = Edge(tmp_path)
    for _ in range(3):
        edge.ask("police-1")
        edge.desk.keep()
    edge.desk.stop()
    assert RUN.invoke(app, ["preemption", "verify", "--home", str(tmp_path)]).exit_code == 0
    (tmp_path / "preemption-000002-full.chain").unlink()
    assert RUN.invoke(app, ["preemption", "verify", "--home", str(tmp_path)]).exit_code == 1
