"""The command `set-setting`: an edge server asks this device to change one of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from node.config.change import change
from node.config.settable import SETTABLE, checked
from protocol.errors import KinflowError

SET_SETTING = "set-setting"


def set_setting(home: Path, arguments: Mapping[str, str | int | float | bool]) -> str | None:
    """Write it into kinflow.toml, for the next start. Returns why not, None once it is done. Only what SETTABLE names
    can be changed so, whoever asks."""
    key, value = str(arguments.get("name", "")), arguments.get("value", "")
    if key not in SETTABLE.values():
        return f"{key[:60]!r} is no setting that can be changed by a command"
    try:
        change(home, key, checked(key, value, "the command"))
    except KinflowError as error:
        return f"{error.code}: {error.cause_text}"[:200]
    return None
