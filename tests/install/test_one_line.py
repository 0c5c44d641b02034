"""The one line, as it is pasted: a real edge server by HTTPS, real curl, a real bundle, and a device that is heard.

In a network namespace of its own, below a folder. As root: sudo .venv/bin/pytest -m slow tests/install/test_one_line.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firmware_configs.bundle.make import Order, make
from firmware_configs.bundle.target import TARGETS
from tests.install.roots import require
from tests.install.tiny_bundle import HERE, PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ADDRESS = "10.77.0.1"
# Who pastes the line has sudo; here everybody is root already.
SUDO = '#!/bin/sh\nexec "$@"\n'
STORY = """
set -u
ip link set lo up && ip address add {address}/24 dev lo
export KINFLOW_HOME=$PLACE/edge
kinflow() {{ "$PYTHON" -c 'from kinflow.main import main; main()' "$@"; }}
kinflow edge run --id edge-1 --host {address} > "$PLACE/edge.log" 2>&1 & edge=$!
for _ in $(seq 30); do [ -e "$KINFLOW_HOME/authority/server.pem" ] && break; sleep 1; done
for _ in $(seq 30); do curl -fsk https://{address}:8800/healthz > "$PLACE/health" && break; sleep 1; done
kinflow edge code --approved --json > "$PLACE/code.json" 2> "$PLACE/code.err"
code=$("$PYTHON" -c 'import json,sys; print(json.load(open(sys.argv[1]))["code"])' "$PLACE/code.json")
kinflow edge install-line --host {address} --code "$code" > "$PLACE/line"
cd "$PLACE"
device() {{
    env -u KINFLOW_HOME -u PYTHONPATH PATH="$PLACE/tools:$PATH" KINFLOW_PREFIX="$PLACE/device" \\
        KINFLOW_PYTHON="$PYTHON" "$@"
}}
# Somebody else's key is pinned: nothing is fetched, nothing installed.
sed 's|sha256//......|sha256//AAAAAA|' line > wrong
device sh -c "$(cat wrong)" > wrong.log 2>&1
[ -e device ] && echo touched > touched
device sh -c "$(cat line)" > install.log 2>&1; echo $? > installed
printf '\\n[[agent.cameras]]\\nid = "north"\\nsource = "%s"\\n' "$PLACE/clip.avi" >> device/var/lib/kinflow/kinflow.toml
device device/opt/kinflow/bin/kinflow agent run > agent.log 2>&1 & agent=$!
for _ in $(seq 60); do
    kinflow edge devices --json > devices.json
    grep -q '"role": *"agent"' devices.json && break
    sleep 1
done
kill $agent; wait $agent
kill $edge; wait $edge
"""


def test_a_pasted_line_leads_to_a_joined_device(tmp_path: Path, repository: Path) -> None:
    require("unshare", "ip", "curl", "mosquitto")
    made, shelf, tools = tmp_path / "made", tmp_path / "edge" / "bundles", tmp_path / "tools"
    shelf.mkdir(parents=True)
    tools.mkdir()
    (tools / "sudo").write_text(SUDO)
    (tools / "sudo").chmod(0o755)
    tar, _ = make(Order(TARGETS[HERE], repository, ("agent",), (PYTHON,), int(time.time()), llama=False), made, print)
    shutil.move(tar, shelf)
    story = STORY.format(address=ADDRESS)
    environment = {**os.environ, "PLACE": str(tmp_path), "PYTHON": sys.executable, "PYTHONPATH": str(repository)}
    subprocess.run(["unshare", "--net", "bash", "-c", story], env=environment, timeout=800, check=False)

    def read(name: str) -> str:
        return (tmp_path / name).read_text(errors="replace") if (tmp_path / name).exists() else f"no {name}"

    assert read("health").startswith('{"ok":true'), read("edge.log")
    assert "curl: (90)" in read("wrong.log"), read("wrong.log")  # the pin is another's
    assert not (tmp_path / "touched").exists()
    assert read("installed").strip() == "0", read("install.log") + read("code.err") + read("line")
    assert (tmp_path / "device/var/lib/kinflow/trust/certificate.pem").is_file()
    devices = json.loads(read("devices.json"))["devices"]
    assert [one["state"] for one in devices if one["role"] == "agent"] == ["online"], read("agent.log") + read(
        "edge.log"
    )
