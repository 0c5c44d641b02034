"""The rules against floods, in a network of their own: one address is held back, others and this machine are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "firmware_configs" / "system" / "flood.nft"

# Runs inside the namespace: every address of 127.0.0.0/8 is a stranger there.
WITHIN = r"""
import errno, select, socket, sys, time

BURST, RATE = 2000, 100
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("0.0.0.0", 8883))
door.listen(4096)
door.setblocking(False)
inside = []

def takes():
    while True:
        try:
            inside.append(door.accept())
        except BlockingIOError:
            return

def comes(source):
    wire = socket.socket()
    wire.bind((source, 0))
    wire.setblocking(False)
    wire.connect_ex(("127.0.0.2", 8883))
    return wire

def count(source):
    return sum(1 for _, address in inside if address[0] == source)

def until(condition, within_s=20):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, len(inside)
        takes()
        time.sleep(0.01)

began = time.monotonic()
flood = []
for _ in range(2 * BURST):
    flood.append(comes("127.0.0.66"))
    takes()
until(lambda: count("127.0.0.66") >= BURST - 50)
let_in, most = count("127.0.0.66"), BURST + RATE * (time.monotonic() - began) + 50
assert let_in <= most, (let_in, most)
for source in ("127.0.0.7", "127.0.0.1"):
    guest = comes(source)
    until(lambda: count(source) == 1)
print(let_in)
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="a network of one's own needs root")
@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="nft is not installed")
def test_one_address_opens_so_many_connections_and_others_still_come_in() -> None:
    script = f'ulimit -n 20000; ip link set lo up; nft -f {RULES} && nft -f {RULES} && exec {sys.executable} -c "$0"'
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script, WITHIN], capture_output=True, text=True, timeout=60, check=False
    )
    if "Operation not" in done.stderr and "nft" not in done.stderr:
        pytest.skip("no network of one's own may be made here")
    assert done.returncode == 0, done.stderr
    assert 1_900 < int(done.stdout) < 4_000
