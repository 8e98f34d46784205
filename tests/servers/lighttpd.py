"""Debian's lighttpd: a server that has so many places, and leaves who comes beyond them in its backlog.

with Lighttpd(folder, tmp_path / "lighttpd", places=8) as server:
    ...  # server.base
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from .ports import started, stop
from .programs import require_program

_CONFIG = """\
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{work}/error.log"
server.max-connections = {places}
server.max-keep-alive-requests = 100000
server.max-keep-alive-idle = 600
"""


class Lighttpd:
    """A folder served on a free port of 127.0.0.1, from kept-alive connections that it never ends by itself.

    Args:
        folder: what is served, at `/`.
        work: an empty or new folder for configuration and log.
        places: connections at once; further ones are let connect, and nobody reads what they ask for.
    """

    def __init__(self, folder: Path, work: Path, *, places: int) -> None:
        self._folder, self._work, self._places = folder, work, places
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def base(self) -> str:
        """The base URL, with a slash at its end."""
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        program = require_program("lighttpd", package="lighttpd")
        self._work.mkdir(parents=True, exist_ok=True)

        def command(port: int) -> list[str]:
            file = self._work / "lighttpd.conf"
            file.write_text(
                _CONFIG.format(folder=self._folder, work=self._work, port=port, places=self._places), encoding="utf-8"
            )
            return [program, "-D", "-f", str(file)]

        self._process, self.port = started(command, self._work / "error.log")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop(self._process)
