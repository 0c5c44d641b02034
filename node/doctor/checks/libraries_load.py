from __future__ import annotations

from node.doctor.check import Context
from node.errors import LibraryIllegal
from node.hardware.guard import ensure_loads, libraries


class LibrariesLoad:
    title = "The libraries were built for this processor"
    error = LibraryIllegal

    def run(self, context: Context) -> str:
        del context
        names = ensure_loads(libraries())
        return f"{', '.join(names) or 'None is installed'}."
