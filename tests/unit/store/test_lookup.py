"""One odd entry of a folder: it is told for what it is, and hides none of the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from roco_async.records import ImageRecord
from roco_async.store.files import Files
from roco_async.store.inventory import Inventory
from roco_async.store.lookup import size_of
from roco_async.store.temps import scan

RECORDS = [ImageRecord(name, "PMC1", f"{name}.jpg") for name in ("odd", "good")]

ODD: dict[str, Callable[[Path], object]] = {
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link through a file": lambda path: path.symlink_to("good.jpg/x"),
    "a link to too long a name": lambda path: path.symlink_to("x" * 300),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["odd.jpg", "notes.txt"])
async def test_beside_a_good_file(name: str, odd: str, files: Files, tmp_path: Path) -> None:
    """Whatever lies beside it, or under another image's name, a good file is seen, by a run and by a check."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(b"1234567")
    ODD[odd](folder / name)
    assert await files.call(scan, str(folder)) == {"good.jpg": 7}
    inventory = Inventory(tmp_path, files)
    await inventory.open()
    assert [(await inventory.place(record)).size for record in RECORDS] == [None, 7]
    assert inventory.unnamed() == []


class Entry:
    """An entry that the system answers about with an error."""

    def __init__(self, number: int, *, is_link: bool) -> None:
        self._number = number
        self._is_link = is_link

    def stat(self) -> os.stat_result:
        raise OSError(self._number, os.strerror(self._number))

    def is_symlink(self) -> bool:
        return self._is_link


def size(number: int, *, is_link: bool = False) -> int | None:
    return size_of(cast(Any, Entry(number, is_link=is_link)))


@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN, errno.ESTALE])
def test_the_disk_has_lost_it(number: int) -> None:
    """A file with a bad inode is there, and has no byte of an image: it is fetched anew, and damaged in a check."""
    assert size(number) == 0


def test_a_link_to_where_nobody_may_look() -> None:
    """A link into somebody's private folder is no file."""
    assert size(errno.EACCES, is_link=True) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOMEM, errno.ENOTCONN])
def test_a_folder_of_which_no_file_may_be_looked_at(number: int) -> None:
    """What is no single file's trouble stays the folder's."""
    with pytest.raises(OSError, match=os.strerror(number)):
        size(number)
