"""Each check finds what it looks for, and passes where that is not."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agent.checks.camera_access import CameraAccess
from agent.errors import CameraMissing
from edge_server.checks.store_version import StoreVersion
from edge_server.store.file import FILE_NAME, open_store
from node.clock import ManualClock
from node.doctor.check import Context
from node.doctor.checks.broker_for_joined import BrokerForJoined
from node.doctor.checks.broker_present import BrokerPresent
from node.doctor.checks.clock_sane import ClockSane
from node.doctor.checks.config_valid import ConfigValid
from node.doctor.checks.free_space import FreeSpace
from node.doctor.checks.home_writable import HomeWritable
from node.doctor.checks.opencv_loads import OpencvLoads
from node.doctor.checks.outbox_integrity import OutboxIntegrity
from node.doctor.checks.ports_free import PortsFree
from node.doctor.checks.python_version import PythonVersion
from node.doctor.checks.sumo_present import SumoPresent
from node.errors import (
    BrokerNotForJoined,
    ClockInsane,
    ConfigKeyUnknown,
    DiskSpaceLow,
    HomeNotWritable,
    PortInUse,
    PythonTooOld,
    StoreDamaged,
    StoreNewer,
    ToolMissing,
)
from node.outbox.store import OutboxStore


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Context]:
    def context(settings: str = "", wall_ms: int = 1_795_000_000_000, **environment: str) -> Context:
        (tmp_path / "kinflow.toml").write_text(settings)
        return Context(tmp_path, ManualClock(wall_ms=wall_ms), environment)

    return context


def test_python_version(make: Callable[..., Context]) -> None:
    assert PythonVersion((3, 12, 1)).run(make()) == "Python 3.12.1."
    with pytest.raises(PythonTooOld, match=r"this is 3\.10\.12"):
        PythonVersion((3, 10, 12)).run(make())


def test_free_space(make: Callable[..., Context]) -> None:
    assert "900 MB" in FreeSpace(lambda _: 900).run(make())
    with pytest.raises(DiskSpaceLow, match="3 MB free"):
        FreeSpace(lambda _: 3).run(make())


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    context = Context(tmp_path / "not" / "yet", ManualClock())
    assert "MB free" in FreeSpace().run(context)


def test_home_writable(tmp_path: Path) -> None:
    assert "can be written" in HomeWritable().run(Context(tmp_path, ManualClock()))
    assert "at the first run" in HomeWritable().run(Context(tmp_path / "new", ManualClock()))
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(HomeNotWritable):
        HomeWritable().run(Context(tmp_path / "file", ManualClock()))


def test_fix_gives_the_owner_the_right_to_write_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    context = Context(home, ManualClock())
    HomeWritable().fix(context)
    assert home.stat().st_mode & 0o777 == 0o700
    assert "can be written" in HomeWritable().run(context)


def test_config_valid(make: Callable[..., Context]) -> None:
    assert ConfigValid().run(make("[edge]\nport = 1")).startswith("1 settings are set")
    with pytest.raises(ConfigKeyUnknown):
        ConfigValid().run(make("[edge]\nprot = 1"))


@pytest.mark.parametrize(
    ("kind", "mosquitto", "amqtt", "used"),
    [
        ("auto", True, True, "mosquitto"),
        ("auto", True, False, "mosquitto"),
        ("auto", False, True, "amqtt"),
        ("auto", False, False, None),
        ("amqtt", True, True, "amqtt"),
        ("amqtt", True, False, None),
        ("mosquitto", True, True, "mosquitto"),
        ("mosquitto", False, True, None),
    ],
)
def test_broker_present(
    make: Callable[..., Context], kind: str, mosquitto: bool, amqtt: bool, used: str | None
) -> None:
    check = BrokerPresent(lambda: "/usr/sbin/mosquitto" if mosquitto else None, lambda: amqtt)
    context = make(f"[broker]\nkind = '{kind}'")
    if used is None:
        with pytest.raises(ToolMissing):
            check.run(context)
    else:
        assert check.run(context).startswith(used)


def test_a_broker_of_the_users_needs_no_other(make: Callable[..., Context]) -> None:
    check = BrokerPresent(lambda: None, lambda: False)
    told = check.run(make("[broker]\nurl = 'mqtt://pi:hunter2@closet'"))
    assert "mqtt://pi@closet:1883" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("settings", "mosquitto", "complaint"),
    [
        ("", "/usr/sbin/mosquitto", None),
        ('[broker]\nurl = "mqtt://there"\n', None, None),
        ("", None, "not installed"),
        ('[broker]\nkind = "amqtt"\n', "/usr/sbin/mosquitto", "amqtt"),
    ],
)
def test_broker_for_joined(
    settings: str, mosquitto: str | None, complaint: str | None, make: Callable[..., Context]
) -> None:
    check = BrokerForJoined(lambda: mosquitto)
    context = make(settings)
    assert "No device" in check.run(context), "without an authority nobody joins"
    (context.home / "authority").mkdir()
    (context.home / "authority" / "ca.pem").touch()
    if complaint is None:
        assert check.run(context)
        return
    with pytest.raises(BrokerNotForJoined, match=complaint):
        check.run(context)


def test_ports_free(make: Callable[..., Context]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        context = make("[broker]\nurl = 'mqtt://elsewhere'", KINFLOW_EDGE_PORT=str(port))
        context = Context(context.home, context.clock, {**context.environment, "KINFLOW_AGENT_PORT": str(port)})
        with pytest.raises(PortInUse) as found:
            PortsFree(lambda _: None).run(context)
        assert found.value.fields["user"] == "another program"
        with pytest.raises(PortInUse, match=rf"process {os.getpid()}\)"):
            PortsFree(lambda _: psutil.Process()).run(context)
    assert PortsFree().run(context) == f"{port} are free."


def test_a_port_that_kinflow_holds_is_no_fault(make: Callable[..., Context], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        context = make("[broker]\nurl = 'mqtt://elsewhere'", KINFLOW_EDGE_PORT=port, KINFLOW_AGENT_PORT=port)
        script = tmp_path / "kinflow"
        script.write_text("import sys; print('ready', flush=True); sys.stdin.read()")
        with psutil.Popen([sys.executable, str(script)], stdin=-1, stdout=-1) as ours:
            assert ours.stdout.readline() == b"ready\n"
            told = PortsFree(lambda _: ours).run(context)
            ours.communicate()
    assert told == f"Kinflow itself, running now, uses {port}."


@pytest.mark.parametrize("wall_ms", [0, 1_700_000_000_000, 4_000_000_000_000, 10**18])
def test_clock_insane(make: Callable[..., Context], wall_ms: int) -> None:
    with pytest.raises(ClockInsane):
        ClockSane().run(make(wall_ms=wall_ms))


def test_clock_sane(make: Callable[..., Context]) -> None:
    assert ClockSane().run(make()).startswith("2026-11-18")


def test_camera_access(make: Callable[..., Context]) -> None:
    camera = "[[agent.cameras]]\nid = 'a'\nsource = '{}'\n"
    assert CameraAccess().run(make(camera.format("/dev/null"))).startswith("1 in the settings; 1 of them")
    assert CameraAccess().run(make(camera.format("rtsp://cam"))).startswith("1 in the settings; 0 of them")
    with pytest.raises(CameraMissing):
        CameraAccess().run(make(camera.format("/dev/video-none")))


def test_opencv_loads(make: Callable[..., Context]) -> None:
    assert OpencvLoads().run(make()).startswith("OpenCV ")
    with pytest.raises(ToolMissing, match="No module named 'cv_none'"):
        OpencvLoads("cv_none").run(make())


def test_sumo_present(make: Callable[..., Context]) -> None:
    assert SumoPresent().run(make()).startswith("SUMO 1.")
    with pytest.raises(ToolMissing, match="No module named 'libsumo_none'"):
        SumoPresent("libsumo_none").run(make())


def test_store_version(make: Callable[..., Context]) -> None:
    context = make()
    path = context.home / "city" / FILE_NAME
    open_store(path).connection.close()
    assert StoreVersion().run(context).startswith("1 stores")
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 999")
    sql.close()
    with pytest.raises(StoreNewer, match="schema 999"):
        StoreVersion().run(context)


def test_store_version_looks_at_the_database_of_the_settings(make: Callable[..., Context], tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.db"
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 999")
    sql.close()
    with pytest.raises(StoreNewer):
        StoreVersion().run(make(f"[edge]\ndatabase = '{path}'"))


def test_outbox_integrity(make: Callable[..., Context]) -> None:
    context = make()
    assert OutboxIntegrity().run(context).startswith("0 outboxes")
    path = context.home / "outbox.db"
    OutboxStore(path).close()
    assert OutboxIntegrity().run(context) == "1 outboxes; 0 messages wait in them."
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with pytest.raises(StoreDamaged):
        OutboxIntegrity().run(context)
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 100)
    with pytest.raises(StoreDamaged):
        OutboxIntegrity().run(context)


def test_an_outbox_of_a_newer_version(make: Callable[..., Context]) -> None:
    context = make()
    path = context.home / "agent" / "outbox.db"
    path.parent.mkdir()
    OutboxStore(path).close()
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 999")
    sql.close()
    with pytest.raises(StoreNewer):
        OutboxIntegrity().run(context)
