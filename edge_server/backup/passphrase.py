"""Where a passphrase comes from when nobody is there to type it."""

from __future__ import annotations

from pathlib import Path

from edge_server.errors import BackupFailed


def from_file(source: Path | str) -> str:
    """The first line of a file, or a line itself, without its end. Raises BackupFailed (KF228)."""
    if isinstance(source, str):
        return source.rstrip("\r\n")
    try:
        lines = source.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupFailed(path=source.parent, detail=f"the key file {source} can't be read") from error
    return lines[0] if lines else ""
