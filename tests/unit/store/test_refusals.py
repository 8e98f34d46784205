"""Every error that a file system may give while an image is stored: whose it is, and that nothing torn is left."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roco_async.errors import Busy, DiskRefused, TransferError, Unsafe
from roco_async.store.files import Bodies, Files, Kept
from tests.servers.pictures import tiny_jpeg

PICTURE = tiny_jpeg()

ENDS_THE_RUN = {
    "makedirs": "EACCES EPERM EROFS ENOSPC EDQUOT EIO ESTALE ENOTDIR EEXIST ELOOP EMLINK ENODEV ENOMEM ENOENT EUCLEAN",
    "open": "EACCES EPERM EROFS ENOSPC EDQUOT EIO ESTALE ENOTDIR ELOOP ENODEV ENXIO ENOMEM ENOENT EEXIST EOVERFLOW "
    "EUCLEAN EREMOTEIO ETIMEDOUT EHOSTDOWN ENOTCONN ENOLCK EBUSY",
    "write": "ENOSPC EDQUOT EFBIG EIO ESTALE EROFS EPERM EPIPE ENOMEM EUCLEAN EREMOTEIO ETIMEDOUT ENOTCONN ENOLINK",
    "close": "EIO ENOSPC EDQUOT ESTALE EUCLEAN ETIMEDOUT ENOTCONN",
    "replace": "ENOSPC EDQUOT EROFS EIO ESTALE ENOTDIR EMLINK EXDEV ELOOP ENOMEM EUCLEAN ETIMEDOUT ENOTCONN",
}
"""The disk is full, over quota, read-only, not ours, gone or failing: so it is for the next image."""

IS_THE_NAMES = {"makedirs": "ENAMETOOLONG EILSEQ", "open": "ENAMETOOLONG EILSEQ", "replace": "ENAMETOOLONG EILSEQ"}
PASSES = {"open": "EMFILE ENFILE", "makedirs": "EMFILE ENFILE"}


def rows(table: dict[str, str]) -> list[tuple[str, int]]:
    """Return (operation, number) for each error of the table that this system has."""
    return [
        (operation, getattr(errno, name))
        for operation, names in table.items()
        for name in names.split()
        if hasattr(errno, name)
    ]


def said(value: object) -> str | None:
    return errno.errorcode[value] if isinstance(value, int) else None


def failing(monkeypatch: pytest.MonkeyPatch, operation: str, number: int) -> None:
    """Let one operation fail; what it was given is closed all the same, as a system does."""
    close: Callable[[int], None] = os.close

    def fail(*arguments: Any, **_: object) -> None:
        if operation == "close":
            close(arguments[0])
        raise OSError(number, os.strerror(number), *arguments[:1])

    monkeypatch.setattr(os, operation, fail)


def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int) -> Kept | TransferError:
    """Store an image over an older one, on a disk where an operation fails."""
    files = Files()
    with monkeypatch.context() as patch:
        failing(patch, operation, number)
        return files.commit_now(Bodies(path=str(tmp_path / "a.jpg"), name="a.jpg", chunks=[PICTURE], size=len(PICTURE)))


@pytest.fixture(autouse=True)
def _nothing_torn(tmp_path: Path) -> Any:
    """Hold each test to leaving the older file as it was, and no other."""
    (tmp_path / "a.jpg").write_bytes(b"older")
    yield
    assert os.listdir(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"older"


@pytest.mark.parametrize(("operation", "number"), rows(ENDS_THE_RUN), ids=said)
def test_the_disk_refuses(operation: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next image would meet too ends the run, with the file's name and the system's own words."""
    with pytest.raises(DiskRefused) as raised:
        store(tmp_path, monkeypatch, operation, number)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == number
    assert "a.jpg" in str(raised.value)
    assert os.strerror(number) in str(raised.value)


@pytest.mark.parametrize(("operation", "number"), rows(IS_THE_NAMES), ids=said)
def test_the_name_is_refused(operation: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that this file system does not take costs that image, for good, and no other."""
    assert isinstance(store(tmp_path, monkeypatch, operation, number), Unsafe)


@pytest.mark.parametrize(("operation", "number"), rows(PASSES), ids=said)
def test_for_now(operation: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Want of descriptors passes: the image is tried again."""
    assert isinstance(store(tmp_path, monkeypatch, operation, number), Busy)


@pytest.mark.parametrize("most", [1, 7])
def test_short_writes(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes a few bytes at a time, as a full one or a signal makes it do, gets all of them."""
    write: Callable[[int, Any], int] = os.write
    files = Files()
    path = tmp_path / "new" / "b.jpg"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:most]))
        kept = files.commit_now(
            Bodies(path=str(path), name="b.jpg", chunks=[PICTURE[:50], PICTURE[50:]], size=len(PICTURE))
        )
    assert isinstance(kept, Kept)
    assert path.read_bytes() == PICTURE
    path.unlink()
    path.parent.rmdir()
