"""`kinflow eval detector` on pictures of bright squares, with a real network that finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.main

from benchmarks.errors import LabelsUnreadable, NameUnknown, PictureUnreadable
from benchmarks.eval.cli import app
from kinflow.main import run as kinflow
from kinflow.outcome import guarded
from tests.models.vision import square_nets

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def evaluate(*arguments: str) -> int:
    """`kinflow eval detector` and its exit status, without the children in which its libraries are tried first."""
    command: Any = typer.main.get_group(app)
    return guarded(lambda: command.main(args=["detector", *arguments], prog_name="eval", standalone_mode=False))


class Set:
    """A folder of pictures of 416 x 416 with squares of 32, its labels, and a network for it."""

    def __init__(self, folder: Path) -> None:
        self.images, self.labels = folder / "images", folder / "labels"
        self.images.mkdir()
        self.labels.mkdir()
        self.model = square_nets.yolox(folder / "net.onnx")
        (folder / "net.toml").write_text(f'name = "squares"\nlabels = {list(square_nets.NAMES)}\n')

    def add(self, name: str, squares: list[tuple[Any, int, int]], lines: list[str] | None = None) -> Path:
        """squares: colour, column and row of its cell."""
        picture = np.zeros((416, 416, 3), np.uint8)
        for colour, column, row in squares:
            picture[8 * row + 4 - 16 : 8 * row + 4 + 16, 8 * column + 4 - 16 : 8 * column + 4 + 16] = colour
        path = self.images / name
        assert cv2.imwrite(str(path), picture)
        if lines is not None:
            (self.labels / path.with_suffix(".txt").name).write_text("\n".join(lines))
        return path

    def line(self, number: int, column: int, row: int) -> str:
        return f"{number} {(8 * column + 4) / 416} {(8 * row + 4) / 416} {32 / 416} {32 / 416}"

    def call(self, names: str, *more: str) -> int:
        where = ["--images", str(self.images), "--labels", str(self.labels), "--model", str(self.model)]
        return evaluate(*where, "--names", names, *more)


@pytest.fixture
def squares(tmp_path: Path) -> Set:
    made = Set(tmp_path)
    made.add("a.png", [(BLUE, 6, 6), (GREEN, 20, 20)], [made.line(0, 6, 6), made.line(1, 20, 20)])
    made.add("b.jpg", [(BLUE, 30, 10)], [made.line(0, 30, 10), made.line(1, 10, 30)])
    return made


def figures(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_its_figures(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--images", str(squares.images), "--labels", str(squares.labels), "--model", str(squares.model)]
    assert kinflow(["eval", "detector", *where, "--names", "car,ambulance", "--json"]) == 0
    told = figures(capsys)
    assert list(told["classes"]) == ["car", "ambulance"]
    car, ambulance = told["classes"]["car"], told["classes"]["ambulance"]
    assert (car["ap50"], car["precision"], car["recall"]) == (1, 1, 1)
    assert (ambulance["ap50"], ambulance["precision"], ambulance["recall"]) == (0.5, 1, 0.5)
    assert (told["all_vehicles"]["precision"], told["all_vehicles"]["recall"]) == (1, 0.75)
    assert told["images"] == 2
    assert told["ms_per_image"] > 0
    assert told["ms_ratio"] is None
    assert car["recall_by_height_px"] == {"16-32": None, "32-64": 1, "64-128": None, "128-": None}


def test_what_the_set_does_not_label_is_no_false_alarm(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    squares.add("c.png", [(RED, 20, 20), (GREEN, 40, 40)], [])
    assert squares.call("car", "--map", "ambulance=bus", "--json") == LabelsUnreadable.number
    for path in squares.labels.iterdir():
        path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if line.startswith("0")))
    assert squares.call("car", "--json") == 0
    told = figures(capsys)
    assert list(told["classes"]) == ["car"]
    assert told["classes"]["car"]["precision"] == 1
    assert told["all_vehicles"]["precision"] == 0.5  # the two green squares are vehicles, and unlabelled
    assert told["all_vehicles"]["recall"] == 1


def test_a_map_renames_both_sides(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        squares.call("van,rescue", "--map", "van=car", "--map", "rescue=car", "--map", "ambulance=car", "--json") == 0
    )
    told = figures(capsys)
    assert list(told["classes"]) == ["car"]
    assert told["classes"]["car"]["recall"] == 0.75
    assert told["classes"]["car"]["objects"] == 4
    assert squares.call("van,rescue", "--map", "van=car,rescue=car, ambulance=car", "--json") == 0
    assert figures(capsys)["classes"] == told["classes"]


def test_a_map_to_what_is_never_found_is_told(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert squares.call("car,rescue", "--map", "rescue=lifeboat", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["classes"]["lifeboat"]["recall"] == 0
    assert "nothing that is called lifeboat" in captured.err


def test_a_name_that_nobody_knows_is_refused(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert squares.call("car,unicorn", "--json") == NameUnknown.number
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'unicorn'" in captured.err
    assert "ambulance" in captured.err


def test_a_name_that_no_label_uses_may_be_anything(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert squares.call("car,ambulance,unicorn,person,-,-", "--json") == 0
    told = figures(capsys)
    assert list(told["classes"]) == ["car", "ambulance", "person"]
    assert told["classes"]["person"]["ap50"] is None


def test_against_another_one(squares: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = square_nets.yolox(tmp_path / "other.onnx", order=(0,) * 80)
    assert squares.call("car,ambulance", "--against", str(other), "--json") == 0
    told = figures(capsys)
    assert told["ms_ratio"] > 0
    assert told["against_ms_per_image"] > 0
    assert squares.call("car,ambulance", "--against", str(other)) == 0
    assert "times the other's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2 .5 .5 .1 .1", "'2'"),
        ("-1 .5 .5 .1 .1", "'-1'"),
        ("0.0 .5 .5 .1 .1", "'0.0'"),
        ("car .5 .5 .1 .1", "'car'"),
        ("0 .5 .5 .1", "4 numbers where 5 belong"),
        ("0 .5 .5 .1 .1 .9", "6 numbers"),
        ("0 .5 .5 .1 x", "not four numbers"),
        ("0 nan .5 .1 .1", "not finite"),
        ("0 .5 .5 0 .1", "does not lie in the picture"),
        ("0 .5 .5 -.1 .1", "does not lie in the picture"),
        ("0 250 100 32 32", "does not lie in the picture"),
    ],
)
def test_a_wrong_label_is_named(squares: Set, line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (squares.labels / "b.txt").write_text(f"\n0 .5 .5 .2 .2\n{line}\n")
    assert squares.call("car,ambulance", "--json") == LabelsUnreadable.number
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "b.txt, line 3" in captured.err
    assert said in captured.err


def test_labels_that_are_no_text(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    (squares.labels / "b.txt").write_bytes(b"\xff\xfe\x00")
    assert squares.call("car,ambulance") == LabelsUnreadable.number
    assert "b.txt" in capsys.readouterr().err


def test_missing_and_empty_labels_mean_nothing_there(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    squares.add("c.png", [(BLUE, 6, 6)], [])
    squares.add("d.png", [(BLUE, 6, 6)])
    assert squares.call("car,ambulance", "--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["classes"]["car"]["precision"] == 0.5
    assert told["images_without_labels"] == 1
    assert "1 of 4 pictures have no file of labels" in captured.err


def test_folders_that_hold_nothing(squares: Set, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert evaluate("--images", str(empty), "--labels", str(empty), "--names", "car") == 2
    squares.labels = empty
    assert squares.call("car") == 2
    assert squares.call("car", "--map", "car") == 2
    assert squares.call("car", "--map", "car=bus", "--map", "car=van") == 2


def whole(squares: Set, name: str) -> bytes:
    return (squares.images / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.png", lambda held: b""),
        ("a.png", lambda held: b"no picture at all"),
        ("a.png", lambda held: held[: len(held) // 2]),
        ("b.jpg", lambda held: held[: len(held) - 40]),
        ("b.jpg", lambda held: held[:30]),
    ],
)
def test_a_damaged_picture_is_named(squares: Set, name: str, damage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = squares.images / name
    path.write_bytes(damage(path.read_bytes()))
    assert squares.call("car,ambulance", "--json") == PictureUnreadable.number
    captured = capsys.readouterr()
    assert captured.out == ""
    assert name in captured.err


def test_grey_and_transparent_pictures_and_folders_below(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    colour = cv2.imread(str(squares.images / "a.png"))
    cv2.imwrite(str(squares.images / "a.png"), np.dstack([colour, np.full((416, 416), 9, np.uint8)]))
    below = squares.images / "night"
    below.mkdir()
    (squares.labels / "night").mkdir()
    cv2.imwrite(str(below / "a.png"), np.zeros((300, 200), np.uint8))
    (squares.labels / "night" / "a.txt").write_text("")
    assert squares.call("car,ambulance", "--json") == 0
    told = figures(capsys)
    assert told["images"] == 3
    assert told["images_without_labels"] == 0
    assert told["classes"]["car"]["ap50"] == 1


def turned(held: bytes, orientation: int, small: bytes = b"") -> bytes:
    """A JPEG with an EXIF segment that says how its camera was held, and holds a small picture."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0])
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + bytes(4) + small
    return held[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + held[2:]


def test_pictures_stand_upright(squares: Set, capsys: pytest.CaptureFixture[str]) -> None:
    path = squares.images / "b.jpg"
    upright = cv2.imread(str(path))
    held = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    path.write_bytes(turned(held, 6))
    assert squares.call("car,ambulance", "--json") == 0
    assert figures(capsys)["classes"]["car"]["ap50"] == 1


def test_a_small_picture_inside_is_not_the_end_of_the_large_one(squares: Set) -> None:
    path = squares.images / "b.jpg"
    held = path.read_bytes()
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    path.write_bytes(turned(held, 1, small) + b"a film \xff\xda that a phone appends")
    assert squares.call("car,ambulance") == 0
    path.write_bytes(turned(held, 1, small)[:-300])
    assert squares.call("car,ambulance") == PictureUnreadable.number


@pytest.mark.data
def test_a_real_network_on_real_pictures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = data / "emergency" / "vehicles240"
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((source / "images").iterdir())[::24]:
        (images / path.name).symlink_to(path)
    where = ["--images", str(images), "--labels", str(source / "labels")]
    model = ["--model", str(data / "weights" / "yolox_nano.onnx"), "--map", "ambulance=car"]
    assert kinflow(["eval", "detector", *where, "--names", "ambulance,car,bus,truck,motorcycle", *model, "--json"]) == 0
    told = figures(capsys)
    assert told["images"] == 24
    assert told["all_vehicles"]["recall"] > 0.3
    assert told["all_vehicles"]["precision"] > 0.3
