"""`kinflow firmware make`: the files of each board, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from firmware_configs.board import boards
from firmware_configs.boot_files import README, boot_files, with_addition, write
from firmware_configs.card import card
from firmware_configs.errors import (
    BoardUnknown,
    BundleUnfit,
    EdgeNameInvalid,
    JoinCodeMalformed,
    LoginNameInvalid,
    OutUnusable,
    SshKeyInvalid,
    WifiInvalid,
)
from firmware_configs.order import Camera, Order, edge_name
from firmware_configs.wifi import wifi
from kinflow.main import run as kinflow
from node.hardware.profile import profiles
from node.trust.join_code import JoinCode, encode
from node.update.bundle import describe, pack
from node.update.bundle import encode as encode_manifest
from protocol.ids import DeviceId

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
PSK = wifi("My Net", PASSWORD, "CH").psk
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP5qjefi4fAR2fCoJwOqubqlbX1ylYpiKPJazhEdjL0 me@there"
# A code as an edge server makes it, of a root that is none.
CODE = encode(JoinCode(bytes(range(10)), bytes(range(7))))
CMDLINE = "console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 rootwait quiet init=/usr/lib/firstboot\n"
Make = Callable[..., Order]
Call = Callable[..., int]


@pytest.fixture
def full(order: Make) -> Callable[[str], Order]:
    return lambda name: order(
        name,
        device=DeviceId("north-1"),
        wifi=wifi("My Net", PASSWORD, "CH"),
        ssh_keys=(KEY,),
        cameras=(Camera("camera-1", "rtsp://u:hunter2@10.0.0.9/h264"),),
        authority="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        bundle_sha256="ab" * 32,
    )


def configs(files: dict[str, bytes]) -> Iterator[tuple[str, dict]]:
    for name, content in files.items():
        if name.endswith("user-data"):
            whole = yaml.safe_load(content)
            yield name, whole.get("autoinstall", {}).get("user-data", whole)


@pytest.mark.parametrize("name", boards())
def test_every_board_gets_all_that_a_card_holds(full: Callable[[str], Order], name: str) -> None:
    asked = full(name)
    files, plan = dict(boot_files(asked)), card(asked)
    assert README in files
    for path, config in configs(files):
        laid = {one["path"]: one for one in config["write_files"]}
        assert {one.path for one in plan.files} == set(laid), path
        for one in plan.files:
            assert laid[one.path]["content"] == one.content, (path, one.path)
            assert int(laid[one.path]["permissions"], 8) == one.mode
        assert config["hostname"] == "north-1"
        assert config["ssh_pwauth"] is False
        assert [one["lock_passwd"] for one in config["users"]] == [True]
        assert config["users"][0]["ssh_authorized_keys"] == [KEY]
    if "kinflow-overlay.tar" in files:
        with tarfile.open(fileobj=io.BytesIO(files["kinflow-overlay.tar"])) as tar:
            for one in plan.files:
                member = tar.getmember(one.path.lstrip("/"))
                assert (member.mode, member.uid) == (one.mode, 0)
                assert tar.extractfile(member).read() == one.content.encode()  # type: ignore[union-attr]
            links = {one.name for one in tar if one.issym()}
        assert "etc/systemd/system/multi-user.target.wants/kinflow-first-boot.service" in links


@pytest.mark.parametrize("name", boards())
def test_the_wifis_password_is_nowhere_and_its_key_where_it_is_needed(full: Callable[[str], Order], name: str) -> None:
    files = boot_files(full(name))
    assert not any(PASSWORD.encode() in one for one in files.values())
    assert any(PSK.encode() in one for one in files.values())


@pytest.mark.parametrize("name", boards())
def test_secrets_are_for_root_alone(full: Callable[[str], Order], name: str) -> None:
    for one in card(full(name)).files:
        holds = any(secret in one.content for secret in (CODE, "hunter2", PSK))
        assert one.secret or not holds, one.path


@pytest.mark.parametrize("name", boards())
def test_without_a_key_nobody_logs_in(order: Make, name: str) -> None:
    files = dict(boot_files(order(name)))
    for _, config in configs(files):
        assert config["users"] == ["nobody"]
        assert "systemctl disable --now ssh.service || true" in config["runcmd"]
    if "firstrun.sh" in files:
        assert b"\nadd_user " not in files["firstrun.sh"]


@pytest.mark.parametrize("name", boards())
def test_the_watchdog_the_journal_and_the_swap(order: Make, name: str) -> None:
    plan = {one.path: one.content for one in card(order(name)).files}
    limit_s = boards()[name].watchdog_s
    assert f"RuntimeWatchdogSec={limit_s}s" in plan["/etc/systemd/system.conf.d/kinflow-watchdog.conf"]
    # The timer in a Raspberry Pi can't be set to more.
    assert limit_s <= 15 or not name.startswith(("pi", "zero"))
    journal = plan["/etc/systemd/journald.conf.d/kinflow.conf"]
    assert ("Storage=volatile" in journal) is boards()[name].on_card
    assert "MaxUse=" in journal
    assert "NTP=closet.lan" in plan["/etc/systemd/timesyncd.conf.d/kinflow.conf"]
    assert "@" not in "".join(plan[one] for one in plan if one.endswith((".conf", ".service")))


def test_the_settings_of_the_device_are_read_by_kinflow(
    full: Callable[[str], Order], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = next(one.content for one in card(full("pi5")).files if one.path == "/etc/kinflow/kinflow.toml")
    assert tomllib.loads(text)["agent"]["cameras"][0]["source"] == "rtsp://u:hunter2@10.0.0.9/h264"
    (tmp_path / "kinflow.toml").write_text(text)
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path))
    assert kinflow(["config", "check"]) == 0


@pytest.mark.parametrize("name", [one for one, board in boards().items() if "cloud-init" in board.ways])
@pytest.mark.parametrize("bare", [True, False])
def test_cloud_init_itself_takes_it(
    full: Callable[[str], Order], order: Make, tmp_path: Path, name: str, bare: bool
) -> None:
    files = boot_files(order(name) if bare else full(name))
    tool = shutil.which("cloud-init")
    if tool is None:
        pytest.skip("cloud-init is not installed: its schema was not asked (apt-get install cloud-init)")
    for path, _ in configs(dict(files)):
        content = files[path]
        if path.startswith("autoinstall"):
            inner = yaml.safe_load(content)["autoinstall"]["user-data"]
            content = f"#cloud-config\n{yaml.safe_dump(inner)}".encode()
        (tmp_path / "user-data").write_bytes(content)
        done = subprocess.run(
            [tool, "schema", "--config-file", tmp_path / "user-data"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Valid" in done.stdout


@pytest.mark.parametrize("name", [one for one, board in boards().items() if "cloud-init" in board.ways])
def test_its_shape_where_cloud_init_is_not_there(full: Callable[[str], Order], name: str) -> None:
    """What the schema asks of the keys that are used, for machines that can't ask it."""
    for _, config in configs(dict(boot_files(full(name)))):
        assert set(config) <= {
            *("hostname", "manage_etc_hosts", "ssh_pwauth", "disable_root", "users"),
            *("write_files", "runcmd", "bootcmd"),
        }
        assert all(isinstance(one, str) for one in [*config["runcmd"], *config.get("bootcmd", [])])
        for one in config["write_files"]:
            assert set(one) == {"path", "permissions", "owner", "content"}
            assert one["path"].startswith("/")


