"""A folder with one folder for each class: FOLDER/CLASS/FILE."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from models.errors import DataUnusable
from models.tuning.data.examples import Examples
from models.tuning.graph import Array
from models.tuning.losses import LABELS

# More than this share unreadable is no accident.
MOST_LEFT_OUT = 0.2


def labelled(folder: Path, endings: Collection[str], read: Callable[[Path], Array], input_name: str) -> Examples:
    """Every file is read once here, so that a damaged one is told before training and not within it. Raises
    DataUnusable (KF371) for no files, one class only, or too many that can't be read."""
    if not folder.is_dir():
        raise DataUnusable(path=folder, detail="it is no folder")
    labels = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    files: list[tuple[Path, int]] = []
    left_out: list[str] = []
    for number, label in enumerate(labels):
        for path in sorted((folder / label).rglob("*")):
            if path.suffix.lower() not in endings or not path.is_file():
                continue
            try:
                read(path)
            except ValueError as error:
                left_out.append(f"{path.relative_to(folder)}: {error}")
            else:
                files.append((path, number))
    found = {number for _, number in files}
    if not files and not left_out:
        raise DataUnusable(path=folder, detail=f"it holds no files {', '.join(sorted(endings))} in folders of classes")
    if len(left_out) > MOST_LEFT_OUT * (len(files) + len(left_out)):
        raise DataUnusable(path=folder, detail=f"{len(left_out)} files can't be read, the first: {left_out[0]}")
    if len(found) < 2:
        raise DataUnusable(path=folder, detail=f"it holds one class only ({labels[min(found)]}): nothing to tell apart")
    empty = [label for number, label in enumerate(labels) if number not in found]
    if empty:
        raise DataUnusable(path=folder, detail=f"the class {empty[0]!r} has no files")

    def load(number: int) -> dict[str, Array]:
        path, label = files[number]
        return {input_name: read(path), LABELS: np.asarray(label, np.int64)}

    keys = tuple(str(path.relative_to(folder)) for path, _ in files)
    classes = tuple(number for _, number in files)
    return Examples(keys, load, tuple(labels), classes, tuple(left_out))
