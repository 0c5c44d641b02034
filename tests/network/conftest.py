"""Networks for the long proofs. Where none can be made they are skipped, and the end of the run says so in red."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.broker.mosquitto import find_mosquitto
from tests.network.lab import Network, why_not
from tests.network.site import Site

_SKIPPED = pytest.StashKey[str]()


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    reason = why_not() or ("" if find_mosquitto() else "mosquitto is not installed")
    if reason:
        request.config.stash[_SKIPPED] = reason
        pytest.skip(reason)
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An edge server and its devices, joined and watching."""
    made = Site(network, tmp_path_factory.mktemp("site"))
    made.edge.run()
    made.join_all()
    made.watch_all()
    yield made
    made.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash.get(_SKIPPED, "")
    if reason:
        terminalreporter.section("tests/network was NOT run", red=True)
        terminalreporter.line(f"Nothing was proven: {reason}.")
