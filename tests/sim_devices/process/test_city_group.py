"""Which processes a city is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.server import TOKEN_FILE
from node.ports import first_free_port
from sim_devices.city.layout import CityLayout
from sim_devices.group import CLOUD_TOKEN, CityGroup, GroupOptions


@pytest.mark.parametrize("cloud", [True, False])
def test_a_city_has_all_three_tiers_and_the_edge_knows_the_cloud(tmp_path: Path, cloud: bool) -> None:
    assert CLOUD_TOKEN == TOKEN_FILE
    port = first_free_port(28_900)
    layout = CityLayout(columns=1, rows=1)
    group = CityGroup(GroupOptions(home=tmp_path, port=port, sensing="truth", layout=layout, cloud=cloud))
    children = {child.name: child for child in group.children()}
    assert ("cloud" in children) is cloud
    told = children["edge"].environment or {}
    assert ("KINFLOW_SERVING_ABOVE" in told) is cloud
    if cloud:
        assert told["KINFLOW_SERVING_ABOVE"].rpartition(":")[2] in children["cloud"].command
        assert Path(told["KINFLOW_SERVING_ABOVE_TOKEN_FILE"]).parent == tmp_path / "city" / "cloud"
