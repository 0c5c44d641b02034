"""Where the simulated city's streets run: a grid of junctions, each with four arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["north", "east", "south", "west"]
SIDES: dict[Side, tuple[int, int]] = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
OPPOSITE: dict[Side, Side] = {"north": "south", "south": "north", "east": "west", "west": "east"}
# Where a driver who comes from a side leaves to, by turn.
TURNS: dict[Side, dict[str, Side]] = {
    "north": {"s": "south", "l": "east", "r": "west"},
    "east": {"s": "west", "l": "south", "r": "north"},
    "south": {"s": "north", "l": "west", "r": "east"},
    "west": {"s": "east", "l": "north", "r": "south"},
}
STREETS = ("mill", "station", "harbour", "market", "castle", "garden", "school", "bridge")


@dataclass(frozen=True)
class Arm:
    """One side of one junction. approach: the id of the road into the junction there; leaving: of the road out of it,
    which is another junction's approach or, at the city's edge, `…-exit`. outer: (east, north) of the far end."""

    junction: str
    side: Side
    approach: str
    leaving: str
    outer: tuple[float, float]
    at_edge: bool


@dataclass(frozen=True)
class CityLayout:
    """columns x rows junctions, spacing_m apart; arms at the edge are edge_m long. Lanes from the kerb: right and
    straight, straight, left; roads that leave the city have two."""

    columns: int = 2
    rows: int = 1
    spacing_m: float = 260.0
    edge_m: float = 240.0
    speed_mps: float = 13.9
    lane_width_m: float = 3.3

    lanes_in = 3
    lanes_out = 2
    turns = ("sr", "s", "l")

    def junctions(self) -> dict[str, tuple[float, float]]:
        """Each junction's id and its (east, north) in metres."""
        return {
            self._name(column, row): (column * self.spacing_m, row * self.spacing_m)
            for row in range(self.rows)
            for column in range(self.columns)
        }

    def arms(self) -> list[Arm]:
        arms = []
        for row in range(self.rows):
            for column in range(self.columns):
                name = self._name(column, row)
                for side, (dx, dy) in SIDES.items():
                    inside = 0 <= column + dx < self.columns and 0 <= row + dy < self.rows
                    reach = self.spacing_m if inside else self.edge_m
                    outer = (column * self.spacing_m + dx * reach, row * self.spacing_m + dy * reach)
                    leaving = (
                        f"{self._name(column + dx, row + dy)}-{OPPOSITE[side]}" if inside else f"{name}-{side}-exit"
                    )
                    arms.append(Arm(name, side, f"{name}-{side}", leaving, outer, not inside))
        return arms

    def _name(self, column: int, row: int) -> str:
        street = STREETS[column % len(STREETS)] + (str(column // len(STREETS) + 1) if column >= len(STREETS) else "")
        return street if self.rows == 1 else f"{street}-{row + 1}"
