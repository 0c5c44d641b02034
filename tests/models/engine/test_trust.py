"""No weights are opened whose hash nobody knows, and nothing that a file says is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.engine.llama.weights import load
from models.engine.trust import NAME, Trust, fingerprint
from models.errors import WeightsQuarantined, WeightsRefused, WeightsUnreadable
from models.gguf.fields import text, whole
from models.gguf.header import read_header
from models.gguf.writer import Content, write
from tests.conftest import ROOT
from tests.models.engine import tiny
from tests.models.engine.conftest import trusting


def test_an_unknown_file_is_not_even_parsed(tmp_path: Path) -> None:
    path = tmp_path / "unknown.gguf"
    path.write_bytes(b"whatever this is")
    with pytest.raises(WeightsQuarantined) as caught:
        load(path, Trust(tmp_path / "home"))
    assert caught.value.fields["sha256"] == fingerprint(path)
    assert fingerprint(path) in str(caught.value)


def test_a_file_is_let_in_by_its_hash_and_stays_in(tmp_path: Path, files: dict[str, Path]) -> None:
    path, trust = files["dense"], Trust(tmp_path / "home")
    with pytest.raises(WeightsQuarantined):
        trust.accept(path, "0" * 64)
    assert not trust.knows(fingerprint(path))
    trust.accept(path, fingerprint(path).upper())
    load(path, Trust(tmp_path / "home")).close()


def test_a_file_that_was_changed_is_out_again(tmp_path: Path) -> None:
    path = tiny.dense(tmp_path / "one.gguf")
    trust = Trust(tmp_path)
    trust.accept(path, fingerprint(path))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsQuarantined):
        load(path, trust)


def test_a_damaged_list_of_hashes_lets_nothing_in(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / NAME).write_text("{oops")
    with pytest.raises(WeightsUnreadable, match=NAME):
        load(files["dense"], Trust(tmp_path))


def test_foreign_and_cut_off_files_are_refused_although_known(tmp_path: Path, files: dict[str, Path]) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(files["dense"].read_bytes()[:-1000])
    other = tmp_path / "other.gguf"
    write(other, {"general.architecture": text("nobody-knows-this")}, [])
    lacking = tmp_path / "lacking.gguf"
    header = read_header(files["dense"])
    kept = [
        Content(one.name, one.shape, one.kind, (header.path, one.offset))
        for one in header.tensors.values()
        if one.name != "blk.1.attn_q.weight"
    ]
    write(lacking, header.fields, kept)
    with pytest.raises(WeightsUnreadable, match="cut off"):
        load(cut, trusting(cut))
    with pytest.raises(WeightsRefused, match="nobody-knows-this"):
        load(other, trusting(other))
    with pytest.raises(WeightsRefused, match=r"blk\.1\.attn_q"):
        load(lacking, trusting(lacking))


def test_a_file_in_several_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one-00001-of-00002.gguf"
    write(path, {"general.architecture": text("llama"), "split.count": whole(2)}, [])
    with pytest.raises(WeightsUnreadable, match="join"):
        load(path, trusting(path))


def test_what_runs_templates_or_keeps_a_cache_on_disk_is_not_even_loaded(files: dict[str, Path]) -> None:
    # In a process of its own: another test may have loaded anything.
    code = (
        "import sys\nfrom importlib.util import find_spec\nfrom pathlib import Path\n"
        "from models.engine.llama.weights import load\n"
        "from tests.models.engine.conftest import trusting\n"
        f"path = Path({str(files['dense'])!r})\n"
        "load(path, trusting(path)).close()\n"
        "bad = {'jinja2', 'diskcache', 'llama_cpp.llama', 'llama_cpp.llama_chat_format', 'llama_cpp.llama_cache'}\n"
        "print(sorted(bad & set(sys.modules)), find_spec('llama_cpp') is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[] True", done.stderr
    # Nor does anything of ours ask the C library to.
    for path in (ROOT / "models").rglob("*.py"):
        code = path.read_text("utf-8")
        assert "chat_apply_template" not in code, path
        assert "model_chat_template" not in code, path
