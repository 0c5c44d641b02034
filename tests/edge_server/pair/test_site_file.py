"""The site file of a pair: the one that was changed more often goes to both, and nothing that can't be used does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.errors import SiteNotTaken
from edge_server.pair.site_file import SharedSite, SiteFile


def site(folder: Path) -> SiteFile:
    folder.mkdir(exist_ok=True)
    return SiteFile(folder / "site.toml", folder)


def write(folder: Path, name: str) -> None:
    (folder / "site.toml").write_text(f'id = "{name}"\n')


def in_step(one: SiteFile, other: SiteFile) -> None:
    one.merge(other.now())
    other.merge(one.now())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["write-a", "write-b", "lose-a", "lose-b", "meet"]), max_size=10))
def test_both_end_with_the_same(tmp_path_factory: pytest.TempPathFactory, story: list[str]) -> None:
    folder = tmp_path_factory.mktemp("pair")
    files = {name: site(folder / name) for name in "ab"}
    for number, deed in enumerate(story):
        if deed == "meet":
            in_step(files["a"], files["b"])
            continue
        what, name = deed.split("-")
        if what == "write":
            write(folder / name, f"s{number}")
            files[name].now()
        else:
            (folder / name / "site.toml").unlink(missing_ok=True)
    in_step(files["a"], files["b"])
    assert files["a"].now() == files["b"].now()
    assert not files["a"].merge(files["b"].now())


def test_a_later_change_goes_over_and_an_unusable_one_does_not(tmp_path: Path) -> None:
    a, b = site(tmp_path / "a"), site(tmp_path / "b")
    write(tmp_path / "a", "crossing")
    assert b.merge(a.now())
    write(tmp_path / "b", "crossing-2")
    os.utime(tmp_path / "b" / "site.toml", (1, 1))
    assert a.merge(b.now()), "however wrong a clock is"
    assert (tmp_path / "a" / "site.toml").read_text() == 'id = "crossing-2"\n'
    newer = a.now().version + 1
    for text in ("no TOML", "id = 7", "x" * 50):
        with pytest.raises(SiteNotTaken, match="KF218"):
            a.merge(SharedSite(version=newer, at_ms=1, text=text))
    assert (tmp_path / "a" / "site.toml").read_text() == 'id = "crossing-2"\n'