@pytest.mark.parametrize("name", [one for one, board in boards().items() if "cloud-init" in board.ways])
def test_the_network_is_what_netplan_takes(full: Callable[[str], Order], name: str) -> None:
    files = boot_files(full(name))
    network = yaml.safe_load(next(files[one] for one in files if one.endswith("network-config")))
    assert network["version"] == 2
    assert all(one["optional"] for kind in ("ethernets", "wifis") for one in network[kind].values())
    assert network["wifis"]["wlan0"]["access-points"] == {"My Net": {"password": PSK}}
    assert network["wifis"]["wlan0"]["regulatory-domain"] == "CH"


@pytest.mark.parametrize("name", ["pi5", "pi4", "zero2w"])
def test_cloud_init_itself_reads_the_network(full: Make, tmp_path: Path, name: str) -> None:
    tool = shutil.which("cloud-init")
    if tool is None:
        pytest.skip("cloud-init is not installed: it was not asked about the network (apt-get install cloud-init)")
    (tmp_path / "network-config").write_bytes(boot_files(full(name))["network-config"])
    command = [tool, "devel", "net-convert", "--network-data", tmp_path / "network-config", "--kind", "yaml"]
    out = ["--output-kind", "netplan", "--directory", tmp_path, "--distro", "ubuntu"]
    done = subprocess.run([*command, *out], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "etc" / "netplan").iterdir()
    network = yaml.safe_load(written.read_text())["network"]
    assert network["ethernets"]["eth0"]["dhcp4"] is True
    assert network["wifis"]["wlan0"]["access-points"]["My Net"]["password"] == PSK


def test_a_pc_by_cable_is_left_to_cloud_init(order: Make) -> None:
    assert "seed/network-config" not in boot_files(order("x86"))


