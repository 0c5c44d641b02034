"""Check a bundle before anything of it is used: run by install.sh with the system's Python (3.6 or newer), without
Kinflow. Prints what install.sh asks for, or the fault, and ends with 1."""

import hashlib
import json
import os
import re
import sys


def fail(text):
    print(text)
    sys.exit(1)


def digest(path):
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha256.update(block)
    return sha256.hexdigest()


def check(folder, arch):
    with open(os.path.join(folder, "bundle.json"), "rb") as file:
        text = file.read()
    bundle = json.loads(text.decode("utf-8"))
    if bundle.get("format") != 1:
        fail("its format is unknown to this install.sh")
    if bundle["arch"] != arch:
        fail(f"arch:{bundle['arch']}")
    pythons = [str(one) for one in bundle["python"]]
    if not all(re.match(r"^3\.[0-9]{1,2}$", one) for one in pythons):
        fail("it names no Python that can be")
    named = {}
    for one in bundle["files"]:
        path = os.path.normpath(one["path"])
        if path.startswith(("/", "..")) or path in named:
            fail("it names a file outside of itself or twice")
        named[path] = one
    for path, one in sorted(named.items()):
        whole = os.path.join(folder, path)
        if os.path.islink(whole) or not os.path.isfile(whole):
            fail(f"{path} is missing")
        if os.path.getsize(whole) != one["size"] or digest(whole) != one["sha256"]:
            fail(f"{path} is not what was packed")
    # pip takes any wheel that it finds: one that was laid beside ours would be installed.
    for base, _, files in os.walk(os.path.join(folder, "wheels")):
        for name in files:
            if os.path.relpath(os.path.join(base, name), folder) not in named:
                fail(f"wheels/ holds {name}, which was not packed")
    print(f"version:{bundle['version']}")
    print(f"stamp:{hashlib.sha256(text).hexdigest()}")
    print(f"python:{' '.join(pythons)}")
    print(f"size_mb:{sum(one['size'] for one in named.values()) // 1000000}")


if __name__ == "__main__":
    try:
        check(sys.argv[1], sys.argv[2])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"bundle.json can't be read ({type(error).__name__})")
