"""A cabinet in the site file, as `kinflow site check` judges it."""

from __future__ import annotations

from textwrap import dedent

import msgspec
import pytest

from protocol.cabinet import Cabinet
from protocol.site import parse_site
from protocol.site_check import check
from tests.edge_server.signals.signal_sites import crossing, site

WALKS = ((12, 2), (14, 4))


def findings(severity="fault", **described):
    cabinet = msgspec.convert({"address": "10.1.2.3", "phases": WALKS} | described, Cabinet)
    intersection = msgspec.structs.replace(crossing(), cabinet=cabinet)
    return [one.text for one in check(site(intersection)) if one.severity == severity]


def test_a_whole_one_has_no_fault():
    assert findings() == []
    assert findings(preempts=[["ew", 3]], address="cabinet.example:1610", version="v2c", insecure=True) == []


@pytest.mark.parametrize(
    ("described", "part"),
    [
        ({"phases": ((12, 2),)}, "pedestrian phase 14 walks"),
        ({"phases": (*WALKS, (99, 3))}, "phase 99 does not exist"),
        ({"phases": (*WALKS, (4, 2))}, "both 2"),
        ({"phases": ((12, 4), (14, 2))}, "walks in the controller only while phase"),
        ({"preempts": [["nowhere", 3]]}, "stage 'nowhere'"),
        ({"address": "host:port"}, "is no HOST"),
        ({"version": "v1"}, "v1 can be forged"),
        ({"privacy": "none"}, "none can be forged"),
    ],
)
def test_each_fault_is_named(described, part):
    assert any(part in text for text in findings(**described)), findings(**described)


def test_force_is_said_loudly():
    assert any("INSECURE" in text for text in findings("hint", version="v1", insecure=True))


def test_it_stands_in_the_file_beside_its_intersection():
    text = """
        id = "test"
        [[intersections]]
        id = "north"
        position = [7.6, 47.5]
        controller = "controller-north"
        approaches = [{ id = "n", line = [[7.6, 47.6], [7.6, 47.5]], speed_limit_mps = 10.0, road_width_m = 3.5,
            visible_length_m = 60.0, lanes = [{ id = "lane-1", phases = [2] }] }]
        phases = [{ id = 2 }]
        stages = [{ id = "a", phases = [2] }]
        plan = { steps = [{ stage = "a", green_s = 20.0 }] }
        [intersections.cabinet]
        address = "10.1.2.3"
        acts = true
    """
    cabinet = parse_site(dedent(text).replace("\n    visible", " visible")).intersections[0].cabinet
    assert cabinet is not None
    assert (cabinet.host, cabinet.port, cabinet.acts, cabinet.version) == ("10.1.2.3", 161, True, "v3")
