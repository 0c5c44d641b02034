"""Fit the lane network to rendered roads: `python -m models.training.occupancy.fit DATA OUT --steps N`.

DATA: a folder of one .npz a scene, as benchmarks.eval.index_scenes writes them; more may come while this runs. OUT gets
the weights (.npz) and what a later run starts from (.pt). Needs torch, which the product does not.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.occupancy.hold_out import is_held_out
from models.occupancy.network import DILATIONS, PLANES, SPREADS

HIDDEN, SPREAD_HIDDEN = 16, 12
BATCH = 12
THIRDS = 3
# Share of the samples that are made empty.
EMPTIED = 0.06
_RATE, _SPREAD_RATE, _LAST_RATE = 4e-3, 3e-3, 2e-5
# The interval is learnt once the value is roughly there.
_SPREAD_FROM = 0.4
_TELL_EVERY_S = 150.0
# Held-out frames that the intervals shall hold.
_INSIDE = 0.92
_SEEN = [PLANES.index(name) for name in ("left", "middle", "right", "signed", "moved", "covered")]
_SCALED = [PLANES.index(name) for name in ("left", "middle", "right", "signed", "moved", "strong", "empty")]
_GEOMETRY = [
    PLANES.index(name) for name in ("distance", "resolution", "height", "lane_width", "strong", "noise", "haze")
]
_LEFT, _RIGHT, _ASIDE, _WITHIN = (PLANES.index(name) for name in ("left", "right", "aside", "within"))
_CLASS_BOUNDS = torch.tensor([0.25, 0.5, 0.8]) * 0.35


@dataclass(frozen=True)
class Scene:
    """planes: (samples, planes, lanes, rows). footprint, standing, vehicles: (samples, lanes, rows)."""

    planes: Tensor
    footprint: Tensor
    standing: Tensor
    vehicles: Tensor
    condition: str
    held_out: bool


@dataclass(frozen=True)
class Part:
    """Of a third of a lane, a lane or the whole approach: estimate and truth of its occupancy, and what its interval is
    told from, one more dimension."""

    name: str
    value: Tensor
    truth: Tensor
    told: Tensor


class LaneNetwork(nn.Module):
    """The twin of models.occupancy.network.Network."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(len(PLANES), HIDDEN, 1)
        self.blocks = nn.ModuleList(
            nn.Conv2d(HIDDEN, HIDDEN, 3, padding=(1, rows), dilation=(1, rows)) for rows in DILATIONS
        )
        self.leave = nn.Conv2d(HIDDEN, 3, 1)
        self.spread = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(HIDDEN + 2, SPREAD_HIDDEN), nn.ReLU(), nn.Linear(SPREAD_HIDDEN, 2))
                for name in SPREADS
            }
        )

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """The three output planes before their last function, and the hidden ones."""
        x = F.relu(self.enter(planes))
        for block in self.blocks:
            x = x + F.relu(block(x))
        return self.leave(x), x

    def offsets(self, part: Part) -> Tensor:
        """How far the 90 % interval reaches below and above, (..., 2)."""
        return F.softplus(self.spread[part.name](part.told))

    def weights(self) -> dict[str, Any]:
        """As weights/lanes.npz holds them, but for the scales."""
        state = {name: value.detach().numpy() for name, value in self.state_dict().items()}
        named = {"in.weight": state["enter.weight"][:, :, 0, 0], "in.bias": state["enter.bias"]}
        named |= {"out.weight": state["leave.weight"][:, :, 0, 0], "out.bias": state["leave.bias"]}
        for number in range(len(DILATIONS)):
            named |= {f"block{number}.{part}": state[f"blocks.{number}.{part}"] for part in ("weight", "bias")}
        for name in SPREADS:
            for layer in (0, 2):
                for part in ("weight", "bias"):
                    named[f"{name}.{layer}.{part}"] = state[f"spread.{name}.{layer}.{part}"]
        return named


def load(folder: Path, known: dict[str, Scene]) -> dict[str, Scene]:
    """The scenes of a folder by their names, those that are known already as they are."""
    scenes = dict(known)
    for path in sorted(folder.glob("*.npz")):
        if path.name in scenes or ".part" in path.name:
            continue
        with np.load(path) as stored:
            x, *truth = (torch.from_numpy(stored[name]) for name in ("x", "footprint", "standing", "vehicles"))
            held_out = is_held_out(int(stored["seed"]))
            scenes[path.name] = Scene(x, truth[0], truth[1], truth[2], str(stored["condition"]), held_out)
    return scenes


