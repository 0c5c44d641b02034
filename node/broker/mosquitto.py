"""mosquitto as a child process: our own configuration, one user on loopback, joined devices by TLS, gone when we are.

What 2.0.11 does on SIGHUP, found out by trying (tests/node/test_broker_tls.py): it reads certificates, revocations and
access rules again, and forgets the sessions of TLS, so that nobody resumes one that was revoked. Who is connected stays
connected under the new access rules until it is kicked. A list of revocations that it can't read is passed over, which
is why it is read here first; max_connections is forgotten, which is why the open files are limited too.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import itertools
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from node.broker.knock import knock
from node.broker.password import USERNAME
from node.broker.port import BrokerAddress
from node.broker.tls import BrokerTls
from node.child import dying_with_parent
from node.errors import BrokerFailed, BrokerNotInstalled
from node.ports import LOOPBACK, check_port_free
from protocol.ids import DeviceId

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
# A message has 64 KiB at most (protocol/codec.py). One that is somewhat too large is to be told by its code, and not by
# a connection that is lost again and again.
MAX_PACKET_BYTES = 256 * 1024
# Of what waits for one subscriber: 20,000 observations have half of that. A device that sends to itself and does not
# listen would fill the machine's memory otherwise.
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_INFLIGHT_BYTES = 8 * 1024 * 1024
# The last bound on all of it, QoS 0 included, which nothing else bounds: whoever asks for more is thrown out.
# A device that says nothing takes 3 KB of it (measured with 300).
MEMORY_LIMIT_BYTES = 384 * 1024 * 1024
# The password is random and long, so rounds add nothing but time: thousands of devices may come back at once.
PBKDF2_ROUNDS = 1_000
RELOAD_TIMEOUT_S = 3.0
# Connections that have not even said who they are count too: a flood of them ends here, and not in memory.
MOST_CONNECTIONS = 12_000
SPARE_FILES = 64
LOG_LIMIT_BYTES = 5 * 1024 * 1024
RELOADING = b"Reloading config."
# Not the name of any device: a dot stands in none.
RELOADER = "kinflow.reload"


def find_mosquitto() -> str | None:
    """The binary's path; Debian keeps it where a user's PATH doesn't look."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def password_line(username: str, password: str, salt: bytes) -> str:
    """One line of a mosquitto 2 password file: `user:$7$rounds$salt$hash`, PBKDF2 with SHA-512 (mosquitto_passwd)."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return f"{username}:$7${PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


class MosquittoBroker:
    """Runs in `folder`, which receives its configuration, its password file (a salted hash), its access rules and its
    log. `port` is for us and our neighbours on this machine: loopback, with the password. tls: the door for joined
    devices; None for no such door. reload() and kick() may be called from any thread."""

    def __init__(self, folder: Path, port: int, password: str, tls: BrokerTls | None = None) -> None:
        self._folder = folder
        self._port = port
        self._tls = tls
        self._password = password
        self._reloading = threading.Lock()
        self._asking = itertools.count(1)
        self._served = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress(port=self._port, username=USERNAME, password=self._password)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        binary = find_mosquitto()
        if binary is None:
            raise BrokerNotInstalled()
        check_port_free(LOOPBACK, self._port)
        if self._tls is not None:
            check_port_free(self._tls.bind, self._tls.port)
            self._tls.check()
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._write_configuration()
        self._log.unlink(missing_ok=True)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                dying_with_parent([binary, "-c", str(configuration)], signal="TERM"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        _limit_files(self._process.pid)
        self._wait_until_it_accepts(self._process)
        self._wanted = True

    def revive(self) -> bool:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            os.truncate(self._log, 0)  # it appends: what comes next begins the file anew
        if not self._wanted or (self._process is not None and self._process.poll() is None):
            return False
        self.start()
        return True

    def stop(self) -> None:
        self._wanted = False
        self._end()

    def reload(self) -> None:
        """Let in who has joined, and keep out who was revoked; returns once that holds. Calls that come together share
        one reading. Raises BrokerTrustUnusable (KF171) when a file can't be read (what held before still holds),
        BrokerFailed (KF41) or BrokerUnreachable (KF43)."""
        process = self._process
        if self._tls is None or process is None or process.poll() is not None:
            return  # what is written at the next start is right by itself
        asked = next(self._asking)
        with self._reloading:
            if asked <= self._served:
                return
            serving = next(self._asking)
            self._tls.check()
            self._write_acl(self._tls)
            before = self._reloads()
            deadline = time.monotonic() + RELOAD_TIMEOUT_S
            while self._reloads() == before:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise self._failure("it did not read its files again")
                # It forgets a signal that comes while it follows another, and it answers nobody meanwhile.
                process.send_signal(signal.SIGHUP)
                knock(self.address, RELOADER)
            knock(self.address, RELOADER)
            self._served = serving

    def kick(self, device: DeviceId) -> None:
        """End the connection of a device, which reload() keeps from coming back. Raises BrokerUnreachable (KF43)."""
        knock(self.address, device)

    def _reloads(self) -> int:
        return self._log.read_bytes().count(RELOADING)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write_configuration(self) -> Path:
        passwords = self._folder / "mosquitto.passwd"
        passwords.touch(mode=0o600)
        passwords.chmod(0o600)
        passwords.write_text(password_line(USERNAME, self._password, secrets.token_bytes(12)))
        configuration = self._folder / "mosquitto.conf"
        lines = [
            "# Written by Kinflow at each start.",
            "per_listener_settings true",
            f"user {getpass.getuser()}",
            "persistence false",
            f"max_packet_size {MAX_PACKET_BYTES}",
            f"message_size_limit {MAX_PACKET_BYTES}",
            f"memory_limit {MEMORY_LIMIT_BYTES}",
            "max_inflight_messages 1000",
            f"max_inflight_bytes {MAX_INFLIGHT_BYTES}",
            "max_queued_messages 20000",
            "sys_interval 1",  # how many were dropped from a full queue is told there
            f"max_queued_bytes {MAX_QUEUED_BYTES}",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type information",
            f"listener {self._port} {LOOPBACK}",
            "allow_anonymous false",
            f"password_file {passwords}",
        ]
        if self._tls is not None:
            self._write_acl(self._tls)
            lines += [
                f"listener {self._tls.port} {self._tls.bind}",
                f"max_connections {MOST_CONNECTIONS}",
                "allow_anonymous false",
                f"cafile {self._tls.ca}",
                f"certfile {self._tls.certificate}",
                f"keyfile {self._tls.key}",
                f"crlfile {self._tls.crl}",
                "require_certificate true",
                "use_identity_as_username true",
                "use_username_as_clientid true",
                f"acl_file {self._acl}",
            ]
        configuration.write_text("\n".join(lines) + "\n")
        return configuration

    @property
    def _log(self) -> Path:
        return self._folder / "mosquitto.log"

    @property
    def _acl(self) -> Path:
        return self._folder / "mosquitto.acl"

    def _write_acl(self, tls: BrokerTls) -> None:
        """In one move: mosquitto may be reading it."""
        beside = self._acl.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.chmod(0o600)
        beside.write_text(tls.acl())
        beside.replace(self._acl)

    def _wait_until_it_accepts(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise self._failure(f"it ended with status {process.returncode}")
            try:
                with socket.create_connection((self.address.host, self._port), timeout=1.0):
                    return
            except OSError:
                time.sleep(0.02)
        self._end()
        raise self._failure(f"it accepted no connection within {START_TIMEOUT_S:.0f} s")

    def _failure(self, detail: str) -> BrokerFailed:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return BrokerFailed(kind="mosquitto", detail="; ".join([detail, *lines[-2:]]))


def _limit_files(pid: int) -> None:
    """mosquitto counts a connection against max_connections until its first reload alone; against its files, always."""
    limit = MOST_CONNECTIONS + SPARE_FILES
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > limit:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
