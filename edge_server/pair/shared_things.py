"""Accounts, the site file, the modes of the signals and the vehicles that may ask for them, taken over from the other
edge server of a pair."""

from __future__ import annotations

from collections.abc import Callable

from edge_server.accounts.shared import Shared, SharedAccounts
from edge_server.pair.asking import PeerAsker
from edge_server.pair.site_file import SharedSite, SiteFile
from edge_server.pair.vehicle_file import SharedVehicles, VehiclesOfPair
from edge_server.pair.wire import ACCOUNTS, MODES, SITE, VEHICLES
from edge_server.signals.modes.book import ModeBook, SharedModes
from edge_server.store.rows import LogEntry
from protocol.ids import DeviceId

# Some thousands of people and programs; a site file of the largest city.
ANSWER_LIMIT = 8 * 1024 * 1024


class SharedThings:
    """accounts(), site(), modes() and vehicles() are each one request; there is never more after it. They raise what
    asking raises, and AccountsUnusable (KF211), SiteNotTaken (KF218) or VehicleKeysUnusable (KF320)."""

    def __init__(  # noqa: PLR0917 (what it joins)
        self,
        peer: DeviceId,
        asker: PeerAsker,
        accounts: Shared,
        site: SiteFile,
        book: ModeBook,
        vehicles: VehiclesOfPair,
        note: Callable[[LogEntry], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._peer, self._asker = peer, asker
        self._accounts, self._site, self._book = accounts, site, book
        self._vehicles = vehicles
        self._note, self._now_ms = note, now_ms

    def accounts(self) -> bool:
        self._accounts.merge(self._asker.ask(ACCOUNTS, SharedAccounts, ANSWER_LIMIT), self._peer)
        return False

    def modes(self) -> bool:
        self._book.merge(self._asker.ask(MODES, SharedModes, ANSWER_LIMIT))
        return False

    def vehicles(self) -> bool:
        self._vehicles.merge(self._asker.ask(VEHICLES, SharedVehicles, ANSWER_LIMIT))
        return False

    def site(self) -> bool:
        if self._site.merge(self._asker.ask(SITE, SharedSite, ANSWER_LIMIT)):
            self._note(
                LogEntry(
                    at_ms=self._now_ms(),
                    kind="site-taken-over",
                    severity="warning",
                    device=self._peer,
                    subject="site",
                    text=f"The site file of {self._peer} is newer and lies here now; it has effect at the next start.",
                )
            )
        return False
