"""No GPL, no AGPL and nothing unknown in what Kinflow hands out, for each extra; and planted violations are found."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from firmware_configs.bundle.wheels import LLAMA_NEEDS
from firmware_configs.errors import LicenceRefused
from firmware_configs.sbom import contents, licences, spdx
from firmware_configs.sbom.licences import Reviewed, Table, licence_of, refusal, refusals
from firmware_configs.sbom.make import TIERS, of_this_environment, require_fit
from firmware_configs.sbom.package import Bundled, Package, installed
from firmware_configs.sbom.requirement import normal

# torch is neither installed where the tests run nor ever handed out: who trains fetches it.
EXTRAS = sorted(contents.project().extras.keys() - {"training"})
TABLE = licences.load()
NOTHING = Table(packages={}, vendored={})


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_what_an_extra_installs_may_be_handed_out(extra: str) -> None:
    """`sim` alone may hold the EPL, for SUMO: see `only` in licences.toml."""
    _, parts = of_this_environment([extra] if extra else [])
    assert len(parts.packages) >= 8
    assert refusals(parts.packages, frozenset(parts.extras), TABLE) == {}
    if extra not in {"sim", "dev"}:
        named = {
            (package.name, one)
            for package in parts.packages.values()
            for one in spdx.licences(spdx.parse(licence_of(package, TABLE).expression))
        }
        # Of EPL-2.0 OR BSD-3-Clause the choice is ours.
        assert {name for name, one in named if one.startswith("EPL")} <= {"paho-mqtt"}
        assert {one for _, one in named if "GPL" in one and not one.startswith("LGPL")} <= {
            "GPL-3.0-or-later WITH GCC-exception-3.1"
        }


def planted(folder: Path, name: str, head: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{head}")
    (info / "RECORD").write_text(f"{name}.py,sha256=abc,1\n")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("License-Expression: GPL-3.0-only\n", "GPL-3.0-only"),
        ("License-Expression: MIT AND AGPL-3.0-or-later\n", "AGPL-3.0-or-later"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)\n", "GPL-3.0-only"),
        ("Classifier: License :: OSI Approved :: BSD License\n", "unknown"),
        ("License: free to use\n", "unknown"),
        ("", "unknown"),
        ("License-Expression: EPL-2.0\n", "EPL-2.0"),
        ("License-Expression: LGPL-3.0-only\n", "LGPL-3.0-only"),
        ("License-Expression: MPL-2.0\n", "MPL-2.0"),
        ("License-Expression: BUSL-1.1\n", "BUSL-1.1"),
        ("License-Expression: MIT AND (\n", "SPDX"),
    ],
)
def test_a_planted_violation_is_found_however_deep_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, said: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text('[project]\nname = "kinflow"\nversion = "1"\ndependencies = ["upper"]\n')
    planted(tmp_path / "site", "upper", "License-Expression: MIT\nRequires-Dist: lower>=1\n")
    planted(tmp_path / "site", "lower", head)
    monkeypatch.syspath_prepend(tmp_path / "site")
    _, parts = of_this_environment([], tree)
    assert set(parts.packages) == {"upper", "lower"}
    with pytest.raises(LicenceRefused, match=r"lower 1\.0") as found:
        require_fit(parts, TABLE)
    assert said in str(found.value)


def test_a_library_inside_a_wheel_is_judged_where_its_maker_tells_of_it() -> None:
    def refused(*licences: str) -> dict[str, str]:
        inside = tuple(Bundled(f"part-{number}", "1", "", one) for number, one in enumerate(licences))
        return refusals({"one": Package("one", "1", licence="MIT", bundled=inside)}, frozenset(), NOTHING)

    assert refused("MIT OR Apache-2.0", "Unicode-3.0", "") == {}
    assert refused("MIT", "GPL-2.0-only") == {"one 1": "part-1 in it: its licence is GPL-2.0-only"}


def test_sumo_is_for_the_simulation_alone() -> None:
    _, parts = of_this_environment(["sim"])
    assert "eclipse-sumo" in parts.packages
    for tier in TIERS:
        refused = refusals(parts.packages, frozenset({tier}), TABLE)
        assert {one.split()[0] for one in refused} == {"eclipse-sumo", "libsumo", "sumo-data", "sumolib", "traci"}


@pytest.mark.parametrize(
    ("expression", "accepted", "fit"),
    [
        ("MIT", "", True),
        ("EPL-2.0 OR BSD-3-Clause", "", True),
        ("GPL-2.0-only OR (MIT AND ISC)", "", True),
        ("GPL-2.0-only AND MIT", "", False),
        ("LGPL-2.1-or-later", "", False),
        ("LGPL-2.1-or-later", "a library of its own", True),
        ("GPL-3.0-or-later", "nobody may say so", False),
        ("AGPL-3.0-only", "nobody may say so", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", "", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", "what GCC adds", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "another exception", False),
        ("LicenseRef-ours", "unknown", False),
    ],
)
def test_what_is_fit(expression: str, accepted: str, fit: bool) -> None:
    assert (refusal(expression, Reviewed(accepted=accepted), frozenset()) == "") == fit


@pytest.mark.parametrize("text", ["", "MIT AND", "AND MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH", "M§T"])
def test_what_is_no_expression_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        spdx.parse(text)


def test_the_reviewed_table_holds_nothing_stale_and_a_reason_for_each() -> None:
    known = {*contents.project().pins, *(normal(one) for one in LLAMA_NEEDS), "llama-cpp-python"}
    for name, one in TABLE.packages.items():
        assert name in known, f"{name} is no package of ours any more"
        assert len(one.reason) > 20 or (not one.licence and len(one.accepted) > 20), name
        assert not one.only or one.accepted, name
        if one.licence:
            assert set(spdx.licences(spdx.parse(one.licence))) <= spdx.KNOWN, name


def test_whoever_brings_libraries_of_others_was_looked_at() -> None:
    """A wheel with a folder of shared libraries holds more than its metadata says; somebody must have read it."""
    found = {installed(one).key for one in distributions() if installed(one).libraries}
    assert {"numpy", "opencv-python-headless"} <= found
    assert {one for one in found if one not in TABLE.packages or not TABLE.packages[one].reason} == set()


def test_where_a_licence_is_told_from() -> None:
    def of(**said: object) -> str:
        return licence_of(Package("one", "1", **said), NOTHING).expression  # type: ignore[arg-type]

    mit, isc = "License :: OSI Approved :: MIT License", "License :: OSI Approved :: ISC License (ISCL)"
    assert of(licence="Zlib", classifiers=(mit,)) == "Zlib"
    assert of(classifiers=(mit, "Topic :: Internet"), license_text="ISC") == "MIT"
    assert of(classifiers=(mit, isc)) == "ISC AND MIT"
    assert of(license_text=" MIT ") == "MIT"
    assert of(license_text="BSD") == of() == ""
    reviewed = Table(packages={"one": Reviewed(licence="ISC", reason="it was read")}, vendored={})
    assert licence_of(Package("one", "1", licence="MIT"), reviewed).acknowledgement == "concluded"


def test_browser_libraries_are_the_versions_that_the_table_says(repository: Path) -> None:
    vendor = repository / contents.VENDOR
    for name, one in TABLE.vendored.items():
        heads = [path.read_text("utf-8")[:300] for path in (vendor / one.folder).glob("*.js")]
        assert any(one.version in head for head in heads), name
        assert one.purl.endswith(f"@{one.version}")
        licence = (vendor / one.folder / "LICENSE").read_text("utf-8")
        clauses = len(re.findall(r"^\s*(?:\d\.|Redistributions?) ", licence, re.MULTILINE))
        assert ("MIT License" in licence) == (one.licence == "MIT"), (name, clauses)
    with pytest.raises(ValueError, match="leaflet"):
        list(contents.vendored(NOTHING, repository))


def test_each_that_notice_names_is_still_so(repository: Path) -> None:
    """NOTICE speaks to people; what it says must be what the list says."""
    notice = (repository / "NOTICE").read_text("utf-8")
    for one in TABLE.vendored.values():
        assert one.version in notice
    for name in ("zeroconf", "opencv-python-headless", "certifi", "pathspec", "hypothesis"):
        assert name in notice
        assert TABLE.packages[name].accepted
