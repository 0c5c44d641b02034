"""Settings that may be changed by a sentence: those that harm nothing and give nobody access. What opens a door, names
a program or a file, or holds a secret is changed in kinflow.toml by hand alone."""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from node.config.sources import FIELDS
from node.errors import ConfigValueInvalid

Scalar = str | int | float | bool

# What people call each, and its key.
SETTABLE = MappingProxyType(
    {
        "automatic updates": "update.automatic",
        "backup interval": "backup.every_hours",
        "backups kept": "backup.keep",
        "battery low mark": "power.low_percent",
        "camera height": "hardware.camera_height",
        "camera width": "hardware.camera_width",
        "device name": "device.name",
        "home assistant": "home_assistant.enabled",
        "join code minutes": "trust.code_minutes",
        "keep previous version": "update.keep_previous",
        "log level": "log.level",
        "low disk mark": "edge.low_disk_mb",
        "memory limit": "hardware.memory_mb",
        "retention days": "edge.retention_days",
        "store size": "edge.max_store_gb",
        "threads": "hardware.threads",
        "update speed": "update.serve_kbytes_s",
        "update trial": "update.gate_s",
    }
)


def key_of(name: str) -> str | None:
    """The key of a setting that may be set, by its words or by the key itself; None for any other."""
    plain = " ".join(name.lower().replace("_", " ").split())
    if plain in SETTABLE:
        return SETTABLE[plain]
    return next((key for key in SETTABLE.values() if plain in {key, key.replace("_", " ")}), None)


def words_of(key: str) -> str:
    """What people call a key of SETTABLE."""
    return next((words for words, one in SETTABLE.items() if one == key), key)


def checked(key: str, value: object, where: str = "the question") -> Scalar:
    """`value` in the setting's own type and range: a text may stand for a number, as in the environment. Raises
    ConfigValueInvalid (KF32)."""
    given = value.strip().lower() if isinstance(value, str) and FIELDS[key] is bool else value
    given = {"on": True, "off": False, "yes": True, "no": False}.get(given, given) if isinstance(given, str) else given
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, int | float) and not isinstance(given, bool) and _takes_text(key):
        given = f"{given}"
    try:
        fit: Scalar = msgspec.convert(given, FIELDS[key], strict=isinstance(given, bool))
    except msgspec.ValidationError as error:
        raise ConfigValueInvalid(key=key, where=where, detail=str(error)) from error
    return fit


def _takes_text(key: str) -> bool:
    """A name may look like a number."""
    try:
        return isinstance(msgspec.convert("1", FIELDS[key]), str)
    except msgspec.ValidationError:
        return False