def test_each_card_is_a_new_instance(order: Make) -> None:
    ids = {boot_files(order(made_at_s=at))["meta-data"] for at in (1_795_000_000, 1_795_000_001)}
    assert len(ids) == 2
    assert boot_files(order()) == boot_files(order())


@pytest.fixture
def card_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bootfs"
    folder.mkdir()
    (folder / "cmdline.txt").write_text(CMDLINE)
    (folder / "config.txt").touch()
    return folder


def test_a_bookworm_card_is_made_ready(full: Callable[[str], Order], card_folder: Path) -> None:
    assert write(full("pi4"), card_folder).partition
    line = (card_folder / "cmdline.txt").read_text()
    assert line.startswith("console=tty1 root=PARTUUID=1234-02 ")
    assert line.count("\n") == 1
    assert "systemd.run=/boot/firmware/firstrun.sh" in line
    assert "cfg80211.ieee80211_regdom=CH" in line
    assert (card_folder / "firstrun.sh").is_file()
    assert not (card_folder / "user-data").exists()
    # Again, with other settings: nothing stands there twice.
    write(full("pi4"), card_folder)
    assert (card_folder / "cmdline.txt").read_text() == line


def test_a_trixie_card_is_made_ready(full: Callable[[str], Order], card_folder: Path) -> None:
    for name in ("user-data", "meta-data", "network-config"):
        (card_folder / name).write_text("# stock\n")
    assert write(full("pi5"), card_folder).partition
    assert "north-1" in (card_folder / "user-data").read_text()
    assert not (card_folder / "firstrun.sh").exists()
    line = (card_folder / "cmdline.txt").read_text()
    assert "systemd.run" not in line
    assert "cfg80211.ieee80211_regdom=CH" in line


def test_an_addition_takes_the_place_of_its_earlier_self() -> None:
    line = with_addition("quiet cfg80211.ieee80211_regdom=GB rootwait", "cfg80211.ieee80211_regdom=CH")
    assert line == "quiet rootwait cfg80211.ieee80211_regdom=CH"
    assert with_addition("quiet\n", "") == "quiet"


def test_a_folder_with_something_in_it_is_left_alone(order: Make, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutUnusable):
        write(order(), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutUnusable):
        write(order(), tmp_path / "thesis.tex")


def test_files_are_for_their_owner_alone(order: Make, tmp_path: Path) -> None:
    write(order(), tmp_path / "out")
    assert {one.stat().st_mode & 0o077 for one in (tmp_path / "out").iterdir()} == {0}


# --- the command ---


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("KINFLOW_WIFI_PASSWORD", PASSWORD)

    def make(*arguments: str) -> int:
        base = ["--board", "pi5", "--edge", "closet.lan", "--join", CODE, "--out", str(tmp_path / "out")]
        return kinflow(["firmware", "make", *base, *arguments])

    return make


def test_the_command_writes_and_tells(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "id.pub"
    key.write_text(KEY + "\n")
    assert call("--wifi", "My Net", "--country", "ch", "--ssh-key", str(key), "--id", "north-1", "--json") == 0
    told = capsys.readouterr()
    assert set(json.loads(told.out)["files"]) == {one.name for one in (tmp_path / "out").iterdir()}
    assert PASSWORD not in told.out + told.err
    assert CODE not in told.out + told.err
    assert PSK not in told.out + told.err


def test_the_password_comes_from_standard_input(tmp_path: Path) -> None:
    network = ["--wifi", "net", "--country", "CH"]
    arguments = ["--board", "zero2w", "--edge", "e.lan", "--join", CODE, *network, "--out"]
    done = subprocess.run(
        [sys.executable, "-m", "kinflow", "firmware", "make", *arguments, str(tmp_path / "out")],
        input="secret from a pipe\n",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    network = (tmp_path / "out" / "network-config").read_text()
    assert wifi("net", "secret from a pipe", "CH").psk in network
    assert "secret from a pipe" not in network + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--board", "pi9"], BoardUnknown),
        (["--join", "two words"], JoinCodeMalformed),
        (["--join", CODE[:-1] + ("0" if CODE[-1] != "0" else "1")], JoinCodeMalformed),
        (["--join", CODE[:-6]], JoinCodeMalformed),
        (["--join", "';reboot;'"], JoinCodeMalformed),
        (["--join", ""], JoinCodeMalformed),
        (["--edge", "https://closet"], EdgeNameInvalid),
        (["--edge", "a b"], EdgeNameInvalid),
        (["--edge", "$(reboot)"], EdgeNameInvalid),
        (["--edge", "300.1.1.1"], EdgeNameInvalid),
        (["--edge", ""], EdgeNameInvalid),
        (["--wifi", "net"], WifiInvalid),
        (["--ssh-key", "/nonexistent.pub"], SshKeyInvalid),
        (["--bundle", "/nonexistent.tar"], BundleUnfit),
        (["--user", "operator"], LoginNameInvalid),
        (["--user", "Me"], LoginNameInvalid),
    ],
)
def test_what_can_not_work_is_refused_before_a_file_is_written(
    call: Call, tmp_path: Path, arguments: list[str], error: type
) -> None:
    assert call(*arguments) == error.number
    assert not (tmp_path / "out").exists()


