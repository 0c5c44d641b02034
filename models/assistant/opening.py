"""Find and open what understands questions on this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.assistant.understanding.choice import Understanding
from models.assistant.understanding.confidence import read_calibration
from models.assistant.understanding.heads import Heads
from models.assistant.understanding.kin import KinUnderstanding
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.errors import AssistantUntrained
from models.family.manifest import read_manifest
from models.family.shipped import FOLDER, trust_in, unfold

HEADS, CALIBRATION = "heads.npz", "understanding.json"
# A question of this many tokens is some 1,500 letters long.
CONTEXT_TOKENS = 512


def open_understanding(home: Path, folder: Path = FOLDER) -> Understanding:
    """The device member of the family that Kinflow ships, with its heads. home: the state folder. Raises
    AssistantUntrained (KF486) where they are not there, FamilyDamaged (KF480), and as `load`."""
    try:
        heads, calibration = Heads(folder / HEADS), read_calibration(folder / CALIBRATION)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise AssistantUntrained(detail=str(error)) from error
    place = unfold(home, folder)
    [member] = [one for one in read_manifest(place).members if one.tier == "device"]
    weights = load(place / str(member.file), trust_in(home, folder), accelerate=False)
    options = Options(
        context_tokens=CONTEXT_TOKENS, batch_tokens=CONTEXT_TOKENS, threads=1, tap=weights.blocks - 1, ends_at_tap=True
    )
    return KinUnderstanding(LlamaEngine(weights, options), heads, calibration)
