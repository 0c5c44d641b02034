"""Traces with hash ids: every request is there, and a line that says nonsense is named."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.mooncake import read_mooncake
from benchmarks.serving.traces.trace import Row

LINES = [
    {"timestamp": 3000, "input_length": 1100, "output_length": 52, "hash_ids": [0, 1, 2]},
    {"timestamp": 3000, "input_length": 512, "output_length": 1, "hash_ids": [0]},
    {"timestamp": 4500, "input_length": 1025, "output_length": 7, "hash_ids": [0, 3, 4], "other": "is left alone"},
]


def written(path: Path, lines: list[object]) -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["conversation_trace.jsonl", "conversation_trace.jsonl.xz"])
def test_rows(tmp_path: Path, name: str) -> None:
    trace = read_mooncake(written(tmp_path / name, [*LINES, ""]))
    assert (trace.name, trace.block_tokens, trace.synthetic) == ("conversation_trace", 512, "")
    assert trace.rows == (Row(0.0, 1100, 52, (0, 1, 2)), Row(0.0, 512, 1, (0,)), Row(1.5, 1025, 7, (0, 3, 4)))


def test_a_smaller_machine_has_the_same_blocks(tmp_path: Path) -> None:
    trace = read_mooncake(written(tmp_path / "a.jsonl", LINES))
    small = trace.smaller(32)
    assert small.block_tokens == 16
    assert [one.blocks for one in small.rows] == [one.blocks for one in trace.rows]
    assert [one.input_tokens for one in small.rows] == [35, 16, 33]
    assert all(-(-one.input_tokens // 16) == len(one.blocks) for one in small.rows)
    with pytest.raises(ValueError, match="can't be divided"):
        trace.smaller(7)


def test_the_first_lines_only(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [*LINES, "nonsense"])
    assert len(read_mooncake(path, limit=2).rows) == 2
    with pytest.raises(TraceUnreadable, match="line 4"):
        read_mooncake(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestamp": -1},
        {"timestamp": "soon"},
        {"input_length": 1.5},
        {"input_length": 10**30},
        {"output_length": -3},
        {"hash_ids": [0, 1, 2, 3]},
        {"hash_ids": [0, 1, -2]},
        {"hash_ids": None},
    ],
    ids=str,
)
def test_a_bad_line_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = written(tmp_path / "a.jsonl", [LINES[0], {**LINES[0], **wrong}])
    with pytest.raises(TraceUnreadable, match=r"KF462: .*a\.jsonl could not be read, line 2: ") as caught:
        read_mooncake(path)
    assert caught.value.exit_status == 254


def test_what_is_no_text_or_has_no_end(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(json.dumps(LINES[0]).encode() + b"\n\xff\xfe\n")
    with pytest.raises(TraceUnreadable, match="line 2"):
        read_mooncake(broken)
    cut = written(tmp_path / "cut.jsonl.xz", LINES * 500)
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(TraceUnreadable, match="reading ended"):
        read_mooncake(cut)
    with pytest.raises(TraceUnreadable, match="reading ended"):
        read_mooncake(tmp_path / "nowhere.jsonl")


@pytest.mark.data
def test_the_published_trace(data: Path) -> None:
    trace = read_mooncake(data / "traces" / "mooncake" / "conversation_trace.jsonl.xz")
    assert len(trace.rows) == 12_031
    seen: set[int] = set()
    found = total = 0
    for row in trace.rows:
        found += sum(one in seen for one in row.blocks)
        total += len(row.blocks)
        seen.update(row.blocks)
    # research: 36.6 % of the blocks were there before, with a cache without end.
    assert round(found / total, 3) == 0.366
