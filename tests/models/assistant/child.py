"""`kinflow` in a process of its own, with the understanding that knows some questions by heart, for tests alone.

    python -m tests.models.assistant.child [--no-sockets] [--own-terminal] ask "how is mill street" --json

--no-sockets: the process ends with 99 the moment that anything in it makes a socket or looks a name up.
--own-terminal: what stands on its standard input becomes its terminal, so that Ctrl-C reaches it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import time

import models.assistant.desk
from kinflow.main import main
from models.assistant.understanding.choice import Choice, Entities
from tests.models.assistant.doubles import ByHeart


class Slow(ByHeart):
    """Thinks about the question `slowly` for a minute."""

    def choose(self, question: str, entities: Entities) -> Choice:
        if question == "slowly":
            time.sleep(60)
        return super().choose(question, entities)


def watch(event: str, _: object) -> None:
    if event.startswith("socket."):
        os.write(2, f"{event}\n".encode())
        os._exit(99)


if __name__ == "__main__":
    models.assistant.desk.open_understanding = lambda home: Slow()  # type: ignore[assignment]
    arguments = sys.argv[1:]
    if arguments[0] == "--no-sockets":
        sys.addaudithook(watch)
        del arguments[0]
    if arguments[0] == "--own-terminal":
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        del arguments[0]
    main(arguments)
