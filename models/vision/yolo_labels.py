"""Labels in YOLO's form: a line for each thing, `class x y width height`, the last four as shares of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Sets round their numbers, so that a box may end a little outside.
ROUNDING = 0.01


class LineWrong(ValueError):
    """line: its number, from 1. is_class: it is the number of its class that does not fit."""

    def __init__(self, line: int, detail: str, is_class: bool) -> None:
        super().__init__(detail)
        self.line, self.is_class = line, is_class


class ClassWrong(ValueError):
    """The number of a class that has no name."""


@dataclass(frozen=True)
class Thing:
    """One labelled thing: its class's number, and its box's middle and size as shares of the picture's width and
    height."""

    number: int
    x: float
    y: float
    width: float
    height: float

    def box(self, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels, cut off at the picture's edges."""
        return (
            max(0.0, self.x - self.width / 2) * width_px,
            max(0.0, self.y - self.height / 2) * height_px,
            min(1.0, self.x + self.width / 2) * width_px,
            min(1.0, self.y + self.height / 2) * height_px,
        )


def things(text: str, classes: int) -> tuple[Thing, ...]:
    """Of a whole file; none for an empty one. Raises LineWrong."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(_thing(line, classes))
            except ValueError as error:
                raise LineWrong(number, str(error), isinstance(error, ClassWrong)) from error
    return tuple(found)


def _thing(line: str, classes: int) -> Thing:
    words = line.split()
    if len(words) != 5:
        raise ValueError(f"{len(words)} numbers where 5 belong")
    number = int(words[0]) if words[0].isdecimal() else -1
    if not 0 <= number < classes:
        raise ClassWrong(f"the class is {words[0]!r}, and there are names for 0 to {classes - 1}")
    try:
        x, y, width, height = (float(word) for word in words[1:])
    except ValueError:
        raise ValueError(f"{' '.join(words[1:])!r} are not four numbers") from None
    if not all(math.isfinite(one) for one in (x, y, width, height)):
        raise ValueError("a number is not finite")
    most = 1 + ROUNDING
    if not (0 < width <= most and 0 < height <= most and 0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"the box {' '.join(words[1:])} does not lie in the picture")
    return Thing(number, x, y, width, height)
