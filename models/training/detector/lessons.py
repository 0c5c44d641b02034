"""Which pictures the network sees at which step: a function of seed, step and process, so that a run that was stopped
goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.training.detector import augment
from models.training.detector.augment import Pair
from models.training.detector.composites import CutOut, paste_some
from models.training.detector.data import Image, Picture, Source
from models.training.detector.targets import Targets

# The detector runs at 416; now and then smaller, which is quicker.
SIDES = (352, 416, 416)
PASTE_SHARE = 0.4
# One view of one picture as it comes, one view zoomed, or else a mosaic of several.
PLAIN_SHARE, ZOOMED_SHARE = 0.25, 0.35
ZOOM = (0.3, 1.6)
# Pictures along each side of a mosaic; those of many are kept at a smaller size.
ACROSS = (2, 2, 3, 4, 5)
SMALL_PX = 200
# Rendered pictures have weather of their own.
RENDERED_WEATHER = (0.12, 0.05, 0.03)


@dataclass(frozen=True)
class Lesson:
    picture: Picture
    targets: Targets


class Lessons:
    def __init__(self, lessons: Mapping[Source, Sequence[Lesson]], cuts: Sequence[CutOut], seed: int) -> None:
        self._sources = [source for source, own in lessons.items() if own]
        self._shares = np.array([source.share for source in self._sources])
        self._shares /= self._shares.sum()
        self._lessons = lessons
        self._cuts = cuts
        self._seed = seed
        # Mosaics of many pictures take them from here: decoding each would take longer than learning from them.
        self._small: dict[Path, Pair] = {}

    def batch(self, step: int, process: int, size: int) -> tuple[list[Image], list[Targets]]:
        """`size` pictures, all of one side, with their targets."""
        side = int(np.random.default_rng((self._seed, step)).choice(SIDES))
        random = np.random.default_rng((self._seed, step, process))
        pairs = [self.compose(side, random) for _ in range(size)]
        return [image for image, _ in pairs], [targets for _, targets in pairs]

    def compose(self, side: int, random: np.random.Generator) -> Pair:
        source = self._sources[random.choice(len(self._sources), p=self._shares)]
        lot = random.random()
        if lot < PLAIN_SHARE:
            image, targets = augment.letterbox(*self._mirrored(*self._draw(source, random), random), side)
        elif lot < PLAIN_SHARE + ZOOMED_SHARE:
            image, targets = augment.random_view(*self._draw(source, random), side, random, ZOOM)
        else:
            across = int(random.choice(ACROSS))
            most_px = SMALL_PX if side / across < SMALL_PX else None
            image, targets = augment.mosaic(lambda: self._draw(source, random, most_px), side, random, across)
        if self._cuts and random.random() < PASTE_SHARE:
            image, targets = paste_some(image, targets, self._cuts, random)
        if random.random() < 0.7:
            image = augment.colours(image, random)
        shares = RENDERED_WEATHER if source.complete else augment.WEATHER_SHARES
        image, targets = augment.weather(image, targets, random, shares)
        return augment.camera_faults(image, random), targets

    def _draw(self, source: Source, random: np.random.Generator, most_px: int | None = None) -> Pair:
        own = self._lessons[source]
        lesson = own[int(random.integers(len(own)))]
        if most_px is None:
            return lesson.picture.load(), lesson.targets
        if lesson.picture.path not in self._small:
            self._small[lesson.picture.path] = augment.shrunk(lesson.picture.load(), lesson.targets, most_px)
        return self._small[lesson.picture.path]

    @staticmethod
    def _mirrored(image: Image, targets: Targets, random: np.random.Generator) -> Pair:
        if random.random() < 0.5:
            return image, targets
        width, height = image.shape[1], image.shape[0]
        return image[:, ::-1], targets.moved(np.array([[-1.0, 0, width], [0, 1.0, 0]]), width, height)