def test_a_private_key_is_never_written(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----\n")
    assert call("--ssh-key", str(key)) == SshKeyInvalid.number
    assert "b3Blbn" not in "".join(capsys.readouterr())


def test_a_key_with_a_command_in_front_is_no_plain_key(call: Call, tmp_path: Path) -> None:
    key = tmp_path / "id.pub"
    key.write_text(f'command="reboot" {KEY}\n')
    assert call("--ssh-key", str(key)) == SshKeyInvalid.number


def bundle(folder: Path, arch: str) -> Path:
    inside = folder / f"kinflow-1.2.3-{arch}"
    inside.mkdir(parents=True)
    (inside / "install.sh").write_text("#!/bin/bash\n")
    (inside / "bundle.json").write_bytes(
        encode_manifest(describe(inside, "1.2.3", arch, "2026-01-01T00:00:00Z", ("3.11",)))
    )
    pack(inside, folder / f"{inside.name}.tar")
    return folder / f"{inside.name}.tar"


def test_a_bundle_goes_onto_the_card_with_its_hash_pinned(call: Call, tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", "arm64")
    assert call("--bundle", str(path)) == 0
    assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    config = yaml.safe_load((tmp_path / "out" / "user-data").read_text())
    conf = next(one["content"] for one in config["write_files"] if one["path"].endswith("first-boot.conf"))
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    assert f"BUNDLE_SHA256={done.stdout.split()[0]}\n" in conf


def test_a_bundle_for_another_processor_is_refused(call: Call, tmp_path: Path) -> None:
    assert call("--bundle", str(bundle(tmp_path / "b", "x86_64"))) == BundleUnfit.number


def test_the_authority_of_an_edge_on_this_machine_is_taken(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path / "home"))
    assert call() == 0
    assert "edge-ca.pem" not in (tmp_path / "out" / "firstrun.sh").read_text().split("first-boot.conf")[1]
    (tmp_path / "home" / "authority").mkdir(parents=True)
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (tmp_path / "home" / "authority" / "ca.pem").write_text(pem)
    shutil.rmtree(tmp_path / "out")
    assert call() == 0
    assert 'path: "/etc/kinflow/edge-ca.pem"' in (tmp_path / "out" / "user-data").read_text()


def test_a_code_is_taken_as_people_type_it(call: Call, tmp_path: Path) -> None:
    assert call("--join", CODE.lower().replace("-", " ")) == 0
    assert CODE in (tmp_path / "out" / "user-data").read_text()


@pytest.mark.parametrize(
    ("given", "name"),
    [("closet", "closet.local"), ("closet.lan", "closet.lan"), ("10.0.0.7", "10.0.0.7"), ("fd00::0007", "fd00::7")],
)
def test_an_edge_by_its_bare_name_is_looked_for_on_the_local_network(given: str, name: str) -> None:
    assert edge_name(given) == name


def test_an_edge_server_needs_no_other(tmp_path: Path) -> None:
    done = kinflow(["firmware", "make", "--board", "x86", "--tier", "edge", "--out", str(tmp_path / "out")])
    assert done == 0
    assert (tmp_path / "out" / "seed" / "user-data").is_file()
    assert (tmp_path / "out" / "autoinstall" / "user-data").is_file()


def test_systemd_reads_the_units(order: Make, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed: it was not asked about the units")
    units = []
    for one in card(order()).files:
        if one.path.endswith(".service"):
            # Their programs are not on this machine.
            path = tmp_path / Path(one.path).name
            path.write_text(one.content.replace("/usr/local/lib/kinflow/", "/bin/true "))
            units.append(path)
    done = subprocess.run([tool, "verify", *units], capture_output=True, text=True, timeout=60, check=False)
    assert len(units) == 2
    assert not [line for line in done.stderr.splitlines() if "kinflow" in line], done.stderr


def test_every_board_has_a_hardware_profile() -> None:
    assert set(boards()) <= set(profiles())
