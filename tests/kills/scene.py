"""What a campaign plays on: a command, what it has to bring, and servers that tell what they were asked for."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from tests.cli.program import Done, Program, calm
from tests.servers.ftp_servers import Vsftpd
from tests.servers.nginx import Nginx
from tests.servers.scripted import ScriptedServer

SLOW_DISK: Final = Path(__file__).with_name("slow_disk.py")
CONNECTIONS: Final = 4
OPTIONS: Final = ("-n", str(CONNECTIONS), "--timeout", "10", "--outage", "5", "-r", "3", "--json", "--no-progress")
PATIENCE: Final = 5.0
_OPEN: Final = frozenset({"01", "08"})
"""ESTABLISHED and CLOSE_WAIT, as proc(5) writes them: the server has not done with this connection yet."""


Words = tuple[str, ...]


class Asked(NamedTuple):
    """One request for an object that is there: its key, and the byte from which it was wanted."""

    key: str
    start: int


class Ear(Protocol):
    """A server's own account."""

    @property
    def ports(self) -> frozenset[int]:
        """Where it listens."""

    def asked(self) -> list[Asked]:
        """Return what was asked for so far, in this order."""


class Heard:
    """The account of scripted servers."""

    def __init__(self, *servers: ScriptedServer) -> None:
        self._servers = servers
        self.ports = frozenset(server.port for server in servers)

    def asked(self) -> list[Asked]:
        requests = [one for server in self._servers for one in list(server.requests)]
        return [
            Asked(one.key, _first_byte(one.headers.get("range", "")))
            for one in requests
            if not one.key.startswith("?") and one.status != 404
        ]


class HeardByNginx:
    """The account in nginx's log: a request stands in it when it has ended."""

    def __init__(self, server: Nginx) -> None:
        self._server = server
        self.ports = frozenset({server.port})

    def asked(self) -> list[Asked]:
        base = self._server.base_path
        return [Asked(one.path.removeprefix(base), _first_byte(one.range)) for one in self._server.requests()]


class HeardByVsftpd:
    """The account in vsftpd's log: a RETR, and the REST that came before it on its connection."""

    _COMMAND = re.compile(r'\[pid (\d+)\].* FTP command: Client "[^"]*", "(REST|RETR) ([^"]*)"\n')

    def __init__(self, server: Vsftpd, work: Path) -> None:
        self._log = work / "vsftpd.log"
        self.ports = frozenset({server.port})

    def asked(self) -> list[Asked]:
        asked: list[Asked] = []
        starts: dict[str, int] = {}
        for session, verb, word in self._COMMAND.findall(self._log.read_text() if self._log.exists() else ""):
            if verb == "REST":
                starts[session] = int(word)
            else:
                asked.append(Asked(word, starts.pop(session, 0)))
        return asked


class Deaf:
    """A folder's account: none."""

    ports: frozenset[int] = frozenset()

    def asked(self) -> list[Asked]:
        return []


def _first_byte(words: str) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", words)
    return int(found[1]) if found else 0


@dataclass
class Scene:
    """One folder, one command, and its servers.

    Args:
        program: the folder and the environment.
        words: the command that is killed.
        wanted: content by name below `out`.
        serves: the names below `out` that an object brings, by its key.
        ear: what the servers were asked for.
        ending: the commands that end it all, with their exit codes; the first of them goes on with what was killed.
        calm_down: lets the servers answer at full speed.
        kept: content by name below `kept`, which is the folder of `-k`.
        slow_disk: whether the command that is killed has a slow disk.
        spoilt: names below `out` that are known to be damaged until the ending.
    """

    program: Program
    words: Words
    wanted: Mapping[str, bytes]
    serves: Mapping[str, frozenset[str]]
    ear: Ear
    ending: tuple[tuple[Words, int], ...]
    calm_down: Callable[[], None] = lambda: None
    kept: Mapping[str, bytes] = field(default_factory=dict)
    slow_disk: bool = False
    spoilt: frozenset[str] = frozenset()

    @property
    def out(self) -> Path:
        return self.program.folder / "out"

    @property
    def keeps(self) -> Path:
        return self.program.folder / "kept"

    def start(self) -> subprocess.Popen[str]:
        """Start the command that is to be killed."""
        begins = [sys.executable, str(SLOW_DISK)] if self.slow_disk else [sys.executable, "-m", "roco_async"]
        return subprocess.Popen(
            [*begins, *self.words],
            cwd=self.program.folder, env=self.program.settings, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, words: Words) -> Done:
        """Run a command to its end."""
        process = subprocess.Popen(
            [sys.executable, "-m", "roco_async", *words],
            cwd=self.program.folder, env=self.program.settings, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return calm(self.program.wait(process))

    def there(self) -> tuple[set[str], set[str]]:
        """Return the names below `out` that are right, and those that have other bytes than they should."""
        right: set[str] = set()
        torn: set[str] = set()
        for name, content in self.wanted.items():
            with contextlib.suppress(FileNotFoundError):
                (right if (self.out / name).read_bytes() == content else torn).add(name)
        return right, torn - self.spoilt

    def others(self) -> set[str]:
        """Return the names of files that nobody wants, below `out` but for the journals, and below `kept`."""
        mine = {str(path.relative_to(self.out)) for path in self.out.rglob("*") if not path.is_dir()}
        mine = {name for name in mine if not name.startswith(".roco/journal/")}
        packages = {str(path.relative_to(self.keeps)) for path in self.keeps.rglob("*") if not path.is_dir()}
        return (mine - self.wanted.keys()) | (packages - self.kept.keys())

    def asked(self) -> list[Asked]:
        """Return what was asked for, when the servers have done with the connections of a command that has ended."""
        deadline = time.monotonic() + PATIENCE
        while _is_served(self.ear.ports) and time.monotonic() < deadline:
            time.sleep(0.005)  # another process, or the kernel: there is no event for it
        return self.ear.asked()


def _is_served(ports: frozenset[int]) -> bool:
    """Say whether a server on one of these ports of 127.0.0.1 has a connection still, by proc(5)."""
    ends = {f":{port:04X}" for port in ports}
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[3] in _OPEN and row[1][-5:] in ends for row in rows)
