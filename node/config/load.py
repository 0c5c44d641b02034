"""Put settings together from every place, and judge them as a whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import msgspec

from node.broker.address import parse_broker
from node.config.schema import Settings
from node.config.sources import FIELDS, SECTIONS, Given, Origin, from_environment, from_file, from_flags
from node.errors import BrokerAddressInvalid, ConfigUnreadable, ConfigValueInvalid

FILE_NAME = "kinflow.toml"
DEFAULT = Origin("default", "default")


@dataclass(frozen=True)
class Effective:
    """The settings that hold, and for each key that was set where its value comes from."""

    settings: Settings
    origins: Mapping[str, Origin]

    def origin(self, key: str) -> Origin:
        return self.origins.get(key, DEFAULT)

    def value(self, key: str) -> object:
        section, _, name = key.partition(".")
        return getattr(getattr(self.settings, section), name)


def load(
    home: Path,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, object] | None = None,
    file: Path | None = None,
) -> Effective:
    """Read flags, environment and `file` (else kinflow.toml in `home`, where there is one).

    `flags` maps keys such as "edge.port" to values, None for an option that was not given. Raises ConfigUnreadable
    (KF30), ConfigKeyUnknown (KF31) or ConfigValueInvalid (KF32).
    """
    path = file or home / FILE_NAME
    if file is not None and not file.is_file():
        raise ConfigUnreadable(path=str(file), detail="there is no such file")
    given = {one.key: one for one in _given(path, environment, flags or {})}
    settings = _build({key: _convert(one) for key, one in given.items()})
    effective = Effective(settings, {key: one.origin for key, one in given.items()})
    for key, fault in _faults(settings):
        raise ConfigValueInvalid(key=key, where=effective.origin(key).where, detail=fault)
    return effective


def _given(path: Path, environment: Mapping[str, str], flags: Mapping[str, object]) -> Iterator[Given]:
    if path.is_file():
        yield from from_file(path)
    yield from from_environment(environment)
    yield from from_flags(flags)


def _convert(one: Given) -> object:
    try:
        # A variable is always a text: "8800" may stand for a number there, and nowhere else.
        return msgspec.convert(one.value, FIELDS[one.key], strict=one.origin.kind != "environment")
    except msgspec.ValidationError as error:
        raise ConfigValueInvalid(key=one.key, where=one.origin.where, detail=str(error)) from error


def _build(values: Mapping[str, object]) -> Settings:
    sections = {
        section: struct(**{key.partition(".")[2]: value for key, value in values.items() if _of(key) == section})
        for section, struct in SECTIONS.items()
    }
    return Settings(**sections)  # type: ignore[arg-type]


def _of(key: str) -> str:
    return key.partition(".")[0]


def _faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """What no single value can tell: the key to change, and why."""
    if settings.broker.url:
        try:
            parse_broker(settings.broker.url)
        except BrokerAddressInvalid as error:
            yield "broker.url", str(error.fields["detail"])
    if not settings.edge.allow_lan and not is_loopback(settings.edge.host):
        yield "edge.host", "it is not this machine itself; set edge.allow_lan = true to be reached from the network"
    if not settings.cloud.allow_lan and not is_loopback(settings.cloud.host):
        yield "cloud.host", "it is not this machine itself; set cloud.allow_lan = true to be reached from the network"
    for camera, count in Counter(one.id for one in settings.agent.cameras).items():
        if count > 1:
            yield "agent.cameras", f"{camera!r} is the id of {count} cameras"


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
