"""The boot selector: which version's folder is to be started. Run by the launcher with the system's Python (3.6 or
newer), without Kinflow, which may be what is broken.

    select_version.py PREFIX HOME [the command's words...]

Prints one folder. A version on trial is started at most `starts_limit` times for each tier, and only as long as its
trial may last; then, and whenever its start can't be counted, the version before is started. The updater reads
`boots.json` and puts the rest in order. Whatever goes wrong here, a version that is whole is printed.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time

VERSION = re.compile(r"[0-9][0-9a-z.]{0,60}\Z")
GRACE_S = 60.0
STEP_DOWN_S = 120


def main(arguments):
    prefix, home, words = arguments[0], arguments[1], arguments[2:]
    chosen = choose(prefix, home, words)
    if chosen is None:
        sys.exit(f"kinflow: there is no whole version in {prefix}/versions; run install.sh again.")
    print(os.path.join(prefix, "versions", chosen))


def choose(prefix, home, words):
    """The version's name, or None when there is none at all."""
    journal = read_json(os.path.join(home, "update", "state.json"))
    stable = stable_version(prefix, journal)
    target = journal.get("target")
    on_trial = journal.get("phase") == "trial" and is_whole(prefix, target) and current(prefix) in (stable, target)
    starting = words[1:2] == ["run"] and words[0] != "update"
    if on_trial and words[:1] != ["update"] and may_try(home, journal, words[0] if starting else None):
        return target
    if starting and stable is not None:
        step_down(prefix, home, stable)
    return stable


def stable_version(prefix, journal):
    """What is known to work: the committed version while an update is under way, else what `current` points at."""
    linked, committed = current(prefix), journal.get("version")
    under_way = journal.get("phase") in ("trial", "committing", "reverting")
    ours = linked in (committed, journal.get("target"))
    candidates = [committed, linked] if under_way and (ours or linked is None) else [linked, committed]
    for name in candidates + sorted(installed(prefix), key=order, reverse=True):
        if is_whole(prefix, name):
            return name
    return None


def may_try(home, journal, tier):
    """Count a start of the version on trial. tier: None for commands that are no start, which are not counted."""
    path = os.path.join(home, "update", "boots.json")
    boots = read_json(path)
    if boots.get("attempt") != journal.get("attempt"):
        boots = {"attempt": journal.get("attempt"), "starts": {}, "gave_up": None, "began": {}}
    if boots.get("gave_up"):
        return False
    if tier is None:
        return True
    starts, began = boots.setdefault("starts", {}), boots.setdefault("began", {})
    count = int(starts.get(tier, 0)) + 1
    limit = int(journal.get("starts_limit") or 3)
    boot, now_s = machine_boot(), time.clock_gettime(time.CLOCK_MONOTONIC)
    if began.get("boot") != boot:
        began.update(boot=boot, at_s=now_s)
    over_s = now_s - float(began.get("at_s", now_s))
    if count > limit:
        boots["gave_up"] = {
            "code": "crashed",
            "text": f"the {tier} of version {journal.get('target')} ended {limit} times during its trial",
        }
    elif over_s > 2 * float(journal.get("trial_s") or 0.0) + GRACE_S:
        boots["gave_up"] = {
            "code": "hung",
            "text": f"the trial of version {journal.get('target')} was over after {over_s:.0f} s without a commit",
        }
    else:
        starts[tier] = count
    return write_json(path, boots) and not boots["gave_up"]


def step_down(prefix, home, version):
    """Stores that a newer version has migrated are brought back, by the version that is to open them."""
    if not os.path.exists(os.path.join(home, "update", "schemas", version + ".json")):
        return
    command = [os.path.join(prefix, "versions", version, "bin", "kinflow"), "update", "step-down"]
    # Where it fails, the version itself refuses the store that it can't read, and says so.
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.call(
            command, timeout=STEP_DOWN_S, stdout=subprocess.DEVNULL, env=dict(os.environ, KINFLOW_HOME=home)
        )


def current(prefix):
    try:
        return os.path.basename(os.readlink(os.path.join(prefix, "current")))
    except OSError:
        return None


def installed(prefix):
    try:
        return [name for name in os.listdir(os.path.join(prefix, "versions")) if is_whole(prefix, name)]
    except OSError:
        return []


def is_whole(prefix, name):
    if not isinstance(name, str) or not VERSION.match(name):
        return False
    folder = os.path.join(prefix, "versions", name)
    return os.access(os.path.join(folder, "bin", "kinflow"), os.X_OK) and not os.path.exists(
        os.path.join(folder, "unfinished")
    )


def order(name):
    return [int(part) for part in re.findall(r"[0-9]+", name)]


def machine_boot():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def read_json(path):
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path, value):
    """Whether it is on the disk."""
    part = path + ".part"
    try:
        with open(part, "w") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
