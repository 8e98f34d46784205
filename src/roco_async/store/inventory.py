"""What an output folder has, by its journals and one scandir a folder; nothing is read, written or removed."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import DiskRefused, Reason, TransferError, Unsafe
from ..records import ImageRecord
from .files import Files
from .journal import Ledger, Row
from .layout import Layout, file_name
from .lookup import size_of


class Place(NamedTuple):
    """Where an image belongs, the size of what lies there (None: nothing), and the journal's latest word."""

    path: str
    size: int | None
    row: Row | None


class Lack(NamedTuple):
    """Why an image is missing, in the words of an account: a `Reason`'s, or one of the two below."""

    name: str
    permanent: bool
    meaning: str


NEVER_TRIED: Final = Lack("NEVER_TRIED", False, "no run has told of it yet")
GONE: Final = Lack("GONE", False, "it was there, and somebody took it away")


def lack_of(reason: Reason) -> Lack:
    """Return a reason in the words of an account.

    Example:
        >>> lack_of(Reason.NOT_FOUND).permanent
        True
    """
    return Lack(str(reason), reason.permanent, reason.meaning)


def why_missing(row: Row | None) -> Lack:
    """Return why an image without a file is missing, by the journal's latest word.

    Example:
        >>> why_missing(None).name, why_missing(Row(False, 0, None, 1.0, Reason.NO_MEDIA)).name
        ('NEVER_TRIED', 'NO_MEDIA')
    """
    if row is not None and row.there:
        return GONE
    return lack_of(row.reason) if row is not None and row.reason is not None else NEVER_TRIED


class Inventory:
    """The output folder as a verb sees it that asks for nothing.

    Args:
        out: the output folder; it need not be there.
        files: the disk.

    Example:
        >>> async def lacks(inventory, record):
        ...     await inventory.open()
        ...     return (await inventory.place(record)).size is None
    """

    def __init__(self, out: Path, files: Files) -> None:
        self._layout = Layout(out)
        self._files = files
        self._ledger = Ledger()
        self._sizes: dict[str, dict[str, int]] = {}
        self._unnamed: dict[str, set[str]] = {}

    @property
    def journals(self) -> str:
        """The folder of the journals."""
        return self._layout.journals

    async def open(self) -> None:
        """Read the journals.

        Raises:
            DiskRefused: they cannot be read.
        """
        try:
            self._ledger = await self._files.call(Ledger.read, self._layout.journals)
        except TransferError as error:  # too long a name for this disk, or no descriptor
            raise DiskRefused(f"{self._layout.journals}: {error.message}") from error

    @property
    def ledger(self) -> Ledger:
        """What the journals said when it was opened."""
        return self._ledger

    def row(self, record: ImageRecord) -> Row | None:
        """Return the journal's latest word on an image.

        Raises:
            Unsafe: it can be given no name.
        """
        return self._ledger.row(record.folder, file_name(record))

    async def place(self, record: ImageRecord) -> Place:
        """Return what there is of an image.

        Raises:
            Unsafe: it can be given no name.
            DiskRefused: its folder is there and cannot be read.
        """
        name, folder = file_name(record), self._layout.folder(record.folder)
        sizes = self._sizes.get(record.folder)
        if sizes is None:
            try:
                sizes = await self._files.call(_sizes, folder)
            except Unsafe:
                sizes = {}  # too long a name for this disk
            except TransferError as error:
                raise DiskRefused(f"{folder}: {error.message}") from error
            self._sizes[record.folder] = sizes
            self._unnamed[record.folder] = set(sizes)
        self._unnamed[record.folder].discard(name)
        return Place(os.path.join(folder, name), sizes.get(name), self._ledger.row(record.folder, name))

    def unnamed(self) -> list[str]:
        """Return the files, relative to the output folder, that no image was looked for under so far."""
        return [f"{folder}/{name}" for folder, names in self._unnamed.items() for name in sorted(names)]


_PASSING: Final = re.compile(r"\.roco-.*\.part|\.nfs[0-9a-f]+")
"""Temporary files, and what NFS keeps of a file that was replaced while somebody read it."""


def _sizes(folder: str) -> dict[str, int]:
    """Return name → size of the files in a folder, temporary ones left out; blocks.

    Deliberately not `temps.scan`, which removes what dead runs left: who only looks removes nothing.
    """
    sizes: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not _PASSING.fullmatch(entry.name) and (size := size_of(entry)) is not None:
                sizes[entry.name] = size
    return sizes