def augmented(x: Tensor, targets: list[Tensor], random: np.random.Generator) -> tuple[Tensor, list[Tensor]]:
    """Mirrored, or seen stronger or weaker, or from elsewhere: none changes what stands there."""

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, shape).astype(np.float32))

    x = x.clone()
    x[:, _SCALED] *= drawn(0.75, 1.3, len(x), 1, 1, 1)
    if random.random() < 0.5:
        x = x.flip(2)
        x[:, [_LEFT, _RIGHT]] = x[:, [_RIGHT, _LEFT]]
        x[:, _ASIDE] *= -1
        targets = [one.flip(1) for one in targets]
    x[:, _GEOMETRY] *= drawn(0.85, 1.15, 1, len(_GEOMETRY), 1, 1)
    # Where nothing deviates from the empty road nothing stands, whatever the camera and the air.
    empty = torch.from_numpy(random.random(len(x)) < EMPTIED)
    if empty.any():
        inner = x[empty]
        faint = random.exponential(0.02, (len(inner), len(_SEEN), *x.shape[2:]))
        inner[:, _SEEN] = torch.from_numpy(faint.astype(np.float32))
        inner[:, _GEOMETRY] *= drawn(0.4, 2.0, len(inner), len(_GEOMETRY), 1, 1)
        x[empty] = inner
        targets = [torch.where(empty[:, None, None], torch.zeros_like(one), one) for one in targets]
    return x, targets


def loss(net: LaneNetwork, x: Tensor, footprint: Tensor, standing: Tensor, vehicles: Tensor) -> Tensor:
    """Cross-entropy of the cells, and the absolute errors of each lane's and the approach's occupancy."""
    out, _ = net(x)
    within = x[0, _WITHIN, 0]
    area = within.sum()
    cells = (footprint / within.clamp(min=1e-3)).clamp(0, 1)
    entropy = F.binary_cross_entropy_with_logits(out[:, 0], cells, reduction="none")
    cell = (entropy * within).sum() / (area * footprint.shape[0] * footprint.shape[1])
    off = (torch.sigmoid(out[:, 0]) * within).sum(-1) - footprint.sum(-1)
    lane, whole = off.abs().mean() / area, off.mean(1).abs().mean() / area
    # Squared too: what hides behind lorries is rare and large, and a median would leave it out.
    squared = (off / area).square().mean() + 2 * (off.mean(1) / area).square().mean()
    stands = (standing / footprint.clamp(min=1e-3)).clamp(0, 1)
    entropy = F.binary_cross_entropy_with_logits(out[:, 1], stands, reduction="none")
    still = (entropy * footprint).sum() / footprint.sum().clamp(min=1)
    many = torch.exp(out[:, 2].clamp(max=3.0)) * (within > 0)
    count = (many.sum(-1) - vehicles.sum(-1)).abs().mean()
    poisson = (many - vehicles * out[:, 2]).mean()
    return cell + 4 * lane + 6 * whole + 30 * squared + 0.15 * still + 0.03 * count + 0.3 * poisson


def spread_loss(net: LaneNetwork, x: Tensor, footprint: Tensor) -> Tensor:
    """Pinball losses (Koenker and Bassett 1978) of the 5 % and 95 % quantiles; the maps are left as they are."""
    total = torch.zeros(())
    for part in parts(net, x, footprint):
        offsets = net.offsets(part)
        for side, (sign, share) in enumerate(((-1, 0.05), (1, 0.95))):
            off = part.truth - (part.value + sign * offsets[..., side])
            total = total + torch.maximum(share * off, (share - 1) * off).mean()
    return total


@torch.no_grad()
def parts(net: LaneNetwork, x: Tensor, footprint: Tensor) -> list[Part]:
    out, hidden = net(x)
    within = x[0, _WITHIN, 0]
    area, begins = within.sum(), torch.cumsum(within, 0) - within
    ends = torch.arange(THIRDS + 1) / THIRDS * area
    thirds = torch.stack(
        [
            (torch.minimum(begins + within, ends[k + 1]) - torch.maximum(begins, ends[k])).clamp(min=0)
            for k in range(THIRDS)
        ]
    )
    share = thirds / within.clamp(min=1e-6)
    seen = torch.sigmoid(out[:, 0]) * within
    third, lane = (
        [torch.einsum(form, rows, over) for rows in (seen, footprint)]
        for form, over in (("blr,kr->blk", share / (area / THIRDS)), ("blr,r->bl", torch.ones_like(within) / area))
    )
    of_thirds = torch.einsum("bclr,kr->blkc", hidden, thirds) / (area / THIRDS)
    of_lanes = torch.einsum("bclr,r->blc", hidden, within) / area

    def part(name: str, pair: list[Tensor], pooled: Tensor) -> Part:
        value, truth = pair
        per_lane = torch.full((*value.shape, 1), 1 / seen.shape[1])
        return Part(name, value, truth, torch.cat([pooled, value[..., None], per_lane], -1))

    whole = [one.mean(1) for one in lane]
    return [part("third", third, of_thirds), part("lane", lane, of_lanes), part("whole", whole, of_lanes.mean(1))]


