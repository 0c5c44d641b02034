"""The list: what CycloneDX 1.6 requires of it, that it is whole, and that one content gives one list."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from firmware_configs.errors import SbomNotMade
from firmware_configs.sbom import contents
from firmware_configs.sbom.cyclonedx import Bom, decode, encode
from firmware_configs.sbom.make import of_this_environment
from kinflow.main import run as kinflow

# What the standard's own schema requires; we have no copy of it, so that these rules are read from its text.
TYPES = {"application", "library", "file", "machine-learning-model"}
PURL = re.compile(r"pkg:(cargo|generic|npm|pypi|rpm)/[^\s@]+@[^\s@]+$")
SERIAL = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module", params=["agent", "edge", "cloud", "sim", "dev"])
def made(request: pytest.FixtureRequest) -> Bom:
    return of_this_environment([request.param])[0]


@pytest.fixture(scope="module")
def read(made: Bom) -> dict[str, Any]:
    return json.loads(encode(made))


def every(component: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield component
    for inner in component.get("components", ()):
        yield from every(inner)


def test_it_is_laid_out_as_the_standard_says(read: dict[str, Any]) -> None:
    assert (read["bomFormat"], read["specVersion"], read["version"]) == ("CycloneDX", "1.6", 1)
    assert read["$schema"] == "http://cyclonedx.org/schema/bom-1.6.schema.json"
    assert SERIAL.fullmatch(read["serialNumber"])
    datetime.fromisoformat(read["metadata"]["timestamp"])
    assert set(read) == {
        *("$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies")
    }
    whole = [read["metadata"]["component"], *read["metadata"]["tools"]["components"], *read["components"]]
    for one in (inner for outer in whole for inner in every(outer)):
        assert one["type"] in TYPES
        assert one["name"]
        assert one["bom-ref"]
        assert "purl" not in one or PURL.fullmatch(re.split(r"[?#]", one["purl"])[0]), one["purl"]
        for found in one.get("hashes", ()):
            assert found["alg"] == "SHA-256"
            assert re.fullmatch("[0-9a-f]{64}", found["content"])
        licences = one.get("licenses", [])
        # Either licences one by one, or a single expression and nothing beside it.
        assert all(set(each) == {"license"} for each in licences) or (
            len(licences) == 1 and "expression" in licences[0]
        )
        for each in licences:
            assert each.get("license", each)["acknowledgement"] in {"declared", "concluded"}
            assert "license" not in each or len({"id", "name"} & set(each["license"])) == 1
        for each in one.get("externalReferences", ()):
            assert each["type"] in {"distribution", "website"}
            assert each["url"]


def test_references_are_unique_and_lead_somewhere(read: dict[str, Any]) -> None:
    whole = [read["metadata"]["component"], *read["metadata"]["tools"]["components"], *read["components"]]
    refs = [inner["bom-ref"] for outer in whole for inner in every(outer)]
    assert len(refs) == len(set(refs))
    told = [one["ref"] for one in read["dependencies"]]
    assert len(told) == len(set(told))
    assert set(told) == {"kinflow", *(one["bom-ref"] for one in read["components"])}
    for one in read["dependencies"]:
        assert set(one["dependsOn"]) <= set(refs)
        assert len(one["dependsOn"]) == len(set(one["dependsOn"]))


def test_everything_on_it_is_reached_from_kinflow(read: dict[str, Any]) -> None:
    needs = {one["ref"]: one["dependsOn"] for one in read["dependencies"]}
    reached, queue = set(), ["kinflow"]
    while queue:
        one = queue.pop()
        if one not in reached:
            reached.add(one)
            queue += needs[one]
    assert reached == set(needs)


def test_every_package_has_its_installed_version_a_licence_and_a_digest(read: dict[str, Any]) -> None:
    pins = contents.project().pins
    packages = [one for one in read["components"] if one.get("purl", "").startswith("pkg:pypi/")]
    assert len(packages) > 15
    for one in packages:
        key = one["purl"].removeprefix("pkg:pypi/").partition("@")[0]
        # pip is whatever the environment was made with; sqlite-utils names it.
        wanted = version(one["name"]) if key == "pip" else pins[key]
        assert one["version"] == version(one["name"]) == wanted, f"{key} is not pinned to what is installed"
        assert one["licenses"], key
        assert "kinflow:record-sha256" in {each["name"] for each in one["properties"]}, key


def test_browser_libraries_are_on_it_with_the_hash_of_each_file(read: dict[str, Any], repository: Path) -> None:
    listed = {
        inner["name"]: inner["hashes"][0]["content"]
        for one in read["components"]
        if one.get("purl", "").startswith("pkg:npm/")
        for inner in one["components"]
    }
    files = [one for one in (repository / contents.VENDOR).rglob("*") if one.is_file() and one.name != "HASHES"]
    assert listed == {str(one.relative_to(repository)): sha256(one.read_bytes()).hexdigest() for one in files}


def test_what_is_written_is_read_back(made: Bom) -> None:
    assert decode(encode(made)) == made


def test_libraries_inside_a_wheel_are_listed_where_its_maker_tells_of_them() -> None:
    made, _ = of_this_environment(["agent"])
    inside = {one.name: one.components for one in made.components}
    assert any(one.purl.startswith("pkg:rpm/") for one in inside["opencv-python-headless"])
    assert any(one.purl.startswith("pkg:cargo/") and one.licenses for one in inside["cryptography"])


def test_one_content_gives_one_list_in_every_process(tmp_path: Path, repository: Path) -> None:
    lists = []
    for seed, epoch in (("0", "1700000000"), ("1", "1700000000"), ("2", "1800000000")):
        out = tmp_path / f"{seed}.json"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": epoch}
        command = [sys.executable, "-m", "kinflow", "sbom", "--extra", "edge", "--out", str(out)]
        subprocess.run(command, env=environment, cwd=repository, check=True, capture_output=True)
        lists.append(out.read_bytes())
    assert lists[0] == lists[1]
    early, late = (decode(one) for one in lists[1:])
    assert (early.metadata.timestamp, late.metadata.timestamp) == ("2023-11-14T22:13:20Z", "2027-01-15T08:00:00Z")
    # The number follows from what is listed, and not from when.
    assert early.serial_number == late.serial_number
    assert early.serial_number != of_this_environment(["agent"])[0].serial_number


def test_the_time_is_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert contents.time_of(tmp_path) is None
    when = {"GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    person = ["-c", "user.name=one", "-c", "user.email=one@example.org"]
    for command in (["init", "-q"], [*person, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, env={**os.environ, **when})
    assert contents.time_of(tmp_path) == "2026-01-02T03:04:05Z"


def test_weights_in_the_tree_are_on_it_with_their_cards(tmp_path: Path) -> None:
    place = tmp_path / "models" / "vision"
    place.mkdir(parents=True)
    (place / "nano.onnx").write_bytes(b"weights")
    (place / "nano.toml").write_text("name = 'nano'\n")
    (place / "card.md").write_text("# nano\n")
    (place / "code.py").write_text("")
    found = {one.name: one.type for one in contents.tracked_weights(tmp_path)}
    assert found == {
        "models/vision/card.md": "file",
        "models/vision/nano.onnx": "machine-learning-model",
        "models/vision/nano.toml": "file",
    }


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinflow(["sbom", "--check"]) == 0
    told = decode(capsys.readouterr().out.encode())
    assert {one.value for one in told.metadata.properties} >= {"agent", "edge", "cloud"}
    assert kinflow(["sbom", "--extra", "agent", "--out", str(tmp_path / "one.json")]) == 0
    assert decode((tmp_path / "one.json").read_bytes()).components
    assert kinflow(["sbom", "--extra", "moon"]) == 2
    assert kinflow(["sbom", "--out", str(tmp_path / "no" / "folder.json")]) == 250


def test_a_package_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "kinflow"\nversion = "1"\ndependencies = ["no-such-package-here"]\n'
    )
    with pytest.raises(SbomNotMade, match="no-such-package-here, which Kinflow needs"):
        of_this_environment([], tmp_path)


def test_without_a_clone_it_goes_by_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device, where there is no pyproject.toml and no constraints.txt."""
    lines = (
        *("Requires-Dist: upper>=1", "Provides-Extra: edge", 'Requires-Dist: desk; extra == "edge"'),
        *("Provides-Extra: agent", "Requires-Dist: eyes>=2; extra == 'agent'"),
    )
    for name, more in (("kinflow", "\n".join(lines)), ("upper", ""), ("desk", "Requires-Dist: upper"), ("eyes", "")):
        info = tmp_path / "site" / f"{name}-9.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 9\nLicense: MIT\n{more}\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    made, parts = of_this_environment(["edge"], tmp_path)
    assert (parts.version, set(parts.packages)) == ("9", {"upper", "desk"})
    needs = {one.ref: one.depends_on for one in made.dependencies}
    assert needs["kinflow"] == ("pkg:pypi/desk@9", "pkg:pypi/upper@9")
    assert needs["pkg:pypi/desk@9"] == ("pkg:pypi/upper@9",)
    assert of_this_environment(None, tmp_path)[1].extras == ("agent", "edge")
