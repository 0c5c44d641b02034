"""Reading a route against the site: what is ours, who comes next, where it breaks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edge_server.signals.preemption.route import Ways, read_route
from protocol.site import Neighbour
from protocol.site_check import check, faults
from tests.edge_server.signals.preemption.wave_kit import NAMES, leg, road, way

EAST = Neighbour(site="east", hosts=("10.0.0.2",), pin="0" * 64, exits=("bridge",))
WAYS = Ways.of(road(*NAMES, onward="bridge", neighbours=(EAST,)))


def own(*legs):
    return [one.leg.intersection for one in read_route(WAYS, legs).own]


def test_legs_add_up_to_the_way_that_is_left():
    route = read_route(WAYS, way(*NAMES, first_m=100))
    assert [one.distance_m for one in route.own] == [100, 350, 600]
    assert (route.onward, route.fault) == ((), None)


def test_what_follows_ours_is_handed_on_and_a_site_behind_that_is_its_own_neighbours_business():
    far = (leg("bay", "cape-w", site="east"), leg("cape", site="cape-town"))
    route = read_route(WAYS, (*way("third", out="bridge"), *far))
    assert (own(*way("third", out="bridge"), *far), route.onward, route.fault) == (["third"], ("east",), None)
    assert read_route(WAYS, far).onward == ("east",), "a vehicle that has passed all of ours may still speak here"


@pytest.mark.parametrize(
    ("legs", "served", "fault"),
    [
        ((*way("first", out="nowhere"), *way("second")), ["first", "second"], (1, "route-gap")),
        ((*way("first", "second", out="third-w"), leg("fourth")), ["first", "second"], (2, "unknown-intersection")),
        ((*way("third", out="bridge"), leg("bay", site="mars")), ["third"], (1, "unknown-neighbour")),
        ((*way("third", out="out"), leg("bay", site="east")), ["third"], (1, "route-gap")),
        ((leg("first", None), *way("third")), ["first", "third"], (1, "route-gap")),
    ],
)
def test_a_route_is_good_up_to_the_first_leg_that_is_wrong(legs, served, fault):
    route = read_route(WAYS, legs)
    assert [one.leg.intersection for one in route.own] == served
    assert route.fault == fault
    assert [one.linked for one in route.own] == [True] * len(route.own[:-1]) + [
        not (fault[1] == "route-gap" and len(served) == fault[0] + 1)
    ]


def test_a_leg_whose_egress_is_not_known_leads_where_its_lanes_lead():
    assert read_route(WAYS, (leg("first", None), *way("second"))).fault is None


def test_an_intersection_that_is_passed_twice_is_planned_once():
    first, second = way("first", "second")
    route = read_route(WAYS, (first, replace(second, egress=None), replace(first, distance_m=900)))
    assert [one.distance_m for one in route.own] == [250, 500]


def test_a_neighbour_that_can_not_be_is_found_by_the_site_check():
    odd = road(*NAMES, neighbours=(EAST, replace(EAST, site="test")))
    assert [one.text for one in faults(odd)] == ["a site is not its own neighbour"]
    assert any("exit 'bridge'" in one.text for one in check(odd))
