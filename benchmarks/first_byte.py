"""A server that thinks for so many ms before each answer, as a bucket does: nginx asks a program of ours first.

    with FirstByte(40, folder / "socket") as wait:
        with Nginx(..., extra=wait.location, http_extra=wait.upstream) as server:
            ...

nginx by itself cannot wait, but it can ask whether a request is allowed (`auth_request`), and that answer comes late.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Self

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class FirstByte:
    """Runs the program that answers late, and has the lines for nginx's configuration.

    Args:
        ms: how long each answer waits.
        socket: where the program listens.
    """

    def __init__(self, ms: float, socket: Path) -> None:
        self._ms, self._socket = ms, socket

    @property
    def upstream(self) -> str:
        """Lines for nginx's http block."""
        return f"upstream wait {{ server unix:{self._socket}; keepalive 512; keepalive_requests 1000000; }}"

    @property
    def location(self) -> str:
        """Lines for the location that is to wait."""
        return (
            "auth_request /bucket/.wait; location = /bucket/.wait { internal; auth_request off; access_log off; "
            'proxy_pass http://wait; proxy_http_version 1.1; proxy_set_header Connection ""; '
            "proxy_pass_request_headers off; proxy_pass_request_body off; }"
        )

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.first_byte", str(self._ms), str(self._socket)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input is its end


class _Late(asyncio.Protocol):
    """One connection of nginx's, which asks one thing at a time."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, _ANSWER)


async def main(ms: float, socket: str) -> None:
    """Answer late until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: _Late(ms / 1000), socket, backlog=1024)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
