"""docs/privacy.md against the code: every message with every field, every default, every module and test it names."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from edge_server.cli import _options
from edge_server.ingest.core import Arrival, State, absorb
from edge_server.store.store import Store, write_effects
from node.clock import ManualClock
from node.config.load import load
from node.config.schema import Settings
from node.identity import Identity
from protocol.edge_status import EdgeStatus
from protocol.ids import DeviceId
from protocol.messages import Birth, Estimate, Health, Message, VehiclePosition
from protocol.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text("utf-8")
DAY_MS = 86_400_000
UNITS = {"days": DAY_MS, "hours": 3_600_000}


def table(first: str) -> list[list[str]]:
    """The rows below the heading row that begins with `first`."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs in a type, however deep."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in get_args(kind):
        yield from structs(part)


def fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """All that a message can say beyond its envelope, by name; parts that several messages share are left whole."""
    envelope = Message.__struct_fields__ if issubclass(struct, Message) else ()
    found: dict[str, Any] = {}
    hints = get_type_hints(struct)
    for name in struct.__struct_fields__:
        if name in envelope:
            continue
        found.setdefault(name, hints[name])
        for inner in structs(hints[name]):
            if inner is not Estimate:
                found = {**fields(inner), **found}
    return found


SENT = {message.__name__: (topic.leaf, message) for topic in TOPICS for message in topic.messages}
SENT["EdgeStatus"] = ("HTTP, to the cloud", EdgeStatus)
MESSAGES = {row[0]: row[1:] for row in table("Message")}


def test_every_message_is_on_the_page_and_no_other() -> None:
    assert set(MESSAGES) == set(SENT)
    assert {one.__name__ for one in Message.__subclasses__()} == set(SENT) - {"EdgeStatus"}


@pytest.mark.parametrize("name", SENT)
def test_every_field_of_a_message_is_on_the_page_and_no_other(name: str) -> None:
    """Whoever adds a field says on the page what it is, and whether it tells of a person."""
    topic, struct = SENT[name]
    said_topic, said_fields, kept, personal = MESSAGES[name]
    assert (said_topic.strip("`"), set(words(said_fields))) == (topic, set(fields(struct)))
    assert personal in {"yes", "no"}
    assert kept


class Plate(msgspec.Struct):
    text: str


class Sighting(msgspec.Struct):
    plates: tuple[Plate, ...] | None
    seen: int


def test_a_field_that_lies_deeper_is_found() -> None:
    assert set(fields(Sighting)) == {"plates", "text", "seen"}


def test_no_message_carries_bytes() -> None:
    """A picture would have to travel as a text, and those are names and 500 characters."""
    for _, struct in SENT.values():
        for name, kind in fields(struct).items():
            assert "bytes" not in str(kind), f"{struct.__name__}.{name}"


def test_what_is_kept_by_age_is_what_the_store_does(tmp_path: Path) -> None:
    settings = Settings()
    limits = _options(tmp_path, load(tmp_path, environment={}).settings).limits
    days = settings.edge.retention_days
    assert (limits.observations_days, limits.events_days, limits.gaps_days) == (days,) * 3
    by_age = {"Observation": days, "Gap": days, "ConfigCommand": days}
    by_age |= {"SignalCommand": int(limits.signal_log_days), "Alarm": int(limits.alarms_days)}
    said = {name: int(row[2].split()[0]) for name, row in MESSAGES.items() if row[2].endswith(" days")}
    assert said == by_age


def test_the_settings_are_the_schemas_defaults() -> None:
    rows = table("Setting")
    assert len(rows) >= 10
    for key, default in rows:
        section, _, name = key.strip("`").partition(".")
        assert json.loads(default.strip("`")) == getattr(getattr(Settings(), section), name), key


def test_every_setting_that_keeps_or_sends_is_on_the_page() -> None:
    """By its name; what only looks so is listed here with the reason."""
    telling = re.compile(r"(days|hours|keep|max_store_gb|url|source|folder|releases|allow_lan|enabled)$")
    other = {"power.source": "a UPS, which is asked and told nothing"}
    found = {
        f"{section}.{name}"
        for section in Settings.__struct_fields__
        for name in getattr(Settings(), section).__struct_fields__
        if telling.search(name)
    }
    assert found - other.keys() == found & {key.strip("`") for key, _ in table("Setting")}


@pytest.mark.parametrize(("what", "said", "where"), table("What"), ids=lambda text: text[:40])
def test_what_is_fixed_is_what_the_code_says(what: str, said: str, where: str) -> None:
    module, _, path = where.strip("`").partition(":")
    holder, _, name = path.rpartition(".")
    found: Any = importlib.import_module(module)
    found = getattr(getattr(found, holder)(), name) if holder else getattr(found, name)
    number, _, unit = said.partition(" ")
    assert float(number) * (UNITS[unit] if name.endswith("_MS") else 1) == found, what


ROWS = table("Data")


def test_every_claim_names_the_module_that_decides_it_and_a_test_that_is_there() -> None:
    without = []
    for row in ROWS:
        assert len(row) == 8, row[0]
        assert all(row[1:5]), row[0]
        assert words(row[6]), f"{row[0]}: what decides it?"
        for path in words(row[6]):
            assert (ROOT / path).is_file(), path
        for named in words(row[7]):
            path, _, test = named.partition("::")
            tree = ast.parse((ROOT / path).read_text("utf-8"))
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert not test or test in functions, named
        if not row[7]:
            without.append(row[0])
    # What a camera sends is not ours to encrypt.
    assert without == ["Pictures on the way to the agent"]


def test_every_setting_that_a_row_names_is_one() -> None:
    sections = Settings.__struct_fields__
    named = {word for row in ROWS for word in words(row[5]) if word.partition(".")[0] in sections}
    assert named >= {"edge.allow_lan", "home_assistant.enabled", "update.source", "backup.folder"}
    for key in named:
        section, _, name = key.partition(".")
        assert hasattr(getattr(Settings(), section), name), key


def test_vehicle_positions_reach_no_table(tmp_path: Path) -> None:
    """One is taken in, and a health message beside it; then every cell of the store is read."""
    clock = ManualClock()
    identity = Identity(DeviceId("ambulance-1"), clock)
    birth = Birth(**identity.live(), role="vehicle", software="1")
    where = VehiclePosition(
        **identity.accounted(),
        role="ambulance",
        longitude=12.345678,
        latitude=56.789012,
        heading_deg=1.5,
        speed_mps=17.25,
        beacons=True,
    )
    health = Health(**identity.accounted(), uptime_s=5.0, rss_mb=87.625, cpu_percent=12.0, disk_free_mb=900.0)
    arrivals = [Arrival(one, clock.wall_ms(), clock.monotonic_ms()) for one in (birth, where, health)]
    _, effects = absorb(State(), arrivals)
    assert "56.789012" in repr(effects)
    store = Store(tmp_path / "edge.db")
    store.transaction(lambda sql: write_effects(sql, effects))
    store.close()
    with closing(sqlite3.connect(tmp_path / "edge.db")) as sql:
        tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = repr([sql.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
    assert "87.625" in cells
    for told in ("12.345678", "56.789012", "17.25"):
        assert told not in cells
