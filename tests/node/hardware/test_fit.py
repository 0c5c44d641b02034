"""From what was found to what is run."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config.schema import Hardware as Wishes
from node.errors import BoardTooSmall, ConfigValueInvalid
from node.hardware.fit import fit, free_for_models_mb
from node.hardware.found import Board as BoardName
from node.hardware.found import Builds, Hardware, Memory, Processor
from node.hardware.here import picture_here
from node.hardware.profile import profiles, sizes

Board = Callable[..., Hardware]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pi5", ("pi5", "detector-m", "member-edge", 3)),
        ("pi4", ("pi4", "detector-s", None, 3)),
        ("zero2w", ("zero2w", "detector-s", None, 3)),
        ("orin-nano", ("orin-nano", "detector-m", "member-edge", 5)),
        ("closet", ("x86", "detector-l", "member-cloud", 7)),
        ("unknown", ("generic", "detector-s", None, 1)),
    ],
)
def test_each_board_runs_what_it_can(board: Board, name: str, expected: tuple[str, str, str | None, int]) -> None:
    fitted = fit(board(name))
    assert (fitted.name, fitted.detector, fitted.member, fitted.threads) == expected


def test_the_number_that_is_missing_is_told(board: Board) -> None:
    fitted = fit(board("pi4"))
    told = {one.what: one.text for one in fitted.refused}
    assert told["detector-m"] == "detector-m needs 900 MB, 412 MB are free"
    roomy = fit(board("pi4", {"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB"}))
    told = {one.what: one.text for one in roomy.refused}
    assert told["detector-m"] == "detector-m needs asimddp, which Cortex-A72 does not have"
    with pytest.raises(BoardTooSmall, match="detector-m does not run here: it needs 900 MB, 412 MB are free"):
        fitted.require("detector-m")
    fitted.require("detector-s")


def test_a_name_that_nobody_knows_is_not_required_in_vain(board: Board) -> None:
    with pytest.raises(BoardTooSmall, match="a name that this version knows"):
        fit(board("pi5")).require("detector-xxl")


def test_wishes_override(board: Board) -> None:
    wishes = Wishes(profile="generic", threads=2, detector="detector-s", memory_mb=5000, camera_width=320)
    fitted = fit(board("pi5"), wishes)
    assert (fitted.name, fitted.threads, fitted.detector, fitted.camera) == ("generic", 2, "detector-s", (320, 360))
    assert fitted.member == "member-edge"


def test_a_wish_beyond_the_board_is_refused_with_its_number(board: Board) -> None:
    with pytest.raises(BoardTooSmall, match="member-device does not run here: it needs 300 MB, 91 MB are free"):
        fit(board("zero2w"), Wishes(member="member-device"))
    with pytest.raises(ConfigValueInvalid, match=r"hardware\.detector .*none of detector-s"):
        fit(board("zero2w"), Wishes(detector="detector-z"))
    with pytest.raises(ConfigValueInvalid, match=r"hardware\.profile"):
        fit(board("zero2w"), Wishes(profile="pi9"))


CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("builds", "used", "note"),
    [
        (Builds(onnxruntime=(CUDA, CPU)), "NVIDIA RTX A2000 (onnxruntime)", None),
        (Builds(onnxruntime=(CPU,), llama_gpu=True), "NVIDIA RTX A2000 (llama.cpp)", None),
        (Builds(onnxruntime=(CUDA,), llama_gpu=True), "NVIDIA RTX A2000 (onnxruntime, llama.cpp)", None),
        (
            Builds(onnxruntime=(CPU,), llama_gpu=False),
            None,
            "onnxruntime was built for CPUExecutionProvider, llama.cpp was built for the processor alone",
        ),
        (Builds(), None, "onnxruntime is not installed, llama.cpp is not installed"),
    ],
)
def test_an_accelerator_counts_where_a_library_was_built_for_it(
    board: Board, builds: Builds, used: str | None, note: str | None
) -> None:
    fitted = fit(board("closet", builds=builds))
    assert fitted.accelerator == used
    assert [note in one for one in fitted.notes] == ([True] if note else [])


def test_libraries_are_not_asked_where_there_is_no_accelerator(board: Board) -> None:
    assert board("pi5", builds=Builds(llama_gpu=True)).builds == Builds()


def test_every_profile_has_sense() -> None:
    for name, known in profiles().items():
        assert known.warm_c < known.hot_c, name
        assert known.camera[0] >= known.camera[1] > 0, name
    for row in (sizes().detector, sizes().member):
        needs = [one.memory_mb for one in row]
        assert needs == sorted(needs)


machines = st.builds(
    lambda name, total, share, cores, features: Hardware(
        board=BoardName(compatible=(name,)),
        processor=Processor(architecture="aarch64", model="x", cores=cores, features=frozenset(features)),
        memory=Memory(total_mb=total, available_mb=int(total * share)),
    ),
    st.sampled_from(["brcm,bcm2712", "brcm,bcm2837", "none"]),
    st.integers(0, 40_000),
    st.floats(0, 1),
    st.integers(1, 64),
    st.sets(st.sampled_from(["asimd", "asimddp", "i8mm"])),
)


@given(machines)
def test_what_is_chosen_fits_and_what_is_refused_says_why(machine: Hardware) -> None:
    fitted = fit(machine)
    known = {one.name: one for one in (*sizes().detector, *sizes().member)}
    chosen = [known[one] for one in (fitted.detector, fitted.member) if one]
    free = free_for_models_mb(machine, profiles()[fitted.name])
    assert sum(one.memory_mb for one in chosen) <= free
    assert all(one.cores <= machine.processor.cores for one in chosen)
    assert all(set(one.features("aarch64")) <= machine.processor.features for one in chosen)
    assert not {one.name for one in chosen} & {one.what for one in fitted.refused}
    assert all(one.lacks for one in fitted.refused)
    assert 1 <= fitted.threads <= machine.processor.cores


@given(machines, st.integers(0, 20_000))
def test_more_memory_never_runs_less(machine: Hardware, more: int) -> None:
    memory = machine.memory
    larger = Memory(total_mb=memory.total_mb + more, available_mb=memory.available_mb + more)
    names = [one.name for one in sizes().detector]

    def rank(one: Hardware) -> int:
        detector = fit(one).detector
        return names.index(detector) if detector else -1

    assert rank(msgspec.structs.replace(machine, memory=larger)) >= rank(machine)


def test_the_picture_of_this_machines_cameras() -> None:
    assert picture_here(Wishes()) == (640, 360)
    assert picture_here(Wishes(profile="pi5", camera_width=1280, camera_height=720)) == (1280, 720)
    with pytest.raises(ConfigValueInvalid):
        picture_here(Wishes(profile="pi9"))
