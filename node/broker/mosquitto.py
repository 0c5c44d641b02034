"""mosquitto as a child process: our own configuration, loopback unless asked, one user, gone when we are."""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from node.broker.password import USERNAME
from node.broker.port import BrokerAddress
from node.child import dying_with_parent
from node.errors import BrokerFailed, BrokerNotInstalled
from node.ports import LOOPBACK, check_port_free

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
MAX_PACKET_BYTES = 1024 * 1024
# The password is random and long, so rounds add nothing but time: thousands of devices may come back at once.
PBKDF2_ROUNDS = 1_000


def find_mosquitto() -> str | None:
    """The binary's path; Debian keeps it where a user's PATH doesn't look."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def password_line(username: str, password: str, salt: bytes) -> str:
    """One line of a mosquitto 2 password file: `user:$7$rounds$salt$hash`, PBKDF2 with SHA-512 (mosquitto_passwd)."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return f"{username}:$7${PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


class MosquittoBroker:
    """Runs in `folder`, which receives its configuration, its password file (a salted hash) and its log. bind: the
    address that it listens on; loopback must be among what that means, for we ourselves come in there."""

    def __init__(self, folder: Path, port: int, password: str, bind: str = LOOPBACK) -> None:
        self._folder = folder
        self._port = port
        self._bind = bind
        self._password = password
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
        check_port_free(self._bind, self._port)
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._write_configuration()
        with (self._folder / "mosquitto.log").open("wb") as output:
            self._process = subprocess.Popen(
                dying_with_parent([binary, "-c", str(configuration)], signal="TERM"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_it_accepts(self._process)
        self._wanted = True

    def revive(self) -> bool:
        if not self._wanted or (self._process is not None and self._process.poll() is None):
            return False
        self.start()
        return True

    def stop(self) -> None:
        self._wanted = False
        self._end()

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
        configuration.write_text(
            "# Written by Kinflow at each start.\n"
            f"listener {self._port} {self._bind}\n"
            f"user {getpass.getuser()}\n"
            "allow_anonymous false\n"
            f"password_file {passwords}\n"
            "persistence false\n"
            f"max_packet_size {MAX_PACKET_BYTES}\n"
            f"message_size_limit {MAX_PACKET_BYTES}\n"
            "max_inflight_messages 1000\n"
            "max_queued_messages 20000\n"
            "set_tcp_nodelay true\n"
            "log_dest stderr\n"
            "log_type error\n"
            "log_type warning\n"
        )
        return configuration

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
        lines = (self._folder / "mosquitto.log").read_text(errors="replace").strip().splitlines()
        return BrokerFailed(kind="mosquitto", detail="; ".join([detail, *lines[-2:]]))
