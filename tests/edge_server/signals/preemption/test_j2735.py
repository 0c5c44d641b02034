"""The JSON profiles of SAE J2735: the standard's names, ranges and meanings."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_server.errors import NotKnown
from edge_server.signals.j2735.codec import JsonCodec
from edge_server.signals.j2735.moment import MINUTE_MS, UNKNOWN_TIME, d_second, minute_of_year, time_mark, wall_of
from edge_server.signals.j2735.numbers import Numbers, entity_id
from edge_server.signals.j2735.srm import requests_of
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import DeviceId
from tests.edge_server.signals.preemption.desk_kit import Edge, enter_vehicles
from tests.edge_server.signals.signal_sites import crossing, site

WALLS = st.integers(946_684_800_000, 4_102_444_800_000)


def with_exits():
    """Lanes of the north lead to the south and to the east."""
    one = crossing()
    ways = tuple(
        replace(way, lanes=tuple(replace(lane, to=("south", "east")) for lane in way.lanes))
        if way.id == "north-n"
        else way
        for way in one.approaches
    )
    return site(replace(one, approaches=ways))


@given(wall_ms=WALLS)
def test_a_moment_is_its_minute_and_second_of_the_year(wall_ms):
    assert 0 <= minute_of_year(wall_ms) < 527_040
    assert 0 <= d_second(wall_ms) < 60_000
    assert wall_of(minute_of_year(wall_ms), d_second(wall_ms), wall_ms) == wall_ms


def test_an_arrival_after_new_year_is_of_the_next_year():
    eve = round(datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp() * 1000)
    assert wall_of(0, 5_000, eve) == eve + 15_000
    assert wall_of(minute_of_year(eve), d_second(eve), eve + 20_000) == eve
    for minute, second in ((527_040, 0), (-1, 0), (0, 60_000), (0, 65_535)):
        with pytest.raises(ValueError, match="no moment"):
            wall_of(minute, second, eve)


@given(now_ms=WALLS, ahead_ms=st.integers(0, 59 * MINUTE_MS))
def test_a_time_mark_is_tenths_of_the_hour(now_ms, ahead_ms):
    mark = time_mark(now_ms + ahead_ms, now_ms)
    assert 0 <= mark < 36_000
    assert (mark - (now_ms + ahead_ms) // 100) % 36_000 == 0
    assert time_mark(now_ms + 2 * 3_600_000, now_ms) == UNKNOWN_TIME


def srm(**changes):
    request = {
        "id": {"id": 1}, "requestID": 7, "requestType": "priorityRequest",
        "inBoundLane": {"approach": 2}, "outBoundLane": {"approach": 5},
    }  # fmt: skip
    package = {"request": {**request, **changes.pop("request", {})}, **changes.pop("package", {})}
    kind = {"role": "ambulance", "request": "requestImportanceLevel14", **changes.pop("type", {})}
    return {
        "second": 0, "requests": [package], "requestor": {"id": {"entityID": "01020304"}, "type": kind}, **changes,
    }  # fmt: skip


def read(value, at_ms: int = 1_760_000_000_000):
    vehicle = Identity(DeviceId("ambulance-1"), ManualClock(wall_ms=at_ms))
    return requests_of(value, Numbers.of(with_exits()), "test", vehicle, sequence=50, evidence=("beacons",))


def test_an_srm_becomes_a_request():
    at_ms = 1_760_000_000_000
    arrival_ms = at_ms + 18_250
    timed = {"minute": minute_of_year(arrival_ms), "second": d_second(arrival_ms)}
    (found,) = read(srm(package=timed), at_ms)
    assert (found.intersection, found.approach, found.egress) == ("north", "north-n", "south")
    assert (found.action, found.request, found.sequence, found.role) == ("request", 7, 50, "ambulance")
    assert (found.arrives_in_ms, found.importance, found.sig) == (18_250, 14, None)
    (update,) = read(srm(request={"requestType": "priorityRequestUpdate"}, type={"request": "requestImportanceLevel3"}))
    assert (update.action, update.importance, update.arrives_in_ms) == ("renew", 3, 0)
    (cancel,) = read(srm(request={"requestType": "priorityCancellation"}, type={"role": "fire"}))
    assert (cancel.action, cancel.role) == ("cancel", "fire-engine")
    assert read(srm(type={"request": "requestImportanceLevelUnKnown"}))[0].importance == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"requests": []}, "requests"),
        ({"requestor": {}}, "type"),
        ({"type": {"role": "motorcycle"}}, "role"),
        ({"type": {"request": "requestImportanceLevel15"}}, "request"),
        ({"request": {"id": {"id": 9}}}, "no intersection 9"),
        ({"request": {"id": {"id": True}}}, "id is no number"),
        ({"request": {"requestType": "priorityRequestTypeReserved"}}, "requestType"),
        ({"request": {"inBoundLane": {"approach": 9}}}, "no approach 9"),
        ({"request": {"inBoundLane": {"lane": 1}}}, "approach"),
        ({"request": {"outBoundLane": {"approach": 4}}}, "no egress 4"),
        ({"package": {"minute": 527_040, "second": 0}}, "no moment"),
    ],
)
def test_what_an_srm_cant_mean_is_named(changes, word):
    with pytest.raises(ValueError, match=word):
        read(srm(**changes))


def test_the_codec_gives_back_what_it_was_given():
    codec = JsonCodec()
    assert codec.decode("SignalRequestMessage", codec.encode("SignalRequestMessage", srm())) == srm()
    for data in (b"[]", b"{}", b'{"SPAT": 1}', b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 (of several kinds)
            codec.decode("SPAT", data)


def test_an_ssm_says_how_each_request_stands(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path, with_exits())
    edge.run(5)
    edge.ask(egress="south", arrives_in_ms=4_000, request=7)
    edge.ask("police-1", "north-e", request=9)
    message = edge.desk.ssm()
    (status,) = message["status"]
    assert status["id"] == {"id": 1}
    held, waiting = status["sigStatus"]
    assert held["requester"] == {
        "id": {"entityID": entity_id("ambulance-1")}, "request": 7, "sequenceNumber": 1, "role": "ambulance"
    }  # fmt: skip
    assert (held["inboundOn"], held["outboundOn"]) == ({"approach": 2}, {"approach": 5})
    arrival_ms = wall_of(held["minute"], held["second"], edge.clock.wall_ms())
    assert arrival_ms == edge.clock.wall_ms() + 4_000
    assert (held["status"], waiting["status"]) == ("granted", "watchOtherTraffic")
    assert "outboundOn" not in waiting
    edge.holder = "edge-b"
    edge.run(1)
    assert edge.desk.ssm()["status"][0]["sigStatus"][0]["status"] == "watchOtherTraffic"
    edge.desk.stop()


def test_a_spat_says_what_is_shown_and_until_when_at_the_earliest(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path)
    with pytest.raises(NotKnown):
        edge.desk.spat("nowhere")
    unheard = edge.desk.spat("north")["intersections"][0]
    assert {one["state-time-speed"][0]["eventState"] for one in unheard["states"]} == {"unavailable"}
    assert unheard["status"] == ["noValidSPATisAvailableAtThisTime"]
    edge.run(30)
    edge.ask("police-1", "north-n")
    seen = set()
    for _ in range(80):
        edge.run(0.25, ("police-1", "north-n"))
        (intersection,) = edge.desk.spat("north")["intersections"]
        assert intersection["id"] == {"id": 1}
        assert "preemptIsActive" in intersection["status"]
        for one in intersection["states"]:
            (event,) = one["state-time-speed"]
            aspect = edge.plant.aspect[one["signalGroup"]]
            seen.add((aspect, event["eventState"]))
            left = (event["timing"]["minEndTime"] - edge.clock.wall_ms() // 100) % 36_000
            times = edge.plant.intersection.phase(one["signalGroup"])
            assert left <= 10 * max(times.min_green_s, times.walk_s, times.yellow_s, times.pedestrian_clearance_s)
            if aspect == "yellow":
                assert event["timing"]["maxEndTime"] == event["timing"]["minEndTime"]
    assert seen >= {
        ("green", "permissive-Movement-Allowed"), ("yellow", "permissive-clearance"), ("red", "stop-And-Remain")
    }  # fmt: skip
    edge.desk.stop()
