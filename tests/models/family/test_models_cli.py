"""`kinflow models`, as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinflow.main import run
from models.engine.trust import fingerprint
from models.family.manifest import Calibration, Continuation, Manifest, Member, Profile, read_manifest, write_manifest
from models.family.shelf import models_folder, public_families
from tests.models.engine import tiny

Say = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def said(*arguments: str) -> tuple[int, Any]:
        status = run(["models", *arguments])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if "--json" in arguments else printed.out + printed.err

    return said


def test_from_a_stick_to_a_family_on_three_tiers(tmp_path: Path, say: Say) -> None:
    source = tiny.dense(tmp_path / "whole.gguf")
    status, pulled = say("pull", str(source), "--json")
    assert status == 0
    (row,) = pulled["files"]
    assert (row["sha256"], row["accepted"]) == (fingerprint(source), False)
    place = row["path"]
    # Nothing is done with it before a person has let it in.
    assert say("split", place, "--into", str(tmp_path / "parts"), "--at", "2")[0] == 254
    assert say("quantize", place, str(tmp_path / "small.gguf"))[0] == 254
    assert say("verify", place, "--accept", "0" * 64)[0] == 254
    status, text = say("verify", place)
    assert f"--accept {row['sha256']}" in text
    assert say("verify", place, "--accept", row["sha256"], "--json")[1]["files"][0]["accepted"] is True
    status, manifest = say("split", place, "--into", str(tmp_path / "parts"), "--at", "1", "--at", "3", "--json")
    assert [member["tier"] for member in manifest["members"]] == ["device", "edge", "cloud"]
    status, made = say("quantize", place, str(tmp_path / "small.gguf"), "--type", "q8_0", "--json")
    assert made["size_bytes"] < made["source_bytes"]
    for path in (tmp_path / "parts", tmp_path / "small.gguf"):
        status, verdict = say("verify", str(path), "--json")
        assert (status, verdict["faults"]) == (0, [])
        assert all(one["accepted"] for one in verdict["files"])
        assert "SHA-256" in say("card", str(path))[1]
    status, listed = say("list", "--json")
    assert [Path(one["path"]).name for one in listed["files"]] == ["whole.gguf"]
    assert set(listed["public"]) == set(public_families())
    assert "unverified" in say("list")[1]


def test_a_hash_given_beforehand_accepts_the_file(tmp_path: Path, say: Say) -> None:
    source = tiny.dense(tmp_path / "one.gguf")
    assert say("pull", str(source), "--sha256", fingerprint(source), "--json")[1]["files"][0]["accepted"] is True
    folder = tmp_path / "stick"
    folder.mkdir()
    for number in range(2):
        tiny.dense(folder / f"{number}.gguf", seed=number + 5)
    assert len(say("pull", str(folder), "--json")[1]["files"]) == 2
    assert len(list(models_folder().glob("*.gguf"))) == 3


def test_what_is_damaged_is_listed_and_fails_verification(tmp_path: Path, say: Say) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / "cut.gguf").write_bytes(b"GGUF")
    (models_folder() / "family.toml").write_text("name = 7")
    status, listed = say("list", "--json")
    assert status == 0
    assert "fault" in listed["files"][0]
    assert "fault" in listed["families"][0]
    assert say("verify", str(models_folder() / "cut.gguf"))[0] == 254
    source = tiny.nested(tmp_path / "kin.gguf")
    say("verify", str(source), "--accept", fingerprint(source))
    say("split", str(source), "--into", str(tmp_path / "parts"))
    victim = next((tmp_path / "parts").glob("*small.gguf"))
    victim.write_bytes(victim.read_bytes()[:-64])
    assert say("verify", str(tmp_path / "parts"), "--json")[0] == 1


def test_a_quantiser_that_can_not_says_why_and_leaves_nothing(tmp_path: Path, say: Say) -> None:
    path = tmp_path / "none.gguf"
    path.write_bytes(b"GGUF" + bytes(30))
    say("verify", str(path), "--accept", fingerprint(path))
    status, text = say("quantize", str(path), str(tmp_path / "out.gguf"))
    assert status == 254
    assert "KF405" in text
    assert not list(tmp_path.glob("*out*"))


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    profile = Profile(memory_mb=12.5, decode_tokens_per_s=80, prefill_tokens_per_s=900)
    manifest = Manifest(
        name="kin",
        version="1",
        realisation="nested",
        licence='Apache-2.0 "and so on"',
        tokenizer_sha256="a" * 64,
        source_sha256="b" * 64,
        members=(
            Member(
                name="small",
                tier="device",
                file="kin-small.gguf",
                sha256="c" * 64,
                exit=3,
                loss=2.5,
                profiles={"pi5": profile, "odd name.1": profile},
                calibration=Calibration(threshold=0.4, held_back=500),
            ),
            Member(name="far", tier="cloud", url="http://cloud.lan:8000/v1", model="qwen"),
        ),
        continuations=(Continuation(of="small", after=2, last_block=5, file="on.gguf", sha256="d" * 64),),
        limits=("English alone",),
    )
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert manifest.hashes == {"c" * 64, "d" * 64}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('file = "kin.gguf"', 'file = "../kin.gguf"'),
        ('file = "kin.gguf"', 'file = "/etc/passwd"'),
        ('file = "kin.gguf"\n', ""),
        ('tier = "device"', 'tier = "moon"'),
        ('name = "small"', 'name = "Small One"'),
        ('realisation = "siblings"', 'realisation = "nested"'),
        ("[[members]]", "surprise = 1\n[[members]]"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, old: str, new: str, say: Say) -> None:
    member = Member(name="small", tier="device", file="kin.gguf", sha256="c" * 64)
    one = Manifest(
        name="kin", version="1", realisation="siblings", licence="MIT", tokenizer_sha256="a" * 64, members=(member,)
    )
    path = write_manifest(tmp_path, one)
    assert say("card", str(tmp_path))[0] == 0
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    status, printed = say("card", str(tmp_path))
    assert status == 254
    assert "KF403" in printed
