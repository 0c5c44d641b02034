from __future__ import annotations

import os
import tempfile
from pathlib import Path

from node.doctor.check import Context
from node.errors import HomeNotWritable


class HomeWritable:
    title = "The state folder can be written"
    error = HomeNotWritable

    def run(self, context: Context) -> str:
        if not context.home.exists():
            return self._could_be_made(context.home)
        try:
            with tempfile.TemporaryFile(dir=context.home) as probe:
                probe.write(b"kinflow")
        except OSError as error:
            raise HomeNotWritable(path=str(context.home), detail=error.strerror) from error
        return f"{context.home} can be written."

    def fix(self, context: Context) -> str:
        """Make the folder, or give its owner the rights that its owner lost."""
        try:
            context.home.mkdir(parents=True, exist_ok=True)
            context.home.chmod(0o700)
        except OSError as error:
            raise HomeNotWritable(path=str(context.home), detail=error.strerror) from error
        return f"{context.home} is its owner's to write again."

    def _could_be_made(self, home: Path) -> str:
        parent = next(folder for folder in home.parents if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise HomeNotWritable(path=str(home), detail=f"it is not there, and {parent} is not this user's to write")
        return f"{home} is made at the first run."
