"""Rows: what a folder can do wrong, by real files, and by what the system says of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from roco_async import Reason
from tests.packages.stage import path_of

from .folder_faults import Happening, fails
from .package_stage import BIG, LENGTH, LONG, MIDDLE, NEW, PATH, WHOLE, Folder, Row, wants
from .rows_packages import BROKEN, LACK, LOST, PUSHED, THREE, TURNED_AWAY

REFUSED: Final = (Reason.REFUSED,)
DAMAGED: Final = (Reason.DAMAGED,)
CHANGED: Final = (Reason.CHANGED, Reason.DAMAGED)


def folder(name: str, *happens: Happening, **says: object) -> Row:
    return Row(name, (Folder(happens),), **says)  # type: ignore[arg-type]


def at_first(does: Callable[[Path], object]) -> Happening:
    return Happening(does)


def while_read(does: Callable[[Path], object], nth: int = 2) -> Happening:
    return Happening(does, at="read", nth=nth)


def linked(to: str) -> Callable[[Path], object]:
    """Let the file's name be a symbolic link to this place; `{mirror}` is the mirror."""

    def link(file: Path) -> None:
        file.unlink()
        file.symlink_to(to.format(mirror=str(file).removesuffix(PATH).rstrip("/")))

    return link


def moved(file: Path) -> None:
    """Let a link to the whole file stand in its place."""
    aside = file.with_name("aside.tar.gz")
    file.rename(aside)
    file.symlink_to(aside.name)


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Let something else stand in the file's place."""

    def replace(file: Path) -> None:
        file.unlink()
        make(file)

    return replace


def replaced(file: Path) -> None:
    """Put another file under the name, as a careful mirror does."""
    file.with_name("new").write_bytes(NEW)
    file.with_name("new").replace(file)


def grown(by: bytes) -> Callable[[Path], object]:
    def grow(file: Path) -> None:
        with file.open("ab") as output:
            output.write(by)

    return grow


def cut_to(size: int) -> Callable[[Path], object]:
    return lambda file: os.truncate(file, size)


def _places() -> list[Row]:
    """What stands where the package should."""
    no_files: dict[str, Callable[[Path], object]] = {
        "a folder": Path.mkdir,
        "a pipe that nobody writes to": os.mkfifo,
        "a link to itself": lambda file: file.symlink_to(file.name),
        "a link to nothing": lambda file: file.symlink_to("none.tar.gz"),
        "a link to a folder": lambda file: file.symlink_to("."),
        "a link to a device": lambda file: file.symlink_to("/dev/zero"),
    }
    long = "x" * 300 + ".tar.gz"
    return [
        *(folder(f"{what} in its place", at_first(instead(make)), reason=LOST, permanent=True)
          for what, make in no_files.items()),
        folder("a file in the place of its folder", reason=LOST, permanent=True,
               wanted=wants("a.jpg", package_path=f"{path_of(2)}/PMC1.tar.gz")),
        folder("a name too long for the system", reason=LOST, permanent=True,
               wanted=wants("a.jpg", package_path=f"pub/{long}")),
        folder("the whole folder is gone", at_first(lambda file: shutil.rmtree(file.parent)), reason=LOST,
               permanent=True),
        folder("a link to the package", at_first(moved)),
        folder("a link to another package", at_first(linked(f"{{mirror}}/{path_of(2)}")), reason=(Reason.NO_MEMBER,),
               permanent=True, wanted=wants("b.jpg", "none.jpg")),
        folder("a file of one block of zeros", at_first(lambda file: file.write_bytes(bytes(4096))), reason=DAMAGED,
               most=2),
        folder("a file with a hole", at_first(lambda file: os.truncate(file, 1 << 20)), wanted=THREE, lost=LACK),
        folder("nobody may read it", Happening(fails(errno.EACCES), at="open"), reason=REFUSED, most=2),
        folder("nobody may read it, once", Happening(fails(errno.EACCES), at="open", nth=1), most=2),
    ]  # fmt: skip


