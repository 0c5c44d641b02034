"""The family that comes with Kinflow: one file of weights, cut into members on the machine that first needs them.

It is brought in Q8_0 and kept there in F16 (widen.py says why): twice the size, which is little, and hardly slower."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from models.engine.trust import Trust
from models.errors import FamilyDamaged
from models.family.manifest import NAME, Calibration, Manifest, Profile, Sha256, read_manifest, write_manifest
from models.family.splitting import split
from protocol.errors import KinflowError

FOLDER = Path(__file__).parent / "kin"
FACTS, WEIGHTS = "kin.toml", "kin.gguf"


class MemberFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """As in `Member` (manifest.py). independent_loss: of a model of the same size that was trained alone."""

    loss: float
    independent_loss: float | None = None
    profiles: dict[str, Profile] = {}
    calibration: Calibration = Calibration()


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can't be told from the weights. sha256: of the family file. measured_on: the text that losses are of."""

    version: str
    sha256: Sha256
    measured_on: str
    members: dict[str, MemberFacts]
    credits: tuple[str, ...]
    limits: tuple[str, ...]


def facts(folder: Path = FOLDER) -> Facts:
    """Raises FamilyDamaged (KF480)."""
    try:
        return msgspec.toml.decode((folder / FACTS).read_bytes(), type=Facts)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise FamilyDamaged(path=folder / FACTS, detail=error) from error


def trust_in(home: Path, folder: Path = FOLDER) -> Trust:
    """What a person accepted in this state folder, and the shipped family's file. Raises FamilyDamaged (KF480)."""
    return Trust(home / "models", (facts(folder).sha256,))


def unfold(home: Path, folder: Path = FOLDER) -> Path:
    """The folder with a family.toml and a file for each member, in the state folder; made when it isn't there yet.
    Raises FamilyDamaged (KF480)."""
    known = facts(folder)
    target = home / "models" / f"kin-{known.sha256[:12]}-f16"
    if _whole(target, known):
        return target
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        manifest = split(folder / WEIGHTS, part, trust_in(home, folder), widen=True)
        write_manifest(part, _told(manifest, known))
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    except (KinflowError, OSError) as error:
        if _whole(target, known):  # Another process was as quick.
            return target
        detail = error.cause_text if isinstance(error, KinflowError) else error
        raise FamilyDamaged(path=folder / WEIGHTS, detail=detail) from error
    return target


def _whole(target: Path, known: Facts) -> bool:
    if not (target / NAME).exists():
        return False
    try:
        manifest = read_manifest(target)
    except KinflowError:
        return False
    # What is said of the same weights may have changed with a new version of Kinflow.
    files = [one.file for one in manifest.members] + [one.file for one in manifest.continuations]
    return manifest == _told(manifest, known) and all((target / file).exists() for file in files if file is not None)


def _told(manifest: Manifest, known: Facts) -> Manifest:
    members = []
    for one in manifest.members:
        told = known.members[one.name]
        members.append(structs.replace(one, loss=told.loss, profiles=told.profiles, calibration=told.calibration))
    return structs.replace(
        manifest, version=known.version, members=tuple(members), credits=known.credits, limits=known.limits
    )
