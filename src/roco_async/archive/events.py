"""What a tar stream says, event by event: small frozen values, made by `untar.py`.

The order is `Member`, any number of `Data`, `MemberEnd`, again and again, then `ArchiveEnd`. After a `skip` the rest of
that member is silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MemberType(StrEnum):
    """What a member is. Only a FILE is its data; SPARSE data lack the holes (and may begin with their map)."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    FIFO = "fifo"
    SPARSE = "sparse file"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Member:
    """A member begins.

    Args:
        name: the path as the archive has it; a directory's without the slash at its end.
        type: what it is.
        size: bytes of data that follow; 0 for types without data.
        linkname: a link's target; empty for other types.
        offset: of its own header block in the tar stream, bytes.
    """

    name: str
    type: MemberType
    size: int
    linkname: str
    offset: int


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the member, never empty: a view into what was fed, so it is valid as long as that is."""

    view: memoryview


@dataclass(frozen=True, slots=True)
class MemberEnd:
    """The member's data are complete; at once after `Member` where it has none."""


@dataclass(frozen=True, slots=True)
class ArchiveEnd:
    """The archive says that it is over; no event comes after this one."""


Event = Member | Data | MemberEnd | ArchiveEnd
