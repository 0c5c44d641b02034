"""All pages in docs/users: one for each user, short, and no command in passing that Kinflow does not take."""

from __future__ import annotations

import re

import pytest

from kinflow.mounts import MOUNTS
from tests.docs.user_page import USERS, blocks, commands, spans, take

PAGES = ["agent.md", "assistant.md", "dashboard.md", "edge.md"]
# Named by what they do, with their arguments in words around them.
BARE = {"kinflow join CODE"}


def test_each_user_has_one_page_and_it_is_short() -> None:
    assert sorted(one.name for one in USERS.iterdir()) == PAGES
    for name in PAGES:
        assert len((USERS / name).read_text("utf-8").splitlines()) <= 130, name


@pytest.mark.parametrize("line", sorted({line for name in PAGES for line in spans(name)} - BARE))
def test_a_command_in_passing_is_taken(line: str) -> None:
    take(line)


OF_THE_EDGE = re.findall(r"^(?:sudo |.*/bin/|)(kinflow .*)$", "\n".join(commands("edge.md")), re.MULTILINE)


@pytest.mark.parametrize("line", OF_THE_EDGE)
def test_a_command_of_the_edges_page_is_taken(line: str) -> None:
    """They are run from top to bottom in test_edge_page.py, which is slow."""
    take(line)


@pytest.mark.parametrize("line", ["kinflow edge code --minute 3", "kinflow edge backups", "kinflow doctor --out x"])
def test_what_kinflow_does_not_take_is_found(line: str) -> None:
    with pytest.raises(Exception, match="No such"):
        take(line)


def test_blocks_are_found_wherever_they_stand() -> None:
    page = "Words:\n\n    one\n    two\n\n1. An item\n   goes on.\n\n       three\n\n```\nfour\n```\n\n  not this\n"
    assert blocks(page) == [["one", "two"], ["three"], ["four"]]


def test_the_assistants_page_promises_nothing_that_is_not_there() -> None:
    """A page without commands says so plainly; the day there is a command, it stands on the page."""
    text = (USERS / "assistant.md").read_text("utf-8")
    found = commands("assistant.md")
    for line in found:
        take(line)
    assert ("It is not there yet" in text) == (not found)
    assert bool(found) == bool({"assistant", "ask", "chat"} & MOUNTS.keys())
