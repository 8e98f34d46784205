"""The stage of the stall tests: servers that fall silent, and many of them played at the same time.

A `Mute` says the first words of something and then nothing more, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp

from roco_async import FetchConfig, Fetcher
from tests.packages.stage import package, path_of
from tests.packages.stage import record as packed_record
from tests.servers.faults import Fault
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import Data, ScriptedFtp, Silence
from tests.servers.tls import Authority

from .stage import KEY, A, record

DEADLINE: Final = 30
"""Seconds for everything that is played together; the product's own timeout is 0.4."""


class Mute:
    """A server on 127.0.0.1 that says so much to a connection, or to a request, and then nothing more.

    Args:
        words: what it says first.
        creeps: what it says over and over after that, every twentieth of a second; nothing if empty.
        hears: whether it waits for a request's head before it says anything.
        tls: whose certificate it has.
    """

    def __init__(
        self, words: bytes = b"", *, creeps: bytes = b"", hears: bool = True, tls: Authority | None = None
    ) -> None:
        self._words, self._creeps, self._hears, self._tls = words, creeps, hears, tls
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def base(self) -> str:
        return f"http{'s' if self._tls else ''}://{self.place}/"

    async def __aenter__(self) -> Self:
        context = self._tls.server_context() if self._tls else None
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self._hears:
                await reader.readuntil(b"\r\n\r\n")
            writer.write(self._words)
            while self._creeps and not writer.is_closing():
                await asyncio.sleep(0.05)
                writer.write(self._creeps)
            await asyncio.Event().wait()
        writer.transport.abort()


@contextlib.contextmanager
def nobody_accepts(*, backlog_is_full: bool) -> Iterator[int]:
    """Listen on a port where connections are never accepted, and, once the backlog is full, not even answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4 if backlog_is_full else 0):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def told(base: str, out: Path, *, session: aiohttp.ClientSession | None = None, **more: object) -> str:
    """Fetch one image from a base that stalls; return why it did not come, or its status."""
    fields: dict[str, object] = {"attempts": 2, "timeout": 0.4, "outage": 0.8, "connections": 4, "cloud_url": base}
    wanted = record(1)
    if "source" in more:
        fields["packages_url"] = base
        fields["cloud_url"] = "http://127.0.0.1:1/"
        wanted = packed_record(1)
    async with Fetcher(FetchConfig(out=out, **{**fields, **more}), session=session) as fetcher:  # type: ignore[arg-type]
        (outcome,) = [outcome async for outcome in fetcher.iter_fetch([wanted])]
    return str(outcome.reason or outcome.status)


Play = Callable[[Path], Awaitable[str]]


@dataclass(frozen=True)
class Case:
    """One stall: what plays it, and all that may be told of it."""

    name: str
    play: Play
    fitting: frozenset[str]


def case(name: str, play: Play, *fitting: str) -> Case:
    return Case(name, play, frozenset(fitting))


def mute(words: bytes = b"", **more: object) -> Play:
    async def play(out: Path) -> str:
        async with Mute(words, **more) as server:  # type: ignore[arg-type]
            return await told(server.base, out)

    return play


def scripted(*faults: Fault, held: bool = True) -> Play:
    async def play(out: Path) -> str:
        async with ScriptedServer({KEY: A} if held else {}, *faults) as server:
            return await told(server.base, out)

    return play


def ftp(*, script: dict[str, Iterable[Silence]] | None = None, data: Iterable[Data] = ()) -> Play:
    async def play(out: Path) -> str:
        async with ScriptedFtp({path_of(1): package(1)}, script=script, data=data) as server:
            return await told(server.base, out, source="packages")

    return play


async def unfit(cases: Sequence[Case], folder: Path) -> dict[str, str]:
    """Play all at the same time until the deadline; return what was told, where it does not fit."""

    async def ended(one: Case, out: Path) -> str:
        try:
            async with asyncio.timeout_at(deadline):
                return await one.play(out)
        except TimeoutError:
            return "it hangs"

    deadline = asyncio.get_running_loop().time() + DEADLINE
    words = await asyncio.gather(*(ended(one, folder / str(place)) for place, one in enumerate(cases)))
    return {one.name: word for one, word in zip(cases, words, strict=True) if word not in one.fitting}
