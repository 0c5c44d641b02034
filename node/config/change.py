"""Change one setting in kinflow.toml and leave every other line of it as it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from node.config.load import FILE_NAME, load
from node.config.settable import Scalar
from node.errors import ConfigUnreadable

_HEADER = re.compile(r"\s*\[{1,2}\s*([\w.-]+)\s*\]{1,2}")


def change(home: Path, key: str, value: Scalar) -> None:
    """Write `key` into the kinflow.toml of `home`; it is replaced at once and whole, and stays as it was where the new
    one could not be loaded. Raises ConfigUnreadable (KF30) or what `load` does."""
    path = home / FILE_NAME
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        changed = with_setting(text, key, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{FILE_NAME}.part")
        part.unlink(missing_ok=True)
        # It may hold a broker's password: for its owner only, from the first byte.
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())
        try:
            if load(home, environment={}, file=part).value(key) != value:
                raise ConfigUnreadable(
                    path=str(path), detail=f"{key} stands there in a form that is edited by hand only"
                )
        except BaseException:
            part.unlink()
            raise
        part.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigUnreadable(path=str(path), detail=str(error)) from error


def with_setting(text: str, key: str, value: Scalar) -> str:
    """The text of a settings file with `key` set: its line replaced where there is one, else added to its table."""
    section, _, name = key.partition(".")
    line = f"{name} = {toml_of(value)}"
    lines, table, end = text.splitlines(), "", None
    for number, old in enumerate(lines):
        header = _HEADER.match(old)
        if header:
            table = header[1]
        if table == section and re.match(rf"\s*{re.escape(name)}\s*=", old):
            lines[number] = line
            break
        dotted = not table and re.match(rf"\s*{re.escape(key)}\s*=", old)
        if dotted:
            lines[number] = f"{section}.{line}"
            break
        if table == section and old.strip() and not old.lstrip().startswith("#"):
            end = number
    else:
        if end is None:
            lines += [*([""] if lines else []), f"[{section}]", line]
        else:
            lines.insert(end + 1, line)
    return "\n".join(lines) + "\n"


def toml_of(value: Scalar) -> str:
    """JSON's texts, numbers, true and false are TOML's as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
