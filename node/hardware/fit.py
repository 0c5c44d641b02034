"""What a machine can carry: a pure function of what was found, of what is known and of what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from node.config.schema import Hardware as Wishes
from node.errors import BoardTooSmall, ConfigValueInvalid
from node.hardware.found import Hardware
from node.hardware.profile import Known, Size, Sizes, choose, profiles, sizes

_CUDA = "CUDAExecutionProvider"


class Refusal(Struct, frozen=True, kw_only=True):
    """Why something does not run here. `lacks` holds the number, or the feature, that is missing."""

    what: str
    lacks: str

    @property
    def text(self) -> str:
        return f"{self.what} needs {self.lacks}"


class Profile(Struct, frozen=True, kw_only=True):
    """What to run, and within which limits.

    threads: for models. detector, member: the largest that fit beside each other, None where not even the smallest
    does. camera: the resolution to ask a camera for. unit_memory_mb: the most that the service may take (MemoryMax).
    accelerator: the device that the libraries here were built for, else None. refused: what does not fit, and why.
    """

    name: str
    title: str
    threads: int
    detector: str | None
    member: str | None
    camera: tuple[int, int]
    unit_memory_mb: int
    warm_c: float
    hot_c: float
    accelerator: str | None
    refused: tuple[Refusal, ...]
    notes: tuple[str, ...]

    def require(self, what: str) -> None:
        """Raises BoardTooSmall (KF193) when `what`, a name of sizes.toml, does not run here."""
        for one in self.refused:
            if one.what == what:
                raise BoardTooSmall(what=what, lacks=one.lacks)
        if what not in {one.name for one in (*sizes().detector, *sizes().member)}:
            raise BoardTooSmall(what=what, lacks="a name that this version knows")


def fit(
    hardware: Hardware,
    wishes: Wishes | None = None,
    known: dict[str, Known] | None = None,
    catalogue: Sizes | None = None,
) -> Profile:
    """Decide. `wishes` (section [hardware] of kinflow.toml) override one value each.

    Raises ConfigValueInvalid (KF32) when a wish names what there is not, and BoardTooSmall (KF193) when it names what
    can't run here.
    """
    wishes, known, catalogue = wishes or Wishes(), known or profiles(), catalogue or sizes()
    name = wishes.profile or choose(hardware, known)
    if name not in known:
        raise _unknown("hardware.profile", name, known)
    profile = known[name]
    free_mb = wishes.memory_mb or free_for_models_mb(hardware, profile)
    detector, no_detector = _largest(catalogue.detector, hardware, free_mb, wishes.detector, "hardware.detector")
    left_mb = free_mb - (detector.memory_mb if detector else 0)
    member, no_member = _largest(catalogue.member, hardware, left_mb, wishes.member, "hardware.member")
    accelerator, notes = _accelerator(hardware)
    return Profile(
        name=name,
        title=profile.title,
        threads=wishes.threads or max(1, hardware.processor.cores - profile.spare_cores),
        detector=detector.name if detector else None,
        member=member.name if member else None,
        camera=picture_of(profile, wishes),
        unit_memory_mb=_unit_memory_mb(hardware, profile),
        warm_c=profile.warm_c,
        hot_c=profile.hot_c,
        accelerator=accelerator,
        refused=(*no_detector, *no_member),
        notes=notes,
    )


def picture_of(profile: Known, wishes: Wishes) -> tuple[int, int]:
    """Width and height, in pixels, to ask a camera of this machine for."""
    return wishes.camera_width or profile.camera[0], wishes.camera_height or profile.camera[1]


def free_for_models_mb(hardware: Hardware, profile: Known) -> int:
    """What is free now, and never more than the board has beyond what its system keeps."""
    memory = hardware.memory
    return max(0, min(memory.available_mb, memory.usable_mb - profile.reserve_mb))


def missing(size: Size, hardware: Hardware, free_mb: int) -> str:
    """What a size asks for and this machine has not, with its number; empty when it fits."""
    processor = hardware.processor
    if free_mb < size.memory_mb:
        return f"{size.memory_mb} MB, {max(0, free_mb)} MB are free"
    if processor.cores < size.cores:
        return f"{size.cores} cores, {processor.cores} are there"
    absent = [one for one in size.features(processor.architecture) if one not in processor.features]
    if absent:
        return f"{' and '.join(absent)}, which {processor.model or 'this processor'} does not have"
    return ""


def _largest(
    candidates: Sequence[Size], hardware: Hardware, free_mb: int, wish: str, key: str
) -> tuple[Size | None, list[Refusal]]:
    lacks = {one.name: missing(one, hardware, free_mb) for one in candidates}
    refused = [Refusal(what=name, lacks=text) for name, text in lacks.items() if text]
    if wish:
        if wish not in lacks:
            raise _unknown(key, wish, lacks)
        if lacks[wish]:
            raise BoardTooSmall(what=wish, lacks=lacks[wish])
        return next(one for one in candidates if one.name == wish), refused
    fitting = [one for one in candidates if not lacks[one.name]]
    return (fitting[-1] if fitting else None), refused


def _unit_memory_mb(hardware: Hardware, profile: Known) -> int:
    usable = hardware.memory.usable_mb
    return max(64, min(int(usable * profile.unit_share), usable - profile.reserve_mb))


def _accelerator(hardware: Hardware) -> tuple[str | None, tuple[str, ...]]:
    """A device counts only where onnxruntime or llama.cpp, as they are installed, can use it."""
    notes = []
    for one in hardware.accelerators:
        if one.kind != "cuda":
            notes.append(f"{one.name} was found; Kinflow has no part that uses a {one.kind} yet.")
            continue
        builds = hardware.builds
        if builds.llama_gpu or _CUDA in (builds.onnxruntime or ()):
            users = ["onnxruntime"] * (_CUDA in (builds.onnxruntime or ())) + ["llama.cpp"] * bool(builds.llama_gpu)
            return f"{one.name} ({', '.join(users)})", tuple(notes)
        notes.append(f"{one.name} was found and is not used: {_why_not(hardware)}.")
    return None, tuple(notes)


def _why_not(hardware: Hardware) -> str:
    builds = hardware.builds
    onnx = "is not installed" if builds.onnxruntime is None else f"was built for {', '.join(builds.onnxruntime)}"
    llama = "is not installed" if builds.llama_gpu is None else "was built for the processor alone"
    return f"onnxruntime {onnx}, llama.cpp {llama}"


def _unknown(key: str, name: str, there: Iterable[str]) -> ConfigValueInvalid:
    return ConfigValueInvalid(key=key, where="the settings", detail=f"{name!r} is none of {', '.join(there)}")
