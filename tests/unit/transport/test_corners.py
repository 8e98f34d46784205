"""Where the HTTP transport is seldom: descriptors that run out, certificates, and a coding that is only a label."""

from __future__ import annotations

import errno
import ssl
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import pytest

from roco_async.errors import Broken, Busy, Refused, TransferError, Unreachable
from roco_async.transport.coding import after
from roco_async.transport.http import mapped

PLACE: Final[Any] = SimpleNamespace(host="host", port=443, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (aiohttp.ClientConnectorError(PLACE, OSError(errno.EMFILE, "Too many open files")), Busy),
        (aiohttp.ClientConnectorError(PLACE, OSError(errno.ECONNREFUSED, "refused")), Unreachable),
        (aiohttp.ClientConnectorSSLError(PLACE, ssl.SSLCertVerificationError(1, "self-signed")), Refused),
        (aiohttp.ClientConnectorCertificateError(PLACE, ValueError("expired")), Refused),
        (ssl.SSLError(1, "bad record mac"), Broken),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Broken),
        (ValueError("no usable port"), Refused),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else repr(value)[:40],
)
def test_what_a_foreign_error_means(foreign: Exception, ours: type[TransferError]) -> None:
    """What aiohttp and the socket raise becomes the error that says whether to try again, and how gently."""
    told = mapped(foreign, "https://host/a.jpg", answered=False)
    assert type(told) is ours
    assert told.url == "https://host/a.jpg"


@pytest.mark.parametrize("first", [b"", b"abc"])
async def test_a_chunk_that_was_looked_at(first: bytes) -> None:
    """A chunk that was taken to look at it comes before those that follow, and nothing comes in place of none."""

    async def rest() -> AsyncIterator[bytes]:
        yield b"de"
        yield b"f"

    assert [chunk async for chunk in after(first, rest())] == [*([first] if first else []), b"de", b"f"]
