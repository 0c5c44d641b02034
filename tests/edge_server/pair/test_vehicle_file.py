"""The key file of a pair: each vehicle by itself, the one that was changed more often goes to both."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_server.errors import VehicleKeysUnusable
from edge_server.pair.vehicle_file import SharedVehicle, SharedVehicles, VehiclesOfPair
from edge_server.signals.preemption.cli import vehicle
from edge_server.signals.preemption.vehicles import FILE_NAME, VehicleEntry, VehicleFile, read_file, write_file
from tests.edge_server.signals.preemption.desk_kit import KEYS, public


def entry(name: str, note: str = "") -> VehicleEntry:
    return VehicleEntry(id=name, role="ambulance", key=public(KEYS["ambulance-1"]), note=note)


def ids(home: Path) -> dict[str, str]:
    return {one.id: one.note for one in read_file(home / FILE_NAME).vehicle}


def in_step(one: VehiclesOfPair, other: VehiclesOfPair) -> None:
    one.merge(other.now())
    other.merge(one.now())


DEEDS = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["put", "put", "drop", "meet", "lose"]), st.sampled_from("xyz")
)


@settings(max_examples=40, deadline=None)
@given(story=st.lists(DEEDS, max_size=12))
def test_both_end_with_the_same(tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, str, str]]) -> None:
    folder = tmp_path_factory.mktemp("pair")
    pair = {}
    for name in "ab":
        (folder / name).mkdir()
        pair[name] = VehiclesOfPair(folder / name)
    for number, (side, deed, who) in enumerate(story):
        path = folder / side / FILE_NAME
        entries = {one.id: one for one in read_file(path).vehicle}
        if deed == "meet":
            in_step(pair["a"], pair["b"])
        elif deed == "lose":
            path.unlink(missing_ok=True)
        else:
            entries.pop(who, None)
            if deed == "put":
                entries[who] = entry(who, f"{number}")
            write_file(path, VehicleFile(tuple(entries.values())))
            pair[side].now()
    in_step(pair["a"], pair["b"])
    in_step(pair["a"], pair["b"])
    assert ids(folder / "a") == ids(folder / "b")
    assert not pair["a"].merge(pair["b"].now())


def test_who_is_taken_out_at_one_is_believed_at_neither_and_what_the_other_added_stays(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for home in (a, b):
        home.mkdir()
    pair = VehiclesOfPair(a), VehiclesOfPair(b)
    runner = CliRunner()
    for name in ("ambulance-1", "ambulance-2"):
        assert runner.invoke(vehicle, ["add", name, "--role", "ambulance", "--home", str(a)]).exit_code == 0
    in_step(*pair)
    assert ids(b) == ids(a) == {"ambulance-1": "", "ambulance-2": ""}
    # While they can't speak, one takes a stolen one out and the other enters a new one.
    assert runner.invoke(vehicle, ["remove", "ambulance-1", "--home", str(a)]).exit_code == 0
    assert runner.invoke(vehicle, ["add", "bus-1", "--role", "bus", "--home", str(b)]).exit_code == 0
    in_step(*pair)
    assert ids(a) == ids(b) == {"ambulance-2": "", "bus-1": ""}
    assert not (b / "ambulance-2.key").exists(), "a private key goes nowhere"


def test_a_file_that_is_lost_comes_back_and_one_that_can_not_be_read_is_left_alone(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for home in (a, b):
        home.mkdir()
    pair = VehiclesOfPair(a), VehiclesOfPair(b)
    write_file(a / FILE_NAME, VehicleFile((entry("ambulance-1"),)))
    in_step(*pair)
    (a / FILE_NAME).unlink()
    in_step(*pair)
    assert ids(a) == ids(b) == {"ambulance-1": ""}
    (a / FILE_NAME).write_text("no TOML")
    with pytest.raises(VehicleKeysUnusable, match="KF320"):
        pair[0].merge(pair[1].now())
    assert (a / FILE_NAME).read_text() == "no TOML"
    broken = SharedVehicle(id="x", version=9, at_ms=0, entry=msgspec.structs.replace(entry("x"), key="none"))
    with pytest.raises(VehicleKeysUnusable):
        pair[1].merge(SharedVehicles(vehicles=(broken,)))
    assert ids(b) == {"ambulance-1": ""}
