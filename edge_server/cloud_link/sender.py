"""Sending one signed status to the cloud, by the credentials that joining it has left; and keeping those fresh."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from node.errors import EdgeNotReached, EdgeRefused
from node.trust import credentials as stored
from node.trust.asking import PLAIN_HOSTS, ask_standing
from node.trust.credentials import Credentials
from node.trust.csr import make_csr
from node.trust.renewal import is_due
from node.trust.signed_request import sign_request
from node.trust.wire import RenewAsk

# In the state folder, beside what an edge server has of its own.
FOLDER = "cloud"
TIMEOUT_S = 10.0
ANSWER_LIMIT = 16 * 1024
# Halfway through the span in which a fleet renews: a cloud has few edge servers.
_CHANCE = 0.5
_UNSIGNED = 401


class CloudSender:
    """One thread's. Raises EdgeNotReached (KF163) or EdgeRefused (KF162), which speak of the server that was asked."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.edge = credentials.device
        self._looked = False

    def send(self, body: bytes) -> None:
        if not self._looked or self._is_due():
            self._look()
        try:
            self._send(body)
        except EdgeRefused as error:
            if error.fields.get("status") != _UNSIGNED:
                raise
            # Our clock may be wrong by now: the cloud's time is asked for, and the request is made anew.
            self._look()
            self._send(body)

    def _look(self) -> None:
        """Learn the cloud's time; renew our certificate when that is due by it."""
        csr = ""
        if self._is_due():
            csr = make_csr(self._credentials.key(), self._credentials.device, self._credentials.joined.role)
        standing = ask_standing(self._credentials, RenewAsk(csr=csr))
        if standing.certificate:
            self._credentials = stored.update(self._credentials, certificate=standing.certificate)
        self._looked = True

    def _is_due(self) -> bool:
        credentials = self._credentials
        return is_due(credentials.facts.expires_ms, credentials.joined.life_ms, _CHANCE, credentials.time.now_ms())

    def _send(self, body: bytes) -> None:
        failure: EdgeNotReached | None = None
        for host in self._credentials.hosts:
            try:
                self._post(host, body)
            except EdgeNotReached as error:
                failure = error
            else:
                return
        assert failure is not None
        raise failure

    def _post(self, host: str, body: bytes) -> None:
        credentials = self._credentials
        path = f"/api/v1/edges/{credentials.device}/status"
        headers = sign_request(
            credentials.key(), credentials.certificate, credentials.ca, "POST", path, body, credentials.time.now_ms()
        )
        connection: http.client.HTTPConnection
        if host in PLAIN_HOSTS:
            connection = http.client.HTTPConnection(host, credentials.http_port, timeout=TIMEOUT_S)
        else:
            connection = http.client.HTTPSConnection(
                host, credentials.http_port, timeout=TIMEOUT_S, context=credentials.tls()
            )
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            said = answer.read(ANSWER_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            raise EdgeNotReached(host=host, detail=str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise _refusal(answer.status, said)


def load_sender(home: Path) -> CloudSender | None:
    """None where this edge server has joined no cloud. Raises CredentialsUnusable (KF164)."""
    found = stored.load_folder(home / FOLDER)
    return CloudSender(found) if found is not None else None


def _refusal(status: int, said: bytes) -> EdgeRefused:
    try:
        error = json.loads(said)["error"]
        words = [str(error[key])[:300] for key in ("code", "cause", "advice")]
    except (ValueError, KeyError, TypeError):
        words = [str(status), "it gave no reason.", ""]
    return EdgeRefused(refusal=words[0], detail=words[1], remedy=words[2], status=status)
