"""Each error that a person may meet has a number of its own, and a page that explains it."""

from __future__ import annotations

import importlib
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.errors import KinflowError, catalogue

# Numbers are exit statuses too: 126 to 159 are taken by what shells and signals mean.
RANGES = {
    "protocol": [range(10, 30)],
    "node": [range(30, 55), range(160, 200)],
    "agent": [range(55, 75), range(79, 81), range(253, 254)],
    "edge_server": [range(75, 79), range(81, 95), range(200, 230), range(300, 307), range(310, 330), range(470, 475)],
    "sim_devices": [range(95, 102), range(307, 310), range(340, 360)],
    "benchmarks": [range(102, 105), range(460, 470), range(530, 535)],
    "models": [range(105, 120), range(330, 331), range(360, 460), range(475, 530)],
    "cloud": [range(120, 126)],
    "firmware_configs": [range(230, 253)],
}
ROOT = Path(__file__).resolve().parent.parent


def errors() -> dict[int, type[KinflowError]]:
    for path in sorted(ROOT.glob("*/errors.py")):
        importlib.import_module(f"{path.parent.name}.errors")
    return {number: error for number, error in catalogue().items() if error.__module__.partition(".")[0] in RANGES}


ERRORS = errors()


@pytest.mark.parametrize("error", ERRORS.values(), ids=lambda error: error.__name__)
def test_error_is_complete(error: type[KinflowError]) -> None:
    package = error.__module__.partition(".")[0]
    assert error.__module__ == f"{package}.errors"
    assert any(error.number in one for one in RANGES[package])
    assert error.cause.endswith(".") or error.cause.endswith("}")
    assert error.advice
    fields = [name for text in (error.cause, error.advice) for _, name, _, _ in string.Formatter().parse(text) if name]
    assert not any(re.search("password|secret|token$|credential", name) for name in fields)


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: f"KF{number}")
def test_error_has_a_page(number: int) -> None:
    page = ROOT / "docs" / "errors" / f"KF{number}.md"
    assert page.is_file(), f"write docs/errors/KF{number}.md for {ERRORS[number].__name__}"
    lines = page.read_text("utf-8").splitlines()
    assert lines[0].startswith(f"# KF{number}: ")
    assert len([line for line in lines if line.strip()]) >= 5


def test_every_page_has_an_error() -> None:
    pages = {int(path.stem.removeprefix("KF")) for path in (ROOT / "docs" / "errors").glob("KF*.md")}
    assert pages <= set(ERRORS)


def test_install_script_speaks_of_catalogued_errors_only() -> None:
    scripts = [ROOT / "install.sh", *(ROOT / "firmware_configs" / "system").glob("*.sh")]
    numbers = {int(one) for script in scripts for one in re.findall(r"\bfail (\d+)", script.read_text())}
    assert numbers
    assert numbers <= set(ERRORS)


def test_one_number_for_two_errors_is_refused() -> None:
    # In a process of its own: a class, once made, stays in the catalogue.
    code = (
        "from protocol.errors import InvalidId, KinflowError, catalogue\n"
        "class Twin(KinflowError): number = InvalidId.number\n"
        "catalogue()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    assert "share the number 10" in done.stderr


def test_a_number_too_large_for_an_exit_status_has_one_that_tells_of_it() -> None:
    class Late(KinflowError):
        number = 9_300

    assert Late().code == "KF9300"
    assert Late().exit_status == 254
    assert all(one.number != 254 for one in ERRORS.values())
