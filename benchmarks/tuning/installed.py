"""`python -m benchmarks.tuning.installed NAME ...`: megabytes on the disk of packages with all that they need."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement


def installed_mb(names: list[str]) -> float:
    """Of what is installed in this environment; what isn't counts nothing."""
    total, seen, queue = 0, set[str](), list(names)
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        for path in found.files or ():
            located = found.locate_file(path)
            if located.is_file():  # type: ignore[attr-defined]
                total += located.stat().st_size  # type: ignore[attr-defined]
        for text in found.requires or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                queue.append(need.name)
    return round(total / 1e6, 1)


if __name__ == "__main__":
    print(installed_mb(sys.argv[1:]))
