"""The sealed file: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_server.backup.sealed import END, Header, SealedReader, SealedWriter, read_header
from edge_server.errors import BackupDamaged, BackupTruncated, PassphraseWrong
from node.errors import StoreNewer

CHUNK = 100
HEADER = Header(1, 5, "kinflow 1", "edge-1", b"s" * 16, b"n" * 7, cost=2, chunk_bytes=CHUNK)
PASSPHRASE = "correct horse"


def seal(path: Path, content: bytes, pieces: int = 7, header: Header = HEADER) -> None:
    with path.open("wb") as file:
        writer = SealedWriter(file, header, PASSPHRASE)
        for at in range(0, len(content), pieces):
            writer.write(content[at : at + pieces])
        writer.close()


def open_up(path: Path, passphrase: str = PASSPHRASE) -> bytes:
    with SealedReader(path, passphrase) as reader:
        return reader.read()


def body(path: Path) -> tuple[int, int]:
    """Where the chunks begin and end."""
    return read_header(path)[2] + 16, path.stat().st_size - len(END) - 8


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=4 * CHUNK), st.integers(1, 250))
def test_what_goes_in_comes_out(tmp_path: Path, content: bytes, pieces: int) -> None:
    seal(tmp_path / "file", content, pieces)
    assert open_up(tmp_path / "file") == content
    assert len(content) < 20 or content not in (tmp_path / "file").read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_changed_bit_is_noticed_wherever_it_is(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file"
    seal(path, bytes(range(250)))
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with pytest.raises((BackupDamaged, BackupTruncated, PassphraseWrong, StoreNewer)):
        open_up(path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_that_is_cut_off_anywhere_is_called_so(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file"
    seal(path, bytes(250))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    with pytest.raises(BackupTruncated):
        open_up(path)


def test_a_chunk_left_out_with_a_forged_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seal(path, bytes(350))
    start, _ = body(path)
    whole = path.read_bytes()
    kept = whole[: start + 2 * (CHUNK + 16)]
    path.write_bytes(kept + END + (len(kept) + len(END) + 8).to_bytes(8, "big"))
    with pytest.raises(BackupDamaged, match="part 2"):
        open_up(path)


def test_two_chunks_that_changed_places_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seal(path, bytes(range(250)) + bytes(100))
    start, _ = body(path)
    whole, size = path.read_bytes(), CHUNK + 16
    first, second = whole[start : start + size], whole[start + size : start + 2 * size]
    path.write_bytes(whole[:start] + second + first + whole[start + 2 * size :])
    with pytest.raises(BackupDamaged, match="part 1"):
        open_up(path)


def test_another_passphrase_is_called_so(tmp_path: Path) -> None:
    seal(tmp_path / "file", b"content")
    with pytest.raises(PassphraseWrong):
        open_up(tmp_path / "file", "battery staple")


def test_a_file_of_a_newer_format_and_a_foreign_one_are_told_apart(tmp_path: Path) -> None:
    newer = Header(2, 5, "kinflow 9", "edge-1", b"s" * 16, b"n" * 7, cost=2)
    seal(tmp_path / "newer", b"", header=newer)
    with pytest.raises(StoreNewer):
        open_up(tmp_path / "newer")
    (tmp_path / "foreign").write_bytes(b"PK\3\4 something else that is long enough")
    with pytest.raises(BackupDamaged, match="no backup"):
        open_up(tmp_path / "foreign")


def test_a_header_can_not_ask_for_all_memory(tmp_path: Path) -> None:
    greedy = Header(1, 5, "kinflow 1", "edge-1", b"s" * 16, b"n" * 7, cost=2)
    seal(tmp_path / "file", b"", header=greedy)
    whole = (tmp_path / "file").read_bytes().replace(b'"cost":2', b'"cost":%d' % (1 << 30))
    start = whole.index(b"{")
    length = whole.index(b"}") + 1 - start
    (tmp_path / "file").write_bytes(whole[: start - 2] + length.to_bytes(2, "big") + whole[start:])
    with pytest.raises(BackupDamaged, match="asks for"):
        open_up(tmp_path / "file")
