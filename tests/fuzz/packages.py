"""Oracle of a package: gunzip, untar and the receiver that writes the wanted members to disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence

from roco_async.archive.events import MemberType
from roco_async.archive.untar import Untar
from roco_async.errors import Damaged, NoMember, TransferError, Unsafe
from roco_async.protocols import Body
from roco_async.records import ImageRecord
from roco_async.store.files import Files, Kept
from roco_async.store.layout import file_name
from roco_async.store.package import PackageReceiver, Wish

from .archives import Listed, by_zlib, untarred
from .cutting import cut, derived


def package(data: bytes) -> None:
    """Hold gunzip, untar and the receiver behind them to what stands in the package, and to the folder of images."""
    plain, good = by_zlib(data)
    whole = untarred([plain], Untar())
    asyncio.run(_receive(data, whole, good=good and whole.fault is None))


def _wanted(whole: Listed) -> list[ImageRecord]:
    """Wish for what a list could wish for: every last part of a member's name that is a plain name, and two more."""
    last_parts = [read.member.name.rpartition("/")[2] for read in whole.members[:4]]
    names = dict.fromkeys([*last_parts, "a.jpg", "lacking.jpg"])
    records = [ImageRecord(f"ROCO_{number}", "PMC1", name) for number, name in enumerate(names)]
    return [record for record in records if _is_plain(record)]


def _is_plain(record: ImageRecord) -> bool:
    try:
        file_name(record)
    except Unsafe:
        return False
    return True


def _first(whole: Listed, name: str) -> bytes | None:
    """Return the data of the first whole file `[./]<top>/<name>`, the rule written down a second time."""
    for read in whole.members:
        top, _, rest = read.member.name.removeprefix("./").partition("/")
        if (rest, read.member.type, read.complete) == (name, MemberType.FILE, True) and top not in ("", ".", ".."):
            return read.data
    return None


async def _receive(data: bytes, whole: Listed, *, good: bool) -> None:
    files = Files()
    with tempfile.TemporaryDirectory() as root:
        records = _wanted(whole)
        wishes = [Wish(record, os.path.join(root, "out", "images", file_name(record))) for record in records]
        receiver = PackageReceiver(files, wishes, whole=derived(data, 1) == 1)
        results: Sequence[Kept | TransferError] | None = None
        with contextlib.suppress(TransferError):
            results = await _carried(data, receiver)
        await receiver.discard()
        await files.aclose()
        assert results is not None or not good
        kept = {}
        for wish, result in zip(wishes, results or (), strict=results is not None):
            content = _first(whole, wish.record.name)
            if isinstance(result, Kept):
                assert content is not None
                kept[wish.path] = content
            else:
                assert isinstance(result, Damaged if content is not None else NoMember)
        assert _files_below(root) == kept


async def _carried(data: bytes, receiver: PackageReceiver) -> Sequence[Kept | TransferError]:
    await receiver.begin(Body(start=0, size=len(data), validator=None, digest=None, chunks=_nothing()))
    for chunk in cut(data, [derived(data, len(data))]):
        if chunk and not await receiver.feed(chunk):
            break
    await receiver.finish()
    return receiver.results


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _files_below(root: str) -> dict[str, bytes]:
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[path] = file.read()
    return found
