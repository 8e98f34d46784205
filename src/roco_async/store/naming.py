"""What a file system makes of names: those that it does not take, and those that it takes for one another.

Some (exFAT, NTFS, APFS) do not tell names apart by case. The second image of such a name would take the place of the
first; so the one that the journal has there keeps it, else the first of the list, and the other is refused. Where names
are told apart by case nothing is remembered.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from typing import Final

from ..errors import Busy, Unsafe
from .lookup import LOST

_TAKEN: Final = (errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)
_MAY_NOT: Final = (errno.EACCES, errno.EPERM)
_IN_USE: Final = (errno.EBUSY, errno.ETXTBSY)


class Casing:
    """Who has which name in the folders of caseless file systems.

    Example:
        >>> casing = Casing()
        >>> casing.learn("images", {"IMG_a.jpg": 7}, was_there=lambda _: True)
        >>> casing.claim("images", "IMG_a.jpg")
        7
    """

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self._owners: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def learn(self, folder: str, sizes: Mapping[str, int], *, was_there: Callable[[str], bool]) -> None:
        """Take a caseless folder into account.

        Args:
            folder: relative to the output folder.
            sizes: name → size of its files.
            was_there: whether the journal knows an image by this name there.
        """
        self.folders.add(folder)
        for name, size in sizes.items():
            path = f"{folder}/{name}"
            self._sizes[path.casefold()] = size
            if was_there(name):
                self._owners[path.casefold()] = path

    def claim(self, folder: str, name: str) -> int | None:
        """Take a name for an image, for the rest of the run.

        Returns:
            The size of what lies there, whatever the case of its name; None if nothing does.

        Raises:
            Unsafe: another image has it.
        """
        path = f"{folder}/{name}"
        key = path.casefold()
        owner = self._owners.setdefault(key, path)
        if owner != path:
            raise Unsafe(f"this file system takes {path} for {owner}, which is another image", operation="store")
        return self._sizes.get(key)


def is_caseless(folder: str, names: Mapping[str, int], temp_name: Callable[[str], str]) -> bool:
    """Tell whether names that differ by case only are one name in a folder; blocks.

    It is asked of a file that is there. Where there is none a temporary one is made for a moment, in the folder or in
    the nearest one above it; where none can be made, the run will find out why.
    """
    for name in names:
        other = name.swapcase()
        if name.isascii() and other != name:
            return other not in names and os.path.lexists(os.path.join(folder, other))
    place = os.path.abspath(folder)
    while True:
        temp = temp_name(place)
        try:
            os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileNotFoundError:
            place = os.path.dirname(place)
            continue
        except OSError:
            return False
        try:
            return os.path.lexists(os.path.join(place, os.path.basename(temp).swapcase()))
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temp)


def give_name(temp: str, path: str) -> None:
    """Give a whole file its final name; blocks.

    The folder took the file itself. What is refused now is mostly this one name, which is not worth a run.

    Raises:
        Unsafe: the file system takes no such name, or does not let go what lies there.
        Busy: what lies there is in use.
        OSError: the disk refused.
    """
    try:
        os.replace(temp, path)
    except OSError as error:
        number = error.errno
        if number == errno.EINVAL or (number == errno.ENOENT and os.path.lexists(temp)):  # vfat, and exFAT by FUSE
            name = os.path.basename(path)
            raise Unsafe(f"the file system takes no such name: {name}", operation="store") from error
        if number in _TAKEN or (number in _MAY_NOT and os.path.lexists(path)) or (number in LOST and _is_lost(path)):
            raise Unsafe(f"what lies at {path} cannot be replaced: {error.strerror}", operation="store") from error
        if number in _IN_USE:
            raise Busy(f"what lies at {path} is in use: {error.strerror}", operation="store") from error
        raise


def _is_lost(path: str) -> bool:
    """Tell whether the disk has lost just the file that has this name: one that fails altogether has no such name."""
    folder, name = os.path.split(path)
    try:
        os.lstat(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            return error.errno in LOST and name in os.listdir(folder)
    return False
