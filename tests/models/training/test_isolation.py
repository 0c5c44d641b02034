"""Training stays apart: nothing that runs on a device needs it, nor what it needs."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = (
    "agent", "benchmarks", "cloud", "edge_server", "firmware_configs", "kinflow", "models", "node", "protocol",
    "sim_devices",
)  # fmt: skip
TRAINING_ALONE = {"torch", "onnx"}
# The compiler of training graphs reads and writes ONNX files; what runs them does without.
READS_ONNX = ROOT / "models" / "tuning" / "onnx_file.py"


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_only_training_imports_torch_and_nobody_imports_training() -> None:
    seen = 0
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.is_relative_to(ROOT / "models" / "training") or path == READS_ONNX:
                continue
            seen += 1
            for name in imported(path):
                assert name.split(".")[0] not in TRAINING_ALONE, f"{path} imports {name}"
                assert not name.startswith("models.training"), f"{path} imports {name}"
    assert seen > 100


def test_training_imports_nothing_above_models() -> None:
    for path in (ROOT / "models" / "training").rglob("*.py"):
        above = {name.split(".")[0] for name in imported(path)} & (set(PACKAGES) - {"models", "node", "protocol"})
        assert not above, f"{path} imports {above}"
