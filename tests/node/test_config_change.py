"""One setting is changed; every other line of the file stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config.change import change, with_setting
from node.config.cli import template
from node.config.load import load
from node.config.settable import SETTABLE, checked, key_of, words_of
from node.config.sources import FIELDS
from node.errors import ConfigUnreadable, ConfigValueInvalid


def test_the_file_that_explains_itself_keeps_its_words(tmp_path: Path) -> None:
    path = tmp_path / "kinflow.toml"
    path.write_text(template())
    path.chmod(0o640)
    change(tmp_path, "log.level", "debug")
    change(tmp_path, "edge.retention_days", 7)
    change(tmp_path, "log.level", "warning")
    settings = load(tmp_path, {}).settings
    assert (settings.log.level, settings.edge.retention_days) == ("warning", 7)
    old, new = template().splitlines(), path.read_text().splitlines()
    assert [line for line in new if line not in old] == ["retention_days = 7", 'level = "warning"']
    assert [line for line in old if line not in new] == []
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[log]\nlevel = "debug"\n'),
        ('[log]\nlevel = "info" # why\n[edge]\nport = 1\n', '[log]\nlevel = "debug"\n[edge]\nport = 1\n'),
        ("[log]\n[edge]\nport = 1\n", '[log]\nlevel = "debug"\n[edge]\nport = 1\n'),
        ('log.level = "info"\n', 'log.level = "debug"\n'),
        ('[ log ]\n  level="info"\n', '[ log ]\nlevel = "debug"\n'),
        ('[[agent.cameras]]\nid = "a"\nsource = "x"\n', None),
    ],
)
def test_the_line_is_replaced_or_added(before: str, after: str | None, tmp_path: Path) -> None:
    changed = with_setting(before, "log.level", "debug")
    if after is not None:
        assert changed == after
    (tmp_path / "kinflow.toml").write_text(before)
    change(tmp_path, "log.level", "debug")
    assert load(tmp_path, {}).settings.log.level == "debug"


@pytest.mark.parametrize(
    "text", ['log = {level = "info"}\n', "nonsense = [\n", '[device]\nname = """\n[log]\nlevel = 1"""\n']
)
def test_what_can_t_be_changed_by_a_line_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kinflow.toml"
    path.write_text(text)
    with pytest.raises(ConfigUnreadable):
        change(tmp_path, "log.level", "debug")
    assert path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == ["kinflow.toml"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_every_name_that_a_setting_takes_comes_back(name: str) -> None:
    import tomllib  # noqa: PLC0415

    assert tomllib.loads(with_setting("", "device.name", name)) == {"device": {"name": name}}


def test_every_settable_name_is_a_setting_and_is_found_by_its_words() -> None:
    for words, key in SETTABLE.items():
        assert key in FIELDS
        assert key_of(words) == key_of(key) == key_of(key.upper().replace("_", " ")) == key
        assert words_of(key) == words
    for shut in ("power.shutdown_command", "broker.url", "update.source", "edge.host", "backup.key_file", "log"):
        assert key_of(shut) is None


@pytest.mark.parametrize(
    ("key", "value", "becomes"),
    [
        ("log.level", "debug", "debug"),
        ("edge.retention_days", "14", 14),
        ("edge.retention_days", 14.0, 14),
        ("update.automatic", "on", True),
        ("update.automatic", False, False),
        ("edge.max_store_gb", 2, 2.0),
        ("device.name", 7, "7"),
    ],
)
def test_a_value_is_taken_in_the_setting_s_own_type(key: str, value: object, becomes: object) -> None:
    found = checked(key, value)
    assert found == becomes
    assert type(found) is type(becomes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log.level", "loud"),
        ("edge.retention_days", 0),
        ("edge.retention_days", 1.5),
        ("update.automatic", "maybe"),
        ("edge.retention_days", True),
    ],
)
def test_a_value_that_does_not_fit_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigValueInvalid):
        checked(key, value)