@torch.no_grad()
def judge(net: LaneNetwork, scenes: list[Scene]) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Figures by condition and part, and the factor on each part's intervals that makes them hold _INSIDE."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    needed: dict[str, list[Tensor]] = {name: [] for name in SPREADS}
    for scene in scenes:
        for part in parts(net, scene.planes.float(), scene.footprint.float()):
            offsets, off = net.offsets(part), part.truth - part.value
            ratio = torch.where(off < 0, -off / offsets[..., 0], off / offsets[..., 1])
            needed[part.name].append(ratio.flatten())
            classes = [torch.bucketize(one, _CLASS_BOUNDS) for one in (part.value, part.truth)]
            figures = (off.abs(), -off, (ratio <= 1).float(), (classes[0] == classes[1]).float(), offsets)
            key = f"{scene.condition}/{part.name}"
            rows.setdefault(key, []).append(tuple(float(one.mean()) for one in figures))
    names = ("mae", "bias", "inside", "class_accuracy", "half_width")
    told = {
        key: dict(zip(names, np.mean(one, axis=0).round(4).tolist(), strict=True)) | {"scenes": len(one)}
        for key, one in sorted(rows.items())
    }
    scales = {name: float(torch.cat(one).quantile(_INSIDE)) if one else 1.0 for name, one in needed.items()}
    return told, scales


def save(net: LaneNetwork, out: Path, scales: dict[str, float]) -> None:
    torch.save(net.state_dict(), out.with_suffix(".pt"))
    with out.open("wb") as file:
        arrays = net.weights() | {f"{name}.scale": np.float32(scale) for name, scale in scales.items()}
        np.savez_compressed(file, **arrays)


def fit(data: Path, out: Path, total: int, rate: float, start: Path | None) -> dict[str, dict[str, float]]:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random, net = np.random.default_rng(1), LaneNetwork()
    if start:
        net.load_state_dict(torch.load(start))
    main_part = [one for name, one in net.named_parameters() if not name.startswith("spread")]
    optimizer = torch.optim.AdamW(main_part, lr=rate, weight_decay=1e-3)
    side = torch.optim.AdamW(net.spread.parameters(), lr=_SPREAD_RATE)
    told_s, steps, done = time.monotonic(), 0, 0.0
    scenes: dict[str, Scene] = {}
    while done < 1.0:
        scenes = load(data, scenes)
        learnt = [one for one in scenes.values() if not one.held_out]
        for number in random.permutation(len(learnt)):
            done = min(1.0, steps / total)
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, steps / 50 + 0.02) * (1 - done) + _LAST_RATE
            for group in side.param_groups:
                group["lr"] = _SPREAD_RATE * (1 - done) + _LAST_RATE
            one = learnt[number]
            pick = torch.from_numpy(random.permutation(len(one.planes))[:BATCH])
            truth = [target[pick].float() for target in (one.footprint, one.standing, one.vehicles)]
            x, truth = augmented(one.planes[pick].float(), truth, random)
            optimizer.zero_grad()
            loss(net, x, *truth).backward()
            torch.nn.utils.clip_grad_norm_(main_part, 1.0)
            optimizer.step()
            if done > _SPREAD_FROM:
                side.zero_grad()
                spread_loss(net, x, truth[0]).backward()
                side.step()
            steps += 1
        if time.monotonic() - told_s > _TELL_EVERY_S or done >= 1.0:
            told_s = time.monotonic()
            figures, scales = judge(net, [one for one in scenes.values() if one.held_out])
            save(net, out, scales)
            whole = {key: tuple(value.values())[:4] for key, value in figures.items() if key.endswith("whole")}
            print(f"{steps} steps, {len(learnt)} scenes, {done:.2f}: {whole}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=20_000, help="Of 12 moments of one scene each.")
    parser.add_argument("--rate", type=float, default=_RATE, help="The first; it falls to nought.")
    parser.add_argument("--start", type=Path, help="The .pt of an earlier run.")
    given = parser.parse_args()
    print(json.dumps(fit(given.data, given.out, given.steps, given.rate, given.start), indent=1))


if __name__ == "__main__":
    main()
