"""The authority's rules, on real files: who is let in, who is not, and what is written down."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from msgspec import structs

from node.clock import ManualClock
from node.errors import CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed, SignatureRefused
from node.trust import signed_request
from node.trust.authority import Authority
from node.trust.certificates import Facts, facts
from node.trust.csr import make_csr
from node.trust.desk import Desk
from node.trust.join_code import decode
from node.trust.judging import REPEAT_MS
from node.trust.keys import PrivateKey, new_key
from node.trust.records import AuditRow, CertificateRow, Records, RequestRow
from node.trust.registry import Registry
from node.trust.signed_request import WITHIN_MS, RequestVerifier, sign_request
from node.trust.wire import JoinAsk
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages.presence import Role

EDGE, CAM = DeviceId("edge-1"), DeviceId("cam-1")
DAY_MS = 86_400_000


@dataclass
class Site:
    clock: ManualClock
    registry: Registry
    desk: Desk

    def said(self) -> list[str]:
        return [row.kind for row in self.registry.records.all(AuditRow, "audit", order="id")]

    def alarms(self) -> list[str]:
        return [row.alarm for row in self.registry.records.all(AuditRow, "audit", order="id") if row.alarm]


def open_site(folder: Path, clock: ManualClock) -> Site:
    authority = Authority(folder, EDGE, clock.wall_ms())
    registry = Registry(authority, Records(folder), clock.wall_ms)
    return Site(clock, registry, Desk(registry))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path / "authority", ManualClock(wall_ms=1_800_000_000_000))


def ask(
    code: str, device: str = CAM, *, key: PrivateKey | None = None, role: Role = "agent", attempt: str = ""
) -> JoinAsk:
    csr = make_csr(key or new_key(), DeviceId(device), role)
    return JoinAsk(attempt=attempt or secrets.token_hex(16), secret=decode(code).secret.hex(), csr=csr)


def known(row: RequestRow) -> Facts:
    return facts(x509.load_pem_x509_certificate(row.certificate.encode()))


def revoked(site: Site) -> set[str]:
    crl = x509.load_pem_x509_crl((site.registry.authority.folder / "crl.pem").read_bytes())
    assert crl.is_signature_valid(site.registry.authority.root.public_key())  # type: ignore[arg-type]
    return {f"{one.serial_number:x}" for one in crl}


def test_approved_in_advance_is_let_in_at_once(site: Site) -> None:
    code, _ = site.desk.make_code(approved=True)
    row = site.desk.join(ask(code), "10.0.0.5")
    assert row.state == "issued"
    assert known(row).device == CAM
    assert known(row).expires_ms - site.clock.wall_ms() == 7 * DAY_MS
    assert site.registry.allowed(known(row), site.clock.wall_ms()) == ""


def test_otherwise_a_person_agrees_or_not(site: Site) -> None:
    for name, agree in (("cam-1", True), ("cam-2", False)):
        code, _ = site.desk.make_code()
        row = site.desk.join(ask(code, name), "10.0.0.5")
        assert row.state == "pending"
        assert [one.id for one in site.desk.requests()] == [row.id]
        decided = (site.desk.approve if agree else site.desk.refuse)(row.id, "ann")
        assert decided is not None
        assert (decided.state, bool(decided.certificate)) == (("issued", True) if agree else ("refused", False))
        assert site.desk.requests() == []
        assert site.desk.approve(row.id) == site.desk.request(row.id) == decided


def test_the_plain_code_is_kept_nowhere(site: Site) -> None:
    code, _ = site.desk.make_code()
    site.desk.join(ask(code), "10.0.0.5")
    secret = decode(code).secret
    for path in site.registry.authority.folder.iterdir():
        data = path.read_bytes()
        assert not any(form in data for form in (code.encode(), secret, secret.hex().encode())), path.name


def test_a_lost_answer_may_be_asked_for_again_for_a_while(site: Site) -> None:
    code, _ = site.desk.make_code(approved=True)
    asked = ask(code)
    first = site.desk.join(asked, "10.0.0.5")
    assert site.desk.join(asked, "10.0.0.5") == first
    site.clock.advance(REPEAT_MS + 1)
    with pytest.raises(JoinCodeUsed):
        site.desk.join(asked, "10.0.0.5")


def test_a_stolen_code_is_refused_and_told(site: Site) -> None:
    code, _ = site.desk.make_code(approved=True)
    site.desk.join(ask(code, "cam-1"), "10.0.0.5")
    with pytest.raises(JoinCodeUsed, match="cam-1"):
        site.desk.join(ask(code, "cam-2"), "10.0.0.66")
    assert site.registry.device("cam-2") is None
    assert site.alarms() == ["join-code-used-twice"]


def test_a_replayed_request_is_refused(site: Site) -> None:
    """A recorded CSR under another code."""
    first, _ = site.desk.make_code(approved=True)
    second, _ = site.desk.make_code(approved=True)
    asked = ask(first)
    site.desk.join(asked, "10.0.0.5")
    replayed = structs.replace(asked, secret=decode(second).secret.hex(), attempt=secrets.token_hex(16))
    with pytest.raises(CsrRefused, match="before"):
        site.desk.join(replayed, "10.0.0.66")
    assert site.said()[-1] == "join-refused"


def test_codes_that_are_refused(site: Site) -> None:
    expired, _ = site.desk.make_code(minutes=1)
    site.clock.advance(60_000)
    cancelled, row = site.desk.make_code()
    assert site.desk.cancel_code(row.id)
    bound, _ = site.desk.make_code(device="cam-9")
    forged = structs.replace(ask(bound, "cam-9"), secret="0" * 14)
    for asked in (
        forged,
        ask(expired),
        ask(cancelled),
        ask(bound, "cam-1"),
        ask(site.desk.make_code()[0], "edge-2", role="edge"),
        ask(site.desk.make_code(role="edge")[0], "cam-1"),
    ):
        with pytest.raises(JoinCodeRefused):
            site.desk.join(asked, "10.0.0.5")
        assert site.said()[-1] == "code-refused"
    assert site.registry.devices() == []
    assert site.desk.join(ask(bound, "cam-9"), "10.0.0.5").state == "pending"


def test_a_bad_request_costs_no_code(site: Site) -> None:
    code, _ = site.desk.make_code(approved=True)
    with pytest.raises(CsrRefused):
        site.desk.join(structs.replace(ask(code), csr="no request"), "10.0.0.5")
    assert site.desk.join(ask(code), "10.0.0.5").state == "issued"


def test_an_id_is_taken_unless_the_code_replaces(site: Site) -> None:
    old = site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.5")
    with pytest.raises(DeviceIdTaken):
        site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.6")
    with pytest.raises(DeviceIdTaken):
        site.desk.join(ask(site.desk.make_code(approved=True)[0], EDGE), "10.0.0.6")
    code, _ = site.desk.make_code(device=CAM, approved=True, replaces=True)
    new = site.desk.join(ask(code), "10.0.0.7")
    assert revoked(site) == {known(old).serial}
    assert site.registry.allowed(known(new), site.clock.wall_ms()) == ""
    assert "revoked" in site.registry.allowed(known(old), site.clock.wall_ms())


def test_two_that_ask_for_one_id(site: Site) -> None:
    rows = [site.desk.join(ask(site.desk.make_code()[0]), "10.0.0.5") for _ in range(2)]
    site.desk.approve(rows[0].id)
    with pytest.raises(DeviceIdTaken):
        site.desk.approve(rows[1].id)
    assert [one.id for one in site.desk.requests()] == [rows[1].id]


def test_one_code_lets_one_in_however_many_come_at_once(site: Site, tmp_path: Path) -> None:
    """Two processes' worth: each with a connection of its own."""
    code, _ = site.desk.make_code(approved=True)
    issued: list[str] = []
    refused: list[KinflowError] = []

    def come(name: str) -> None:
        own = open_site(tmp_path / "authority", site.clock)
        try:
            issued.append(own.desk.join(ask(code, name), "10.0.0.5").device)
        except KinflowError as error:
            refused.append(error)
        finally:
            own.registry.records.close()

    threads = [threading.Thread(target=come, args=(f"cam-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issued) == 1
    assert [type(one) for one in refused] == [JoinCodeUsed] * 5
    assert [one.device for one in site.registry.devices()] == issued


def test_revoked_for_good_and_back_by_a_code_only(site: Site) -> None:
    key = new_key()
    row = site.desk.join(ask(site.desk.make_code(approved=True)[0], key=key), "10.0.0.5")
    before = site.registry.records.revision
    assert site.registry.revoke(CAM) == 1
    assert site.registry.records.revision > before
    assert revoked(site) == {known(row).serial}
    assert site.registry.allowed(known(row), site.clock.wall_ms())
    with pytest.raises(CsrRefused, match="key"):
        site.desk.join(ask(site.desk.make_code(approved=True)[0], key=key), "10.0.0.5")
    assert site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.5").state == "issued"


def test_renewal_keeps_name_role_and_key(site: Site) -> None:
    key = new_key()
    row = site.desk.join(ask(site.desk.make_code(approved=True)[0], key=key), "10.0.0.5")
    site.clock.advance(5 * DAY_MS)
    fresh = facts(x509.load_pem_x509_certificate(site.registry.renew(known(row), make_csr(key, CAM, "agent")).encode()))
    assert fresh.expires_ms - known(row).expires_ms == 5 * DAY_MS
    for csr in (
        make_csr(new_key(), CAM, "agent"),
        make_csr(key, CAM, "controller"),
        make_csr(key, EDGE, "edge"),
        make_csr(key, DeviceId("cam-2"), "agent"),
    ):
        with pytest.raises(CsrRefused):
            site.registry.renew(known(row), csr)


@pytest.mark.parametrize(("days", "allowed"), [(6, True), (8, True), (36, True), (38, False)])
def test_grace_after_the_end(site: Site, days: int, allowed: bool) -> None:
    row = site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.5")
    site.clock.advance(days * DAY_MS)
    assert (site.registry.allowed(known(row), site.clock.wall_ms()) == "") is allowed


def test_a_device_that_a_backup_lacks_is_taken_in_by_its_certificate(site: Site) -> None:
    row = site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.5")
    site.registry.records.run("DELETE FROM devices")
    site.registry.records.run("DELETE FROM certificates")
    assert site.registry.allowed(known(row), site.clock.wall_ms()) == ""
    assert site.registry.adopted(known(row)).device == CAM
    site.registry.revoke(CAM)
    assert site.registry.allowed(known(row), site.clock.wall_ms())


def test_two_edge_servers_with_one_root_agree_on_who_has_joined(site: Site, tmp_path: Path) -> None:
    """What one lets in or puts out holds at the other, in whatever order they ask one another."""
    folder = tmp_path / "second"
    folder.mkdir()
    for name in ("ca.key", "ca.pem"):
        (folder / name).write_bytes((site.registry.authority.folder / name).read_bytes())
    (folder / "ca.key").chmod(0o600)
    second = open_site(folder, site.clock)
    row = site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.5")
    before = second.registry.records.revision
    assert second.registry.merge(site.registry.members())
    assert not second.registry.merge(site.registry.members())
    assert second.registry.records.revision == before + 1
    assert second.registry.device(CAM) == site.registry.device(CAM)
    site.clock.advance(1000)
    second.registry.revoke(CAM)
    site.registry.renew(known(row), row.csr)
    assert site.registry.merge(second.registry.members())
    assert not second.registry.merge(site.registry.members())
    for one in (site, second):
        device = one.registry.device(CAM)
        assert device is not None
        assert device.state == "revoked"
        assert one.registry.allowed(known(row), site.clock.wall_ms())
    site.clock.advance(1000)
    back = site.desk.join(ask(site.desk.make_code(approved=True)[0]), "10.0.0.6")
    second.registry.merge(site.registry.members())
    assert not site.registry.merge(second.registry.members())
    assert second.registry.allowed(known(back), site.clock.wall_ms()) == ""
    assert known(row).serial in revoked(second)


class Signed:
    """A joined device that signs, and the verifier of its site."""

    def __init__(self, site: Site, device: DeviceId = CAM) -> None:
        self.site, self.key = site, new_key()
        self.row = site.desk.join(ask(site.desk.make_code(approved=True)[0], device, key=self.key), "10.0.0.5")
        self.verifier = RequestVerifier(site.registry.authority.root, site.registry.allowed)

    def headers(self, body: bytes = b"{}", **change: str) -> dict[str, str]:
        root, now_ms = self.site.registry.authority.ca, self.site.clock.wall_ms()
        return sign_request(self.key, self.row.certificate, root, "POST", "/renew", body, now_ms) | change

    def verify(self, headers: dict[str, str], method: str = "POST", path: str = "/renew", body: bytes = b"{}") -> Facts:
        return self.verifier.verify(method, path, headers, body, self.site.clock.wall_ms())


def test_a_signed_request_tells_who_sent_it(site: Site) -> None:
    signed = Signed(site)
    assert signed.verify(signed.headers()).device == CAM


def test_a_signed_request_is_good_once_and_for_itself_alone(site: Site, tmp_path: Path) -> None:
    signed = Signed(site)
    headers = signed.headers()
    signed.verify(headers)
    with pytest.raises(SignatureRefused, match="before"):
        signed.verify(headers)
    for bad, where in (
        (signed.headers(), {"method": "GET"}),
        (signed.headers(), {"path": "/else"}),
        (signed.headers(), {"body": b"[]"}),
        (signed.headers(**{"kinflow-at": str(site.clock.wall_ms() + 1)}), {}),
        (signed.headers(**{"kinflow-nonce": "0" * 32}), {}),
        (signed.headers(**{"kinflow-signature": "AAAA"}), {}),
        (signed.headers(**{"kinflow-signature": "ü"}), {}),
        (signed.headers(**{"kinflow-certificate": "AAAA"}), {}),
        (signed.headers(**{"kinflow-at": "x"}), {}),
        ({}, {}),
    ):
        with pytest.raises(SignatureRefused):
            signed.verify(bad, **where)  # type: ignore[arg-type]
    late = signed.headers()
    site.clock.advance(WITHIN_MS + 1)
    with pytest.raises(SignatureRefused, match="minutes"):
        signed.verify(late)
    stranger = open_site(tmp_path / "other", site.clock)
    with pytest.raises(SignatureRefused, match="authority"):
        signed.verify(Signed(stranger).headers())
    site.registry.revoke(CAM)
    with pytest.raises(SignatureRefused, match="revoked"):
        signed.verify(signed.headers())


def test_one_device_cant_use_up_the_memory_of_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_request, "NONCES_OF_ONE", 3)
    greedy, other = Signed(site), Signed(site, DeviceId("cam-2"))
    other.verifier = greedy.verifier
    for _ in range(3):
        greedy.verify(greedy.headers())
    with pytest.raises(SignatureRefused, match="too many"):
        greedy.verify(greedy.headers())
    once = other.headers()
    other.verify(once)
    with pytest.raises(SignatureRefused, match="before"):
        other.verify(once)
    site.clock.advance(2 * WITHIN_MS + 1)
    greedy.verify(greedy.headers())


def test_revoked_serials_are_never_left_out(site: Site) -> None:
    serials = set()
    for number in range(3):
        row = site.desk.join(ask(site.desk.make_code(approved=True)[0], f"cam-{number}"), "10.0.0.5")
        serials.add(known(row).serial)
        site.registry.revoke(row.device)
        site.clock.advance(400 * DAY_MS)
    assert revoked(site) == serials
    rows = site.registry.records.all(CertificateRow, "certificates")
    assert all(row.revoked_ms for row in rows)
