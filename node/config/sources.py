"""Read settings, value by value, out of each place that may hold them. What is no setting is refused by name."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from node.config.schema import Camera, Settings
from node.errors import ConfigKeyUnknown, ConfigUnreadable

ENVIRONMENT_PREFIX = "KINFLOW_"
OriginKind = Literal["default", "file", "environment", "flag"]

SECTIONS: dict[str, type[msgspec.Struct]] = get_type_hints(Settings)
FIELDS: dict[str, Any] = {
    f"{section}.{name}": annotation
    for section, struct in SECTIONS.items()
    for name, annotation in get_type_hints(struct, include_extras=True).items()
}
LISTS = ("agent.cameras", "cloud.hosts", "edge.hosts")


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: `where` is a file and line, a variable's name or a flag's."""

    kind: OriginKind
    where: str


@dataclass(frozen=True)
class Given:
    """One value as it was found, not yet judged. `key` is dotted: `edge.port`."""

    key: str
    value: object
    origin: Origin


def from_file(path: Path) -> Iterator[Given]:
    """The values of a kinflow.toml. Raises ConfigUnreadable (KF30) or ConfigKeyUnknown (KF31)."""
    try:
        text = path.read_text("utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigUnreadable(path=str(path), detail=detail) from error
    for section, values in tables.items():
        if section not in SECTIONS or not isinstance(values, dict):
            raise unknown_key(section, _place(path, text, section), [*SECTIONS, *FIELDS])
        for name, value in values.items():
            key = f"{section}.{name}"
            where = _place(path, text, section, name)
            if key not in FIELDS:
                raise unknown_key(key, where, FIELDS)
            if key == "agent.cameras":
                _refuse_unknown_camera_keys(value, path, text)
            yield Given(key, value, Origin("file", where))


def from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    """Values of variables such as KINFLOW_EDGE_PORT. Variables of no section (KINFLOW_HOME) are not ours to judge."""
    for variable in sorted(environment):
        plain = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        section = next((one for one in SECTIONS if plain.startswith(f"{one}_")), None)
        if section is None or not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = f"{section}.{plain[len(section) + 1 :]}"
        if key not in FIELDS:
            nearest = nearest_key(key, FIELDS)
            raise ConfigKeyUnknown(key=variable, where="the environment", nearest=variable_of(nearest))
        yield Given(key, _unpacked(key, environment[variable]), Origin("environment", variable))


def from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    """Values of command line options by their setting's key; None means that the option was not given."""
    for key, value in flags.items():
        if value is not None:
            yield Given(key, value, Origin("flag", "--" + key.partition(".")[2].replace("_", "-")))


def variable_of(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def unknown_key(key: str, where: str, known: Mapping[str, object] | list[str]) -> ConfigKeyUnknown:
    return ConfigKeyUnknown(key=key, where=where, nearest=nearest_key(key, known))


def nearest_key(key: str, known: Mapping[str, object] | list[str]) -> str:
    """The known key that is closest; one of the same name in another section counts as closest of all."""
    leaf = key.rpartition(".")[2]
    same_leaf = [one for one in known if one.rpartition(".")[2] == leaf]
    return (same_leaf or get_close_matches(key, list(known), n=1, cutoff=0.0))[0]


def _unpacked(key: str, text: str) -> object:
    """A variable's text; a list is written as JSON."""
    if key not in LISTS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refuse_unknown_camera_keys(cameras: object, path: Path, text: str) -> None:
    known = list(Camera.__struct_fields__)
    for camera in cameras if isinstance(cameras, list) else ():
        for name in camera if isinstance(camera, dict) else ():
            if name not in known:
                raise unknown_key(name, _place(path, text, "agent.cameras", name), known)


def _place(path: Path, text: str, section: str, name: str = "") -> str:
    """`path, line 12`: where a table, or a key in it, first stands. The TOML parser itself does not tell."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[{1,2}\s*([\w.-]+)\s*\]", line)
        if header:
            table = header[1]
            if table == section and not name:
                return f"{path}, line {number}"
        dotted = re.match(r"\s*([\w.-]+)\s*=", line)
        wanted = f"{section}.{name}" if name else section
        if dotted and (f"{table}.{dotted[1]}".lstrip(".") == wanted):
            return f"{path}, line {number}"
    return str(path)
