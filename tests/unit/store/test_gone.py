"""Temporary files that somebody takes away, or shortens, while an image is on its way: never a part under its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from roco_async.errors import Damaged, Reason
from roco_async.records import ImageRecord
from roco_async.store import temps
from roco_async.store.files import Bodies, Files
from roco_async.store.image import GATHERED, ImageReceiver
from roco_async.store.package import PackageReceiver, Wish
from tests.packages.stage import content, package
from tests.unit.wire import Thing, Wire

from .test_image import LARGE, URL, body, carry, feed, md5, names


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    os.truncate(path, 1000)


def empty(path: Path) -> None:
    os.truncate(path, 0)


async def end(into: ImageReceiver, content: bytes) -> None:
    await feed(into, content)
    await into.finish()


@pytest.mark.parametrize("digest", [None, md5(LARGE)])
@pytest.mark.parametrize("spoil", [remove, shorten, empty])
@pytest.mark.parametrize("when", [GATHERED + 1, len(LARGE)])
async def test_a_spill(
    when: int, spoil: Callable[[Path], None], digest: str | None, files: Files, tmp_path: Path
) -> None:
    """A spill that went, or was cut, in the middle or at the end makes the image begin afresh, and it comes whole."""
    into = ImageReceiver(files, str(tmp_path / "images" / "x.jpg"), "fig1.jpg")
    await into.begin(body(LARGE, digest=digest))
    await feed(into, LARGE[:when])
    (temp,) = (tmp_path / "images").iterdir()
    spoil(temp)
    with pytest.raises(Damaged):
        await end(into, LARGE[when:])
    assert names(tmp_path) == []
    await into.restart()
    await carry(into, Wire({URL: Thing(LARGE, digest=digest)}))
    assert Path(into.path).read_bytes() == LARGE
    assert names(tmp_path) == ["x.jpg"]


@pytest.mark.parametrize("spoil", [remove, shorten, empty])
async def test_a_member(spoil: Callable[[Path], None], files: Files, tmp_path: Path) -> None:
    """A member's file that went, or was cut, before it got its name costs that member for now, and no neighbour."""
    wishes = [Wish(ImageRecord(name, "PMC1", f"{name}.jpg"), str(tmp_path / f"{name}.jpg")) for name in ("a", "b", "c")]
    into = PackageReceiver(files, wishes)
    whole = package(1, "a.jpg", "b.jpg", "c.jpg")
    await into.begin(body(whole))
    await into.feed(whole)
    spoil(min(tmp_path.iterdir(), key=lambda path: int(path.name.split("-")[-1].removesuffix(".part"))))
    await into.finish()
    lost, *others = into.results
    assert isinstance(lost, Damaged)
    assert lost.reason is Reason.DAMAGED
    assert not any(isinstance(one, Exception) for one in others)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "b.jpg": content(1, "b.jpg"),
        "c.jpg": content(1, "c.jpg"),
    }


async def test_the_md5_is_not_enough(files: Files, tmp_path: Path) -> None:
    """An md5 that was made as the bytes came does not vouch for a file that has fewer."""
    (tmp_path / "temp").write_bytes(LARGE[:-1])
    with pytest.raises(Damaged, match="temporary file"):
        await files.commit(
            Bodies(
                path=str(tmp_path / "x.jpg"), name="a.jpg", chunks=[], size=len(LARGE), temp=str(tmp_path / "temp"),
                digest=md5(LARGE), md5=hashlib.md5(LARGE).hexdigest(),
            )
        )  # fmt: skip
    assert names(tmp_path) == []


def test_processes_that_cannot_see_one_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A temporary file from another room of process numbers on a machine of the same name is not called dead."""
    number = os.stat("/proc/self/ns/pid").st_ino
    assert temps.host().endswith(f"-{number}")
    other = temps.host().removesuffix(str(number)) + str(number + 1)
    name = f".roco-{other}-4000000-1700000000-abcdef-1.part"
    (tmp_path / name).write_bytes(b"x")
    assert temps.scan(str(tmp_path)) == {}
    assert names(tmp_path) == [name]
    (tmp_path / name).unlink()
