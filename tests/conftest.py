"""What every test stands on: a state folder of its own, no settings from outside, and where the data is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# As kinflow.main does, before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("KINFLOW_DATA", ROOT.parent / "shared" / "data"))
KEPT_VARIABLES = ("KINFLOW_DATA", "KINFLOW_CHROMIUM")

# A busy machine is no failure.
settings.register_profile("kinflow", deadline=None)
settings.load_profile("kinflow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip(f"no data at {DATA}")


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads this machine's settings or writes to its state folder; child processes inherit that."""
    for name in list(os.environ):
        if name.startswith("KINFLOW_") and name not in KEPT_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path_factory.mktemp("home")))


CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of development data; use it in tests that are marked `data`."""
    return DATA


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium that Playwright can drive. `install.sh test` provides one, so that its absence is a failure there."""
    named = os.environ.get("KINFLOW_CHROMIUM")
    path = shutil.which(named or "chromium")
    if path is None and (named or os.environ.get("CI")):
        pytest.fail(f"there is no Chromium at {named or 'chromium'}", pytrace=False)
    if path is None:
        pytest.skip("no Chromium here; ./install.sh test installs one")
    return path


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A running Chromium. It ends with its module: while it runs, Playwright keeps an event loop on this thread, and
    neither asyncio.run() nor zeroconf works beside that."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (few tests need it)

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
        yield running
        running.close()
