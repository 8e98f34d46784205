"""The lines that a bucket is measured over: the loopback, a server that thinks, and a long round trip.

| name | what |
|---|---|
| `plain` | HTTP on the loopback |
| `tls` | HTTPS on the loopback |
| `first-byte-40` | HTTPS on the loopback, 40 ms (or another number) before each answer |
| `latency-80` | HTTPS over a round trip of 80 ms (or another number): handshakes and windows pay it too |
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers.nginx import Nginx
from tests.servers.tls import Authority, make_authority

from .delay import Delayed
from .first_byte import FirstByte


@dataclass(frozen=True)
class Place:
    """A bucket that is served, and how a command reaches it: words before it, and its environment."""

    server: Nginx
    authority: Path | None
    prefix: Sequence[str]
    environment: Mapping[str, str]
    round_trip: float


@dataclass(frozen=True)
class Line:
    """One of the lines above: `kind` is its name without the number."""

    kind: str
    ms: float = 0

    @classmethod
    def parse(cls, name: str) -> Self:
        """Return the line of that name.

        Raises:
            ValueError: there is none.

        Example:
            >>> Line.parse("latency-80"), Line.parse("tls")
            (Line(kind='latency', ms=80.0), Line(kind='tls', ms=0))
        """
        if name in ("plain", "tls"):
            return cls(name)
        match = re.fullmatch(r"(first-byte|latency)-(\d+)", name)
        if match is None:
            raise ValueError(f"{name!r} is none of plain, tls, first-byte-MS, latency-MS")
        return cls(match[1], float(match[2]))

    def __str__(self) -> str:
        return {
            "plain": "HTTP on the loopback",
            "tls": "HTTPS on the loopback",
            "first-byte": f"HTTPS on the loopback, {self.ms:g} ms to the first byte",
            "latency": f"HTTPS over a round trip of {self.ms:g} ms",
        }[self.kind]

    @contextmanager
    def serving(self, folder: Path, work: Path, etags: Mapping[str, str]) -> Iterator[Place]:
        """Serve the folder as a bucket."""
        work.mkdir()
        with ExitStack() as stack:
            far = stack.enter_context(Delayed(self.ms)) if self.kind == "latency" else None
            authority: Authority | None = None if self.kind == "plain" else make_authority(work)
            lines = {}
            if self.kind == "first-byte":
                wait = stack.enter_context(FirstByte(self.ms, work / "wait"))
                lines = {"extra": wait.location, "http_extra": wait.upstream}
            server = stack.enter_context(Nginx(folder, work / "nginx", etags=etags, tls=authority, **lines))
            # rclone refuses to work with a bundle that is named so; Go, Python and OpenSSL read SSL_CERT_FILE.
            environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
            environment["NO_ALBUMENTATIONS_UPDATE"] = "1"  # img2dataset's, which would ask the world for news
            if authority is not None:
                environment["SSL_CERT_FILE"] = str(authority.authority)
            yield Place(
                server,
                authority.authority if authority else None,
                far.prefix if far else (),
                environment,
                far.round_trip(server.port) if far else 0.0,
            )
