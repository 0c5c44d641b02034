"""Types that are ready can be decoded by many threads at once: in a process of its own, for its failure is a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys, threading
import msgspec
from node.ready_structs import ready_structs

sys.setswitchinterval(1e-6)
structs = []
for number in range(150):
    inner = msgspec.defstruct(f"Inner{number}", [("a", int), ("b", str, ""), ("c", tuple[int, ...], ())])
    structs.append(msgspec.defstruct(f"Outer{number}", [("d", dict[str, inner]), ("e", list[inner])]))
if sys.argv[1:] == ["ready"]:
    ready_structs()
barrier = threading.Barrier(4)

def decode():
    for struct in structs:
        barrier.wait()
        assert msgspec.json.decode(b'{"d":{"x":{"a":2}},"e":[{"a":3}]}', type=struct).e[0].a == 3

threads = [threading.Thread(target=decode) for _ in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print("all decoded")
"""


def test_threads_that_decode_for_the_first_time_end_no_process(repository: Path) -> None:
    """Without ready_structs() this ends with signal 11 (msgspec 0.22.0)."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, "ready"], cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "all decoded\n"), done.stderr


def test_what_can_not_be_decoded_is_left_alone(repository: Path) -> None:
    code = """
import msgspec
from node.ready_structs import ready_structs

class Odd(msgspec.Struct):
    a: "NowhereToBeFound"

ready_structs()
ready_structs()
print("ready")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ready\n", done.stderr
