"""Oracles of the smaller readers: header fields, FTP's replies and URLs, Content-Encoding, pictures, names."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from multidict import CIMultiDict

from roco_async.errors import Broken, Damaged, TransferError, Unsafe
from roco_async.records import ImageRecord
from roco_async.store.layout import Layout, file_name
from roco_async.store.pictures import HEAD, fault, is_page
from roco_async.transport import coding, headers, replies

from .cutting import derived, ways

T = TypeVar("T")

_PIECE = 256 * 1024


def fields(data: bytes) -> None:
    """Hold the readers of header fields to the forms of RFC 9110, whatever stands in the fields."""
    told: CIMultiDict[str] = CIMultiDict()
    for line in re.split("[\r\n\0]+", data.decode("utf-8", "surrogateescape")):
        name, colon, value = line.partition(":")
        if colon and name:
            told.add(name, value.strip(" \t"))
    md5, etag = headers.s3_md5(told), told.get("ETag")
    assert md5 is None or (etag is not None and etag.lower() == f'"{md5}"' and len(md5) == 32)
    length, stated = headers.length(told), told.get("Content-Length", "")
    assert length == (int(stated) if re.fullmatch("[0-9]{1,18}", stated) else None)
    _hold_span(headers.span(told), told.get("Content-Range", ""))
    _hold_validator(headers.validator(told), told)
    _hold_wait(headers.retry_after(told), told.get("Retry-After", "").strip(), told)


def _hold_span(span: tuple[int, int, int | None] | None, stated: str) -> None:
    if span is not None:
        first, last, size = span
        stripped = [int(number) if number != "*" else None for number in re.findall(r"[0-9]+|\*", stated)]
        assert stripped == [first, last, size]


def _hold_validator(validator: str | None, told: CIMultiDict[str]) -> None:
    if validator is None:
        return
    assert not re.search(r"[\r\n\0]", validator)  # it is sent back in If-Range
    if "ETag" in told:
        assert validator == told["ETag"].strip()
        assert validator.startswith('"')
        assert validator.endswith('"')
    else:
        assert validator == told["Last-Modified"].strip()
        assert parsedate_to_datetime(validator) < parsedate_to_datetime(told["Date"])


def _hold_wait(wait: float | None, stated: str, told: CIMultiDict[str]) -> None:
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= 300)
    if re.fullmatch("[0-9]{1,9}", stated):
        assert wait == min(int(stated), 300)
    elif wait is not None and "Date" in told and not re.fullmatch("[0-9]+", stated):
        ahead = (parsedate_to_datetime(stated) - parsedate_to_datetime(told["Date"])).total_seconds()
        assert wait == min(max(ahead, 0), 300)


_PASSWORD = "never-to-be-shown"
_VERBS = ("USER", "PASS", "EPSV", "PASV", "SIZE", "MDTM", "REST", "RETR", replies.TRANSFER)


def ftp(data: bytes) -> None:
    """Hold FTP's replies to ports, numbers and errors in one line, and its URLs to their way there and back."""
    text = data.decode("latin-1")
    code, _, words = text.partition(" ")
    shown = replies.readable(words)
    assert len(shown) <= 300
    assert len(shown.splitlines()) <= 1
    for verb in _VERBS:
        error = replies.refusal(code[:3], words, operation=verb, url=f"ftp://me:{_PASSWORD}@h/a")
        assert _PASSWORD not in f"{error} {error.url}"
        assert len(str(error)) < 400
    replies.is_lacking(code, words)
    for port_of in (replies.port_of_epsv, replies.port_of_pasv):
        try:
            port = port_of(text)
        except ValueError:
            continue
        assert 0 < port < 65536
    number = replies.fact(text)
    assert number is None or (re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", number) and text.strip() == number)
    _hold_addresses(data, text)


def _hold_addresses(data: bytes, text: str) -> None:
    path = quote(data, safe="/")
    if not re.search(rb"[\r\n\0]", data):
        account, found = replies.address(f"ftp://h:2121/{path}")
        assert (account.host, account.port) == ("h", 2121)
        assert found == text
    for url in (text, f"ftp://{text}", f"ftp://me:{text}@h/a", f"ftp://me:{_PASSWORD}@{text}"):
        _hold_address(url)


def _hold_address(url: str) -> None:
    try:
        account, found = replies.address(url)
    except Unsafe as error:
        told = f"{error} {error.url} {error.__cause__}"
    else:
        assert not re.search(r"[\r\n\0]", account.host + account.user + account.password + found)
        assert 0 < account.port < 65536
        told = repr(account)
    assert _PASSWORD not in told


def encoding(data: bytes) -> None:
    """Hold a Content-Encoding's decoder to zlib, to itself in other cuts, and to bounded pieces."""
    expected, good = _by_zlib(data)
    out, error = _decoded([data])
    assert (error is None) is good, f"zlib says {good}, decoded {error}"
    if good:
        assert out == expected
    for chunks in ways(data):
        other, failed = _decoded([chunk for chunk in chunks if chunk])
        assert type(failed) is type(error)
        assert expected.startswith(other)
        assert not good or other == expected
    assert not coding.is_gzip_twice(data) or data[:2] == b"\x1f\x8b"


def _by_zlib(data: bytes) -> tuple[bytes, bool]:
    """Decode members back to back, a zlib stream alone, and tell whether the last one is whole."""
    out = bytearray()
    rest = data
    while True:
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            for place in range(len(rest)):
                out += inflate.decompress(rest[place : place + 1])
                if inflate.eof:
                    break
        except zlib.error:
            return bytes(out), False
        if not inflate.eof:
            return bytes(out), False
        rest = rest[place + 1 :]
        if not rest.startswith(b"\x1f\x8b"):
            return bytes(out), True


def _decoded(chunks: Sequence[bytes]) -> tuple[bytes, TransferError | None]:
    async def given() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    out = bytearray()

    async def gather() -> None:
        async for piece in coding.decoded(given(), "gzip", "http://h/a.jpg"):
            assert 0 < len(piece) <= _PIECE
            out.extend(piece)

    try:
        _at_once(gather())
    except (Damaged, Broken) as error:
        return bytes(out), error
    return bytes(out), None


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


_NAMES = ("a.jpg", "a.PNG", "a.gif", "a.tif", "a.bmp", "a.webp", "a.svg", "a.mp4", "a")


def picture(data: bytes) -> None:
    """Hold the look at both ends to the whole, and to what every picture begins with."""
    name = _NAMES[derived(data, len(_NAMES) - 1)]
    found = fault(data[:HEAD], data[-HEAD:], len(data), name)
    assert found == fault(data, data, len(data), name)
    assert found is None or (found and "\n" not in found)
    assert data or found == "empty"
    if is_page(data[:HEAD], name):
        assert is_page(data, name)
        assert name in ("a.mp4", "a") or found
    if found is None and name not in ("a.svg", "a.mp4", "a"):
        assert data.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"II", b"MM", b"BM", b"RIFF"))
        cut_off = data[: len(data) - 1 - derived(data, 4)]
        if data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9") and data.count(b"\xff\xd9") == 1:
            assert fault(cut_off[:HEAD], cut_off[-HEAD:], len(cut_off), name)


_OUT = Path("/data/out")


def names(data: bytes) -> None:
    """Hold every path that the layout gives to the output folder: three lines are id, name and folder."""
    image, name, folder = [*data.decode("utf-8", "surrogateescape").split("\n"), "", "", ""][:3]
    layout = Layout(_OUT)
    try:
        path = os.path.join(layout.folder(folder), file_name(ImageRecord(image, "PMC1", name, folder)))
    except Unsafe:
        return
    assert os.path.normpath(path) == path
    inside = Path(path).relative_to(_OUT).parts
    assert not any(part.startswith(".") for part in inside)
    assert len(inside) == (folder.count("/") + 1 if folder else 0) + 1
    assert b"\0" not in os.fsencode(path)
    assert len(os.fsencode(inside[-1])) <= 209
