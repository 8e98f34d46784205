"""Where an image goes. No name from a list, a server or an archive gets out of the output folder (design §4.7)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ..errors import Unsafe
from ..records import ImageRecord

STATE_FOLDER: Final = ".roco"
_LONGEST_NAME: Final = 200
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.([A-Za-z0-9]{1,8})")
"""What nearly all are: one look, 1 µs an image."""

_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")


def file_name(record: ImageRecord) -> str:
    """Return `<id>.<suffix of name, lower case>`.

    Raises:
        Unsafe: the id or the name could name another folder, a hidden file, or nothing at all; or the file system's
            encoding has no such id.

    Example:
        >>> file_name(ImageRecord("ROCO_00001", "PMC1", "Fig1.JPG"))
        'ROCO_00001.jpg'
    """
    plain = _PLAIN.fullmatch(record.name)
    if plain and _PLAIN_ID.fullmatch(record.id):
        return f"{record.id}.{plain[1].lower()}"
    check_name(record.id, "id")
    check_name(record.name, "name", hidden_allowed=True)
    if len(_encoded(record.id)) > _LONGEST_NAME:
        raise Unsafe(f"the id has over {_LONGEST_NAME} bytes", operation="store")
    _, dot, suffix = record.name.rpartition(".")
    suffix = suffix.lower()
    return f"{record.id}.{suffix}" if dot and _SUFFIX.fullmatch(suffix) else record.id


def check_name(name: str, what: str, *, hidden_allowed: bool = False) -> None:
    """Accept a plain file name.

    Raises:
        Unsafe: it is empty, `.` or `..`, hidden, or has a separator, a control character or half a surrogate pair.
    """
    bad = not name or name in (".", "..") or _FORBIDDEN.search(name)
    if bad or (name.startswith(".") and not hidden_allowed):
        raise Unsafe(f"{what} {name!r} is no plain file name", operation="store")


def _encoded(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError as error:
        raise Unsafe(f"this system has no such file name ({error})", operation="store") from error


class Layout:
    """The output folder: `<out>/<folder>/<id>.<suffix>`.

    Example:
        >>> Layout(Path("roco")).folder("test/radiology/images")
        'roco/test/radiology/images'
    """

    def __init__(self, out: Path) -> None:
        self.out = os.fspath(out)
        self.journals = os.path.join(self.out, STATE_FOLDER, "journal")
        self._folders: dict[str, str] = {}

    def folder(self, folder: str) -> str:
        """Return the path of a record's folder.

        Raises:
            Unsafe: it is absolute, goes up, meets this program's own `.roco`, or the file system's encoding has no such
                name.
        """
        path = self._folders.get(folder)
        if path is None:
            for part in folder.split("/") if folder else ():
                check_name(part, f"folder {folder!r}: part")
            path = os.path.join(self.out, *folder.split("/")) if folder else self.out
            _encoded(path)
            self._folders[folder] = path
        return path
