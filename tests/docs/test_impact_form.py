"""docs/impact-assessment.md: a form whose facts are the code's, and whose blanks are plain to see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.config.schema import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
FORM = (DOCS / "impact-assessment.md").read_text("utf-8")
BLANK = "**▶ YOU WRITE"


def test_every_setting_that_it_names_is_one_with_the_default_that_it_states() -> None:
    sections = "|".join(Settings.__struct_fields__)
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", FORM))
    assert named >= {"edge.retention_days", "edge.allow_lan", "backup.keep", "trust.certificate_days"}
    for key in named:
        section, _, name = key.partition(".")
        assert hasattr(getattr(Settings(), section), name), key
    stated = dict(re.findall(rf"`((?:{sections})\.[a-z_]+)` = (\d+)", FORM))
    assert stated == {
        "edge.retention_days": str(Settings().edge.retention_days),
        "backup.keep": str(Settings().backup.keep),
    }


@pytest.mark.parametrize("chapter", FORM.split("\n## ")[1:], ids=lambda text: text.splitlines()[0][:40])
def test_every_chapter_has_its_blanks_and_every_row_one(chapter: str) -> None:
    assert BLANK in chapter
    rows = [line for line in chapter.splitlines() if line.startswith("|")]
    headings = {number for number, line in enumerate(rows) if set(line) <= set("|- ")}
    for number, line in enumerate(rows):
        if number not in headings and number + 1 not in headings:
            assert BLANK in line, line


def test_the_risks_that_a_city_must_think_of_are_there() -> None:
    risks = FORM.split("\n## 6. ")[1].split("\n## ")[0].lower()
    for risk in ("camera in public", "wrong green", "bias", "function creep", "long red", "breaks in"):
        assert risk in risks, risk


@pytest.mark.parametrize("page", ["impact-assessment.md", "privacy.md", *(f"users/{n}.md" for n in ("agent", "edge"))])
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((DOCS / page).parent / target).is_file(), target
