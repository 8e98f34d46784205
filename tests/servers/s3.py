"""moto's S3 in a process of its own: the real XML of listings, and a server that ignores If-Range."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from .ports import started, stop

PROGRAM: Final = Path(__file__).with_name("moto_main.py")

# Without the ACL moto answers a request without a signature with 403.
_HEADERS: Final = {"Content-Type": "binary/octet-stream", "x-amz-acl": "public-read"}


class MotoBucket:
    """One bucket of a MotoServer; its name is the base's path."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self.name = name

    @property
    def base(self) -> str:
        """The bucket's base URL, with a slash at its end."""
        return f"http://127.0.0.1:{self._port}/{self.name}/"

    def url(self, key: str) -> str:
        return self.base + quote(key, safe="/")

    def put(self, key: str, data: bytes) -> None:
        self._ask("PUT", f"/{self.name}/{quote(key, safe='/')}", data)

    def delete(self, key: str) -> None:
        self._ask("DELETE", f"/{self.name}/{quote(key, safe='/')}")

    def _ask(self, method: str, path: str, body: bytes = b"") -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request(method, path, body, _HEADERS)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        finally:
            connection.close()


class MotoServer:
    """moto on a free port of 127.0.0.1.

    It runs in another process: its threads and sockets would spoil the leak checks of this one.
    """

    def __init__(self, work: Path) -> None:
        self.port = 0
        self._work = work
        self._buckets = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        def command(port: int) -> list[str]:
            return [sys.executable, str(PROGRAM), str(port)]

        self._process, self.port = started(command, self._work / "moto.log")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop(self._process)

    def bucket(self, objects: Mapping[str, bytes]) -> MotoBucket:
        """Make a new bucket with these objects."""
        self._buckets += 1
        made = MotoBucket(self.port, f"bucket-{self._buckets}")
        made._ask("PUT", f"/{made.name}")
        for key, data in objects.items():
            made.put(key, data)
        return made
