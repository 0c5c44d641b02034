"""docs/tuning.md lists the rules that there are, by their files."""

from __future__ import annotations

import re
from pathlib import Path

from models.tuning.rules import FAMILIES, all_rules

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tuning.md"


def test_the_table_of_rules_is_what_there_is() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| ([A-Z][\w, ]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    listed = {family: set(rows[family].split(", ")) for family in FAMILIES}
    real: dict[str, set[str]] = {family: set() for family in FAMILIES}
    for name, function in all_rules().items():
        real[function.__module__.rsplit(".", 1)[1]].add(name)
    assert listed == real
