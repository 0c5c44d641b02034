"""docs/threat-model.md against the tests: every row is whole, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
HEAD = ["asset", "entry", "threat", "defence", "test"]
NODE = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def rows(page: str) -> list[list[str]]:
    """Of every table with the model's heading."""
    found, inside = [], False
    for line in page.splitlines():
        if not line.startswith("|"):
            inside = False
        elif cells(line) == HEAD:
            inside = True
        elif inside and not set(line) <= set("|- "):
            found.append(cells(line))
    return found


def faults(row: list[str]) -> list[str]:
    """What is wrong with one row."""
    if len(row) != len(HEAD) or not all(row):
        return ["a cell is missing"]
    nodes = NODE.findall(row[-1])
    if NODE.sub("", row[-1]).strip(", ") or not nodes:
        return ["the last cell is no list of tests"]
    return [f"{file}::{name} is not there" for file, name in nodes if name not in defined_in(file)]


@cache
def defined_in(file: str) -> frozenset[str]:
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    found = ast.parse(path.read_text("utf-8")).body
    return frozenset(one.name for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


ROWS = rows(PAGE)


@pytest.mark.parametrize("row", ROWS, ids=[" / ".join(row[:3])[:100] for row in ROWS])
def test_a_row_is_whole_and_its_tests_are_there(row: list[str]) -> None:
    assert faults(row) == []


def test_what_is_wrong_with_a_row_is_found() -> None:
    own = "`tests/docs/test_threat_model.py::test_what_is_wrong_with_a_row_is_found`"
    table = "| asset | entry | threat | defence | test |\n|---|---|---|---|---|\n"
    for row in (
        f"| a | b | c | {own} |",
        f"| a | b |  | d | {own} |",
        "| a | b | c | d | by hand |",
        "| a | b | c | d | `tests/docs/test_threat_model.py::test_of_nothing` |",
        f"| a | b | c | d | {own}, and more |",
        "| a | b | c | d | `tests/docs/test_gone.py::test_gone` |",
    ):
        assert [len(faults(one)) for one in rows(table + row)] == [1], row
    assert [faults(one) for one in rows(f"{table}| a | b | c | d | {own} |\n\n| a | b |\n")] == [[]]


@pytest.mark.parametrize(
    "part",
    [
        "Who comes to the door",
        "Joining and certificates",
        "Broker and messages",
        "HTTP API, dashboard, accounts, tokens",
        "Updates, bundles, the one line, cards",
        "Backups",
        "Signals",
        "Time",
        "Cameras and privacy",
        "Cloud and pair",
        "Logs, support bundle, the machine",
    ],
)
def test_no_part_is_left_out(part: str) -> None:
    begins = PAGE.index(f"\n## {part}\n")
    assert rows(PAGE[begins : PAGE.index("\n## ", begins + 1)])


@pytest.mark.parametrize("page", ["SECURITY.md", "README.md"])
def test_it_is_linked(page: str) -> None:
    assert "docs/threat-model.md" in (ROOT / page).read_text("utf-8")


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
