from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path

import pytest

from kinflow.main import run

# Planted everywhere, each in a form that no pattern would know by its looks.
SECRETS = {
    "broker": "Sesame-open-77",
    "camera": "pa%24s%2Fword-88",
    "camera_plain": "pa$s/word-88",
    "token_file": "q9XvTokenLine99",
    "environment": "EnvSecret-1010",
    "log_only": "LogSecret-1111",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "log").mkdir(parents=True)
    monkeypatch.setenv("KINFLOW_HOME", str(home))
    monkeypatch.setenv("KINFLOW_BROKER_URL", f"mqtt://pi:{SECRETS['broker']}@closet")
    monkeypatch.setenv("SOME_API_TOKEN", SECRETS["environment"])
    (home / "kinflow.toml").write_text(
        f"[[agent.cameras]]\nid = 'a'\nsource = 'rtsp://admin:{SECRETS['camera']}@cam/stream'\n"
    )
    (home / "edge-token").write_text(SECRETS["token_file"] + "\n")
    lines = [f"line {number}" for number in range(2000)]
    lines += [f"the odd line with {one} in it" for name, one in SECRETS.items() if name != "log_only"]
    lines += [f'{{"password": "{SECRETS["log_only"]}"}}', f"opened http://u:{SECRETS['log_only']}@cam/x.mjpg"]
    (home / "log" / "agent.jsonl").write_text("\n".join(lines))
    (home / "log" / f"{SECRETS['token_file']}.log").write_text("a name may be one too")
    with sqlite3.connect(home / "edge.db") as sql:
        sql.execute("CREATE TABLE alarms (note TEXT)")
        sql.executemany("INSERT INTO alarms VALUES (?)", [(one,) for one in SECRETS.values()])
    sql.close()
    return home


def unpacked(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def test_no_planted_secret_is_in_the_bundle(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    assert run(["support-bundle", "--out", str(out)]) == 0
    parts = unpacked(out)
    for name, secret in SECRETS.items():
        for part, text in parts.items():
            assert secret not in part + text, f"{name} in {part}"


def test_what_a_helper_needs_is_in_it(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    run(["support-bundle", "--out", str(out)])
    parts = unpacked(out)
    assert {"doctor.json", "settings.json", "versions.json", "counts.json", "log/log-agent.jsonl"} <= set(parts)
    assert '"alarms": 6' in parts["counts.json"]
    assert "rtsp://***@cam/stream" in parts["settings.json"]
    assert '"python_version"' in parts["doctor.json"]
    assert '"msgspec"' in parts["versions.json"]
    assert "line 1999" in parts["log/log-agent.jsonl"]
    assert "line 1000\n" not in parts["log/log-agent.jsonl"]


def test_secrets_of_settings_that_cannot_be_used_go_as_well(home: Path, tmp_path: Path) -> None:
    (home / "kinflow.toml").write_text("[egde]\nurl = 'mqtt://x:Unusable-1212@y'\n")
    (home / "log" / "agent.jsonl").write_text("connecting with Unusable-1212")
    out = tmp_path / "bundle.zip"
    assert run(["support-bundle", "--out", str(out)]) == 0
    parts = unpacked(out)
    assert "KF31" in parts["doctor.json"]
    assert "Unusable-1212" not in "".join(parts.values())


def test_the_bundle_is_its_owners_and_replaces_an_older_one(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    out.write_text("old")
    assert run(["support-bundle", "--out", str(out)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert "versions.json" in unpacked(out)


def test_damaged_files_do_not_stop_it(home: Path, tmp_path: Path) -> None:
    (home / "edge.db").write_bytes(b"no database" * 1000)
    (home / "log" / "agent.jsonl").write_bytes(b"\xff\xfe broken")
    out = tmp_path / "bundle.zip"
    assert run(["support-bundle", "--out", str(out)]) == 0
    assert "unreadable" in unpacked(out)["counts.json"]
