"""Runs `python -m roco_async` as its users do: another process, a folder of its own, an environment of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import roco_async
from tests.servers.scripted import ScriptedServer

SOURCES: Final = Path(roco_async.__file__).resolve().parent.parent
FAST: Final = ("--timeout", "1", "--outage", "1", "-r", "3")
PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Done:
    """What a command left: its code, its words, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The one line of `--json`."""
        assert self.out.endswith("\n"), self
        assert self.out.count("\n") == 1, self
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def calm(done: Done) -> Done:
    """Return the result, after a look that no traceback and no warning is in its words."""
    for word in ("Traceback", "Warning", "Exception ignored", "never awaited", "was destroyed", "never retrieved"):
        assert word not in done.err + done.out, done.err + done.out
    return done


@dataclass
class Program:
    """The command line in a folder, before a server.

    Args:
        folder: the working directory; the cache and the home are below it.
        base: the bucket's base, given as `--cloud-url` to each command but those that have one.
    """

    folder: Path
    base: str = "http://127.0.0.1:1/"
    environment: dict[str, str] = field(default_factory=dict)

    def words(self, line: str, options: tuple[str, ...] = FAST, flags: tuple[str, ...] = ()) -> list[str]:
        given = line.split()
        cloud = [] if "--cloud-url" in given else ["--cloud-url", self.base]
        return [sys.executable, *flags, "-m", "roco_async", *given, *cloud, *options]

    @property
    def settings(self) -> dict[str, str]:
        """The environment, without anything of the tester's own that would matter."""
        drop = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"}
        kept = {name: value for name, value in os.environ.items() if name.upper() not in drop}
        own = {"PYTHONPATH": str(SOURCES), "HOME": str(self.folder / "home"), "COLUMNS": "120"}
        return {**kept, **own, "XDG_CACHE_HOME": str(self.folder / "cache"), **self.environment}

    def start(
        self, line: str, options: tuple[str, ...] = FAST, flags: tuple[str, ...] = (), **more: Any
    ) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        pipes |= {"preexec_fn": _hear_hangups, **more}
        return subprocess.Popen(
            self.words(line, options, flags), cwd=self.folder, env=self.settings, text=True, **pipes
        )

    def run(self, line: str, options: tuple[str, ...] = FAST, flags: tuple[str, ...] = (), **more: Any) -> Done:
        return self.wait(self.start(line, options, flags, **more))

    def wait(self, process: subprocess.Popen[str], *, since: float | None = None) -> Done:
        began = time.monotonic() if since is None else since
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {PATIENCE} s:\n{out}\n{err}") from None
        return Done(process.returncode, out or "", err or "", time.monotonic() - began)


def _hear_hangups() -> None:
    """Undo what the tester's own nohup would pass on."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def wait_until(holds: Callable[[], object], patience: float = 10) -> None:
    """Poll another process's doing, which has no event for us.

    Raises:
        AssertionError: it never held.
    """
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.005)


def served(server: ScriptedServer) -> int:
    """Return how many answers went out whole."""
    return sum(one.whole for one in server.requests)


def signalled(
    program: Program,
    server: ScriptedServer,
    line: str,
    numbers: tuple[signal.Signals, ...],
    *,
    after: int = 5,
    hanging: int = 0,
) -> Done:
    """Start a command, send it signals once so many images are out and so many hang, and return what became of it."""
    process = program.start(line, ("--timeout", "20"))
    wait_until(lambda: served(server) >= after and len(server.requests) - served(server) >= hanging)
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        if len(numbers) > 1:
            time.sleep(0.15)  # two signals of one kind would be one to the kernel
    return calm(program.wait(process, since=began))


@contextmanager
def environment(program: Program, values: Mapping[str, str]) -> Iterator[Program]:
    """Return a Program whose environment has these values too."""
    yield Program(program.folder, program.base, {**program.environment, **values})
