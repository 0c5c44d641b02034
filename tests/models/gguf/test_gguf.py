"""GGUF files: read as strictly as they are written; damaged ones are refused in words, whatever the damage."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.llama.library import library
from models.errors import WeightsUnreadable
from models.gguf.fields import PACKED, Field, FieldType, array, text, whole
from models.gguf.header import read_header
from models.gguf.kinds import BLOCKS, Kind, size_of
from models.gguf.segment import tokenizer_of
from models.gguf.writer import Content, write

NUMBERS = {
    FieldType.UINT8: st.integers(0, 2**8 - 1),
    FieldType.INT8: st.integers(-(2**7), 2**7 - 1),
    FieldType.UINT16: st.integers(0, 2**16 - 1),
    FieldType.INT16: st.integers(-(2**15), 2**15 - 1),
    FieldType.UINT32: st.integers(0, 2**32 - 1),
    FieldType.INT32: st.integers(-(2**31), 2**31 - 1),
    FieldType.UINT64: st.integers(0, 2**64 - 1),
    FieldType.INT64: st.integers(-(2**63), 2**63 - 1),
    FieldType.FLOAT32: st.floats(width=32, allow_nan=False),
    FieldType.FLOAT64: st.floats(allow_nan=False),
    FieldType.BOOL: st.booleans(),
    FieldType.STRING: st.text(),
}
scalars = st.sampled_from(list(NUMBERS)).flatmap(lambda kind: st.builds(Field, st.just(kind), NUMBERS[kind]))
arrays = st.sampled_from(list(NUMBERS)).flatmap(
    lambda kind: st.builds(array, st.just(kind), st.lists(NUMBERS[kind], max_size=6).map(tuple))
)
fields_of = st.dictionaries(st.text(min_size=1).filter(lambda key: key != "general.alignment"), scalars | arrays)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "one.gguf"


@given(fields=fields_of, sizes=st.lists(st.integers(1, 70), max_size=4))
def test_what_is_written_is_read(place: Path, fields: dict[str, Field], sizes: list[int]) -> None:
    tensors = [Content(f"t{number}", (size,), Kind.I8, bytes([number + 1] * size)) for number, size in enumerate(sizes)]
    write(place, fields, tensors)
    header = read_header(place)
    assert header.fields == fields
    data = place.read_bytes()
    for number, one in enumerate(header.tensors.values()):
        assert one.offset % header.alignment == 0
        assert data[one.offset : one.offset + one.size] == bytes([number + 1] * sizes[number])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "sound.gguf"
    fields = {
        "general.architecture": text("llama"),
        "llama.block_count": whole(1),
        "a": array(FieldType.STRING, ("x", "y")),
    }
    write(path, fields, [Content("w", (32, 2), Kind.F32, bytes(256)), Content("q", (32,), Kind.Q8_0, bytes(34))])
    return path.read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_refused_in_words_or_read(place: Path, sound: bytes, data: st.DataObject) -> None:
    """Never by another exception, and never slowly: lengths are not believed before they fit."""
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(sound) - 1))
        damaged[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    place.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        header = read_header(place)
    except WeightsUnreadable:
        pass
    else:
        assert all(one.offset + one.size <= place.stat().st_size for one in header.tensors.values())


def test_a_cut_off_file_is_refused_at_every_place(place: Path, sound: bytes) -> None:
    for end in range(0, len(sound) - 30, 7):
        place.write_bytes(sound[:end])
        with pytest.raises(WeightsUnreadable):
            read_header(place)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"PK\x03\x04 a zip file",
        b"FUGG" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<I", 77),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 8, 1 << 61),
    ],
)
def test_what_is_no_gguf_is_refused(place: Path, data: bytes) -> None:
    place.write_bytes(data)
    with pytest.raises(WeightsUnreadable):
        read_header(place)


def test_what_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(WeightsUnreadable):
            read_header(path)


def test_sizes_are_the_librarys() -> None:
    ggml = library().ggml
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_blck_size.restype = ctypes.c_int64
    for kind, (elements, size) in BLOCKS.items():
        assert (ggml.ggml_blck_size(int(kind)), ggml.ggml_type_size(int(kind))) == (elements, size), kind
    assert size_of(Kind.Q8_0, (64, 3)) == 3 * 2 * 34
    with pytest.raises(ValueError, match="multiple"):
        size_of(Kind.Q8_0, (33,))


def test_a_tokenizer_is_known_by_what_it_does(place: Path) -> None:
    def hashed(**more: Field) -> str:
        fields = {"tokenizer.ggml.model": text("llama"), "tokenizer.ggml.tokens": array(FieldType.STRING, ("a", "b"))}
        write(place, fields | {key.replace("__", "."): field for key, field in more.items()}, [])
        return tokenizer_of(read_header(place))

    plain = hashed()
    assert hashed(general__name=text("another")) == plain
    assert hashed(tokenizer__chat_template=text("{{ x }}")) == plain
    assert hashed(tokenizer__ggml__bos_token_id=whole(1)) != plain
    wide = Field(FieldType.UINT64, 1)
    assert hashed(tokenizer__ggml__bos_token_id=whole(1)) == hashed(tokenizer__ggml__bos_token_id=wide)
    assert hashed(tokenizer__ggml__tokens=array(FieldType.STRING, ("b", "a"))) != plain


def test_a_writer_leaves_nothing_half(tmp_path: Path) -> None:
    path = tmp_path / "one.gguf"
    with pytest.raises(ValueError, match="bytes"):
        write(path, {}, [Content("w", (32,), Kind.F32, b"short")])
    assert list(tmp_path.iterdir()) == []
    assert set(PACKED) | {FieldType.STRING, FieldType.ARRAY} == set(FieldType)
