"""Real FTP servers on free ports of 127.0.0.1: vsftpd, pyftpdlib, and aioftp's own.

with Vsftpd(folder, work) as server:
    ...  # server.url("a.tar.gz")
assert server.connections() == 1
"""

from __future__ import annotations

import logging
import re
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from .ports import free_port, started, stop
from .programs import require_program

_VSFTPD = """\
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
anon_world_readable_only=NO
anon_root={folder}
run_as_launching_user=YES
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
max_clients=0
max_per_ip=0
xferlog_enable=YES
log_ftp_protocol=YES
vsftpd_log_file={work}/vsftpd.log
{extra}
"""


class Vsftpd:
    """Debian's vsftpd, anonymous, under the user that runs the tests.

    Args:
        folder: what it serves.
        work: an empty or new folder for configuration and log.
        extra: lines of its configuration, `max_per_ip=3`.
    """

    def __init__(self, folder: Path, work: Path, *, extra: str = "") -> None:
        self._folder, self._work, self._extra = folder, work, extra
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, key: str) -> str:
        return f"ftp://127.0.0.1:{self.port}/" + quote(key, safe="/")

    def __enter__(self) -> Self:
        program = require_program("vsftpd", package="vsftpd")
        self._work.mkdir(parents=True, exist_ok=True)

        def command(port: int) -> list[str]:
            file = self._work / "vsftpd.conf"
            file.write_text(_VSFTPD.format(port=port, folder=self._folder, work=self._work, extra=self._extra))
            file.chmod(0o600)
            return [program, str(file)]

        self._process, self.port = started(command, self._work / "output")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop(self._process)

    def connections(self) -> int:
        """Return how many control connections logged in; the one that waited for the start did not."""
        return len(re.findall(r"OK LOGIN: Client", self._log()))

    def commands(self) -> list[str]:
        """Return the commands as they came."""
        return re.findall(r'FTP command: Client "[^"]*", "([^"]*)"', self._log())

    def _log(self) -> str:
        file = self._work / "vsftpd.log"  # made with the first line
        return file.read_text(errors="replace") if file.exists() else ""


class Pyftpdlib:
    """pyftpdlib in a thread; anonymous, and a user with a password.

    Args:
        folder: what it serves.
        user: a name, with `password`, beside `anonymous`.
        most: control connections at once.
        masquerade: the address in its replies to PASV; it then knows no EPSV.
    """

    def __init__(
        self, folder: Path, *, user: str = "", password: str = "", most: int = 0, masquerade: str | None = None
    ) -> None:
        self._folder, self._user, self._password = folder, user, password
        self._most, self._masquerade = most, masquerade
        self.port = 0
        self.connections = 0

    def url(self, key: str, account: str = "") -> str:
        return f"ftp://{account}127.0.0.1:{self.port}/" + quote(key, safe="/")

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.11 says asyncore's end is near
            from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
            from pyftpdlib.handlers import FTPHandler  # type: ignore[import-untyped]
            from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

        logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
        authorizer = DummyAuthorizer()
        authorizer.add_anonymous(str(self._folder))
        if self._user:
            authorizer.add_user(self._user, self._password, str(self._folder))
        outer = self

        class Handler(FTPHandler):  # type: ignore[misc]
            masquerade_address = outer._masquerade

            def on_connect(self) -> None:
                outer.connections += 1

        Handler.authorizer = authorizer
        if self._masquerade:
            Handler.proto_cmds = {verb: facts for verb, facts in FTPHandler.proto_cmds.items() if verb != "EPSV"}
        self._server: Any = FTPServer(("127.0.0.1", free_port()), Handler)
        self._server.max_cons = self._most or 512
        self.port = self._server.address[1]
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._ends.is_set():
            self._server.ioloop.loop(timeout=0.01, blocking=False)  # serve_forever would set up logging, each time
        self._server.close_all()

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)


@contextmanager
def quiet_aioftp() -> Iterator[None]:
    """Keep aioftp's server from logging that its clients leave."""
    logger = logging.getLogger("aioftp")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
