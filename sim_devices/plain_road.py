"""A second, simpler painter: vehicles are boxes on a straight road, with the truth beside each picture.

What is fitted to the renderer's pictures is shown some of these too, and what is tested on these is not the renderer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

CAR = (1.8, 4.5, 1.45)  # width, length, height in metres


@dataclass
class DrawnRoad:
    """A pinhole camera over a straight road. Vehicles are (x, y, width, length, height, shade): x of the middle, y of
    the near end, in road metres."""

    width_m: float = 10.5
    length_m: float = 60.0
    height_m: float = 7.0
    distance_m: float = 14.0
    aside_m: float = 0.0
    size: tuple[int, int] = (640, 360)
    fog: float = 0.0
    night: bool = False
    noise: float = 2.5
    seed: int = 0
    lane_marks: bool = True
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        w, h = self.size
        focal = 0.85 * w
        camera = np.array([self.width_m / 2 + self.aside_m, -self.distance_m, self.height_m])
        target = np.array([self.width_m / 2, 0.25 * self.length_m, 0.0])
        forward = (target - camera) / np.linalg.norm(target - camera)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        self._rotation, self._camera = np.stack([right, down, forward]), camera
        self._k = np.array([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1.0]])
        self._texture = self.rng.normal(0, 3.0, (h, w)).astype(np.float32)

    def project(self, points: np.ndarray) -> np.ndarray:
        rays = (np.asarray(points, float) - self._camera) @ self._rotation.T @ self._k.T
        return rays[:, :2] / rays[:, 2:]

    def depth(self, points: np.ndarray) -> np.ndarray:
        return ((np.asarray(points, float) - self._camera) @ self._rotation.T)[:, 2]

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        w, v = self.width_m, self.length_m
        return tuple(map(tuple, self.project([[0, 0, 0], [w, 0, 0], [w, v, 0], [0, v, 0]]).tolist()))

    def truth(self, vehicles: list[tuple]) -> float:
        """Occupancy: footprint inside of the rectangle / its area."""
        inside = 0.0
        for x, y, w, length, *_ in vehicles:
            across = min(x + w / 2, self.width_m) - max(x - w / 2, 0)
            along = min(y + length, self.length_m) - max(y, 0)
            inside += max(across, 0) * max(along, 0)
        return inside / (self.width_m * self.length_m)

    def draw(self, vehicles: list[tuple] = (), shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        w, h = self.size
        image = np.full((h, w, 3), 120.0, np.float32)
        horizon = int(self.project([[self.width_m / 2, 5000.0, 0.0]])[0, 1])
        image[: max(0, horizon)] = 190
        ground = [[-2, -8, 0], [self.width_m + 2, -8, 0], [self.width_m + 2, 400, 0], [-2, 400, 0]]
        image[max(0, horizon) :] = (70, 105, 85)
        image = self._fill(image, ground, (88, 88, 88))
        for x in (0.0, self.width_m):
            image = self._fill(
                image, [[x - 0.1, -8, 0], [x + 0.1, -8, 0], [x + 0.1, 300, 0], [x - 0.1, 300, 0]], (205,) * 3
            )
        if self.lane_marks:
            for lane in range(1, round(self.width_m / 3.5)):
                for y in range(0, 120, 9):
                    x = lane * 3.5
                    image = self._fill(
                        image,
                        [[x - 0.07, y, 0], [x + 0.07, y, 0], [x + 0.07, y + 3, 0], [x - 0.07, y + 3, 0]],
                        (205,) * 3,
                    )
        image[:, :] += self._texture[:, :, None]
        if self.night:
            image *= 0.16
        if self.fog:
            image = self._haze(image, horizon)
        for vehicle in sorted(vehicles, key=lambda one: -one[1]):
            image = self._vehicle(image, vehicle)
        image += self.rng.normal(0, self.noise, image.shape)
        picture = np.clip(image, 0, 255).astype(np.uint8)
        if shift != (0, 0):
            picture = cv2.warpAffine(
                picture, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), self.size, borderMode=cv2.BORDER_REFLECT
            )
        return picture

    def _haze(self, image: np.ndarray, horizon: int) -> np.ndarray:
        rows = np.arange(self.size[1], dtype=np.float32)
        depth = np.clip(0.9 * self.size[0] * self.height_m / np.maximum(rows - horizon, 1.0), 0, 500)
        clear = np.exp(-self.fog * depth)[:, None, None]
        return image * clear + 190 * (1 - clear)

    def _tone(self, shade: tuple, at: list) -> tuple:
        if self.night:
            shade = tuple(0.22 * one for one in shade)
        if self.fog:
            clear = float(np.exp(-self.fog * self.depth([at])[0]))
            shade = tuple(one * clear + 190 * (1 - clear) for one in shade)
        return tuple(float(one) for one in shade)

    def _fill(self, image: np.ndarray, corners: list, shade: tuple) -> np.ndarray:
        if (self.depth(corners) < 0.5).any():
            return image
        points = np.round(self.project(corners) * 16).astype(np.int32)
        return cv2.fillConvexPoly(np.ascontiguousarray(image), points, tuple(map(float, shade)), cv2.LINE_AA, 4)

    def _vehicle(self, image, vehicle):
        x, y, w, length, height, shade = vehicle
        a, b, near, far = x - w / 2, x + w / 2, y, y + length
        if near < -self.distance_m + 2:
            return image
        body = height * 0.6
        base = np.array(shade, float)
        side = a if self._camera[0] < x else b
        tone = lambda k: self._tone(tuple(np.clip(base * k, 0, 255)), [x, near, 0.5])  # noqa: E731
        dark = self._tone((22, 22, 26), [x, near, 0.5])
        image = self._fill(image, [[side, near, 0], [side, far, 0], [side, far, height], [side, near, body]], tone(0.7))
        image = self._fill(
            image,
            [[a, near + 1.6, height], [b, near + 1.6, height], [b, far - 0.5, height], [a, far - 0.5, height]],
            tone(1.05),
        )
        image = self._fill(
            image,
            [[a, near + 0.9, body], [b, near + 0.9, body], [b, near + 1.6, height], [a, near + 1.6, height]],
            dark,
        )
        image = self._fill(
            image, [[a, near, body], [b, near, body], [b, near + 0.9, body], [a, near + 0.9, body]], tone(1.0)
        )
        image = self._fill(image, [[a, near, 0.25], [b, near, 0.25], [b, near, body], [a, near, body]], tone(0.85))
        image = self._fill(
            image,
            [[a, near, 0], [b, near, 0], [b, near, 0.25], [a, near, 0.25]],
            self._tone((15, 15, 15), [x, near, 0]),
        )
        if self.night:
            for lamp in (a + 0.25, b - 0.25):
                px, py = self.project([[lamp, near, 0.6]])[0]
                image = cv2.circle(np.ascontiguousarray(image), (round(px), round(py)), 2, (235.0, 240.0, 245.0), -1)
        return image
