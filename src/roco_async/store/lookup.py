"""What the system says of one file of a folder; what is wrong with one hides none of the others."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

LOST: Final = frozenset({errno.EIO, errno.ESTALE, getattr(errno, "EUCLEAN", errno.EIO)})
"""What is said of a file that is there and that the disk cannot give any more: a bad sector, a bad inode; or another
machine has just replaced it."""

_GONE: Final = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG)


def size_of(entry: os.DirEntry[str]) -> int | None:
    """Return how many bytes an entry of a folder has; blocks.

    Returns:
        None where there is no file: a folder, a pipe, a link that leads nowhere or to where this process may not look.
        0 of one that the disk has lost, which is there, and has nothing of an image.

    Raises:
        OSError: no file of this folder may be looked at.
    """
    try:
        found = entry.stat()
    except OSError as error:
        if error.errno in LOST:
            return 0
        if error.errno in _GONE or entry.is_symlink():
            return None
        raise
    return found.st_size if stat.S_ISREG(found.st_mode) else None