def _errors() -> list[Row]:
    """What the system says."""
    rows = []
    said: tuple[tuple[int, tuple[Reason, ...], bool], ...] = (
        (errno.EPERM, REFUSED, False), (errno.EIO, BROKEN, False), (errno.ESTALE, BROKEN, False),
        (errno.ETIMEDOUT, BROKEN, False), (errno.EMFILE, (Reason.BUSY,), False), (errno.ENFILE, (Reason.BUSY,), False),
        (errno.ENOENT, LOST, True), (errno.ENOTDIR, LOST, True), (errno.ENXIO, LOST, True), (errno.ENODEV, LOST, True),
        (errno.ENOMEM, BROKEN, False), (errno.EINVAL, BROKEN, False), (errno.EHOSTDOWN, BROKEN, False),
    )  # fmt: skip
    steps: tuple[Literal["open", "read"], ...] = ("open", "read")
    for at in steps:
        for number, reason, permanent in said:
            rows.append(folder(f"{errno.errorcode[number]} at {at}, for ever", Happening(fails(number), at=at),
                               reason=reason, permanent=permanent, most=1 if permanent else TURNED_AWAY,
                               words=os.strerror(number)))  # fmt: skip
            if not permanent:
                rows.append(folder(f"{errno.errorcode[number]} at {at}, once", Happening(fails(number), at=at, nth=1),
                                   most=2))  # fmt: skip
    half = Happening(fails(errno.EIO), at="read", nth=2)
    return [
        *rows,
        folder("EIO in the middle, once", half, package=BIG, most=2, resumed=512 << 10),
        folder("EIO in the middle, for ever", Happening(fails(errno.EIO), at="read", nth=range(2, 99)), package=BIG,
               reason=BROKEN, most=PUSHED, resumed=512 << 10),
        folder("EIO behind the last picture", Happening(fails(errno.EIO), at="read", nth=range(2, 99)), package=LONG,
               verified=LENGTH),
        folder("EIO, and another file by then", half, Happening(replaced, at="open", nth=2), package=BIG, most=2,
               resumed=512 << 10, version="new "),
        folder("EIO, and gone by then", half, Happening(Path.unlink, at="open", nth=2), package=BIG, most=2,
               reason=LOST, permanent=True),
    ]  # fmt: skip


def _changes() -> list[Row]:
    """What changes while it is read: BIG is read in three pieces."""
    size = len(BIG)
    return [
        folder("gone before it is opened", Happening(Path.unlink, at="open", nth=1), reason=LOST, permanent=True),
        folder("gone while it is read: it stays what it was", while_read(Path.unlink), package=BIG),
        folder("replaced while it is read: it stays what it was", while_read(replaced), package=BIG),
        folder("replaced before it is opened", Happening(replaced, at="open", nth=1), version="new "),
        folder("truncated while it is read", while_read(cut_to(600_000)), package=BIG, reason=CHANGED, most=PUSHED),
        folder("emptied while it is read", while_read(cut_to(0)), package=BIG, reason=CHANGED, most=PUSHED),
        folder("truncated while it is read, and put right", while_read(cut_to(600_000)),
               Happening(lambda file: file.write_bytes(BIG), at="open", nth=2), package=BIG, most=2, resumed=None),
        folder("a page is added while it is read", while_read(grown(b"<html>")), package=BIG, most=2),
        folder("written over with the same while it is read", while_read(lambda file: file.write_bytes(BIG)),
               package=BIG, most=2),
        folder("touched while it is read, one lacking", while_read(lambda file: os.utime(file, (9, 9))), package=BIG,
               wanted=THREE, lost=LACK, most=2),
        folder("still being written when it is opened", Happening(cut_to(MIDDLE), at="open", nth=1),
               Happening(lambda file: file.write_bytes(WHOLE), at="open", nth=2), most=2, resumed=None),
        folder("shorter by the last try", Happening(fails(errno.EIO), at="read", nth=2),
               Happening(cut_to(size - 9), at="open", nth=2), package=BIG, most=3, reason=DAMAGED),
    ]  # fmt: skip


FOLDER: Final = (*_places(), *_errors(), *_changes())
