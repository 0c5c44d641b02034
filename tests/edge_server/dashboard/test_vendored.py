"""What we serve from others is what they released, and its licences are with it."""

from __future__ import annotations

import re
from hashlib import sha256

from edge_server.gateway.app import DASHBOARD

VENDOR = DASHBOARD / "vendor"


def test_vendored_files_are_unmodified_and_all_listed() -> None:
    lines = (VENDOR / "HASHES").read_text("ascii").splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    found = {
        str(file.relative_to(VENDOR)): sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.rglob("*")
        if file.is_file() and file.name != "HASHES"
    }
    assert found == listed
    assert {"leaflet/LICENSE", "uplot/LICENSE"} <= set(found)


def test_our_own_files_name_no_other_server() -> None:
    own = [file for file in DASHBOARD.rglob("*") if file.is_file() and VENDOR not in file.parents]
    assert len(own) > 15
    for file in own:
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org"}, file.name


def test_our_own_page_holds_no_inline_script_or_style() -> None:
    page = (DASHBOARD / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
