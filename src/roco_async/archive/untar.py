"""Read a tar stream as it comes: headers become events, data passes through uncopied, state rests at any byte.

What is read: v7, POSIX ustar, GNU (long names, long links, sparse), pax (local and global headers), Solaris' `X`, sizes
in octal and base 256, checksums unsigned and signed. Where writers and readers differ, these rules hold:

* **Duplicates.** Every member is reported, in the stream's order. Whoever wants one name takes the *first* complete
  one: tarfile takes the last, which is known only at the end of the archive, and decoding stops when the last wanted
  member is out (design §4.4).
* **End.** The first zero block ends the archive, as in tarfile and GNU tar (POSIX writes two); what follows is not
  looked at. An archive that simply stops where a header could begin is complete, as in tarfile; an empty stream, or
  one that stops anywhere else, is truncated.
* **No data.** Links, devices, fifos and directories have none, whatever size they state, as in tarfile. Members of an
  unknown type have as much as they state (POSIX ustar, typeflag).
* **Names.** pax goes before GNU long names, these before the block's own; a later header goes before an earlier one,
  a local one before a global one. Names are UTF-8; other bytes come as surrogates (`os.fsencode` brings them back).
* **Directories without a type** (v7) are told by a slash at the end of the whole name, not (as in tarfile) of the part
  that the block has room for.
* **Nothing is followed.** A link is a type and a target; what it means is the consumer's affair.

Rules for editing this file:

1. No event holds a copy of data, and nothing but a header is ever gathered.
2. What is gathered is declared first and compared with its cap before the first byte of it is taken.
3. State is whole before each event goes out: the consumer may call `skip`, or never come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from .events import ArchiveEnd, Data, Event, Member, MemberEnd, MemberType
from .faults import DanglingHeader, HeaderTooLarge, TooManyMembers, Truncated
from .headers import BLOCK, HeaderBlock, PaxRecords, parse_block, parse_pax

_MEMBER_END = MemberEnd()

_TYPES = {
    b"\0": MemberType.FILE,
    b"0": MemberType.FILE,
    b"1": MemberType.LINK,
    b"2": MemberType.SYMLINK,
    b"3": MemberType.CHARACTER_DEVICE,
    b"4": MemberType.BLOCK_DEVICE,
    b"5": MemberType.DIRECTORY,
    b"6": MemberType.FIFO,
    b"7": MemberType.FILE,
    b"S": MemberType.SPARSE,
}
_WITH_DATA = frozenset({MemberType.FILE, MemberType.SPARSE, MemberType.UNKNOWN})
_LINKS = frozenset({MemberType.LINK, MemberType.SYMLINK})

# pax local and global, Solaris' local; GNU long name and long link.
_EXTENDED = frozenset({b"x", b"g", b"X", b"L", b"K"})

# Where a block of an old GNU sparse map says that one more follows (GNU tar manual, `struct sparse_header`).
_MORE_MAP = 504

_ZEROS = bytes(BLOCK)
_NO_BLOCK = HeaderBlock(name=b"", typeflag=b"", size=0, linkname=b"", continued=False)


class _Stage(Enum):
    HEADER = "a header or the end of the archive"
    EXTENDED = "the rest of an extended header"
    SPARSE_MAP = "the rest of a sparse map"
    DATA = "the rest of a member's data"
    PADDING = "the rest of the padding"
    OVER = "nothing"


class _Extended:
    """What the extended headers before a member say about it.

    Attributes:
        size: bytes of all of them.
        pending: whether one of them waits for its member; a global header does not.
    """

    def __init__(self) -> None:
        self.size = 0
        self.pending = False
        self._long: dict[bytes, bytes] = {}
        self._local: dict[bytes, bytes] = {}
        self._sparse = False

    def add_long(self, typeflag: bytes, body: bytes) -> None:
        self.pending = True
        self._long[b"path" if typeflag == b"L" else b"linkpath"] = body.partition(b"\0")[0]

    def add_pax(self, records: PaxRecords) -> None:
        self.pending = True
        self._local.update(records.values)
        self._sparse = self._sparse or records.sparse

    def applied(self, block: HeaderBlock, offset: int, everywhere: dict[bytes, bytes]) -> Member:
        """Join the headers of a member; `everywhere` is what global headers say."""
        pax = {keyword: value for keyword, value in (everywhere | self._local).items() if value}
        named = {b"path": block.name, b"linkpath": block.linkname} | self._long | pax
        name = _decoded(pax.get(b"GNU.sparse.name", named[b"path"]))
        kind = _TYPES.get(block.typeflag, MemberType.UNKNOWN)
        if kind is MemberType.FILE and self._sparse:
            kind = MemberType.SPARSE
        # v7 has no type for directories (GNU tar manual, "Basic Tar Format").
        if block.typeflag == b"\0" and name.endswith("/"):
            kind = MemberType.DIRECTORY
        return Member(
            name=name.rstrip("/") if kind is MemberType.DIRECTORY else name,
            type=kind,
            size=int(pax.get(b"size", block.size)) if kind in _WITH_DATA else 0,
            linkname=_decoded(named[b"linkpath"]) if kind in _LINKS else "",
            offset=offset,
        )


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class Untar:
    """Turn a tar stream, fed in chunks of any size, into events.

    Args:
        max_extended: the most bytes that all extended headers of one member may have together.
        max_headers: the most headers in one archive, extended ones included.

    Attributes:
        consumed: bytes of the tar stream taken so far.

    Example:
        >>> import io, tarfile
        >>> from roco_async.archive.events import Member
        >>> packed = io.BytesIO()
        >>> with tarfile.open(fileobj=packed, mode="w") as archive:
        ...     for name in ("PMC1/a.jpg", "PMC1/b.nxml"):
        ...         archive.addfile(tarfile.TarInfo(name))
        >>> untar = Untar()
        >>> for event in untar.feed(packed.getvalue()):
        ...     if isinstance(event, Member) and not event.name.endswith(".jpg"):
        ...         untar.skip()
        ...     elif isinstance(event, Member):
        ...         print(event.name, event.type, event.size)
        PMC1/a.jpg file 0
    """

    def __init__(self, *, max_extended: int = 1 << 20, max_headers: int = 1_000_000) -> None:
        self.consumed = 0
        self._max_extended = max_extended
        self._max_headers = max_headers
        self._feeding = False
        self._stage = _Stage.HEADER
        self._headers = 0
        self._gathered = bytearray()
        self._missing = BLOCK
        self._block = _NO_BLOCK
        self._block_offset = 0
        self._extended = _Extended()
        self._global: dict[bytes, bytes] = {}
        self._padding = 0
        self._skipping = False

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Event]:
        """Parse lazily.

        Take all events before the next `feed`. Whoever wants no more may leave the loop at any event; the parser is
        then of no further use.

        Args:
            data: the next bytes of the stream; must not change while they, or views of them, are in use.

        Returns:
            the events. A fault is raised out of the iteration, after the good events before it.

        Raises:
            ArchiveFault: the stream is damaged or over a cap; `faults.py` has the names.
            RuntimeError: the events of the last `feed` were not all taken.
        """
        if self._feeding:
            raise RuntimeError("the events of the last feed were not all taken")
        self._feeding = True
        return self._events(memoryview(data))

    def skip(self) -> None:
        """Drop the rest of the current member: no `Data` and no `MemberEnd` of it will come.

        Its bytes are passed over uncopied, whatever their number. Call it when a `Member` or `Data` event was taken.
        """
        self._skipping = True

    def finish(self) -> None:
        """Say that the stream is over.

        Raises:
            Truncated: it ended where a member, its padding or an extended header goes on, or it was empty.
            RuntimeError: the events of the last `feed` were not all taken.
        """
        if self._feeding:
            raise RuntimeError("the events of the last feed were not all taken")
        between_members = self._stage is _Stage.HEADER and not self._gathered and not self._extended.pending
        if self._stage is not _Stage.OVER and not (between_members and self._headers):
            raise Truncated("tar", self.consumed, expected=self._stage.value, found="nothing more")

    def _events(self, data: memoryview) -> Iterator[Event]:
        taken = 0
        while taken < len(data):
            if self._stage is _Stage.OVER:
                part = data[taken:]
            else:
                part = data[taken : taken + self._missing]
                self._missing -= len(part)
            taken += len(part)
            self.consumed += len(part)
            match self._stage:
                case _Stage.DATA:
                    yield from self._pass_on(part)
                case _Stage.PADDING:
                    if not self._missing:
                        self._await(_Stage.HEADER, BLOCK)
                case _Stage.HEADER | _Stage.EXTENDED | _Stage.SPARSE_MAP:
                    self._gathered += part
                    if not self._missing:
                        yield from self._act()
        self._feeding = False

    def _await(self, stage: _Stage, missing: int) -> None:
        self._stage = stage
        self._missing = missing

    def _end_data(self) -> None:
        if self._padding:
            self._await(_Stage.PADDING, self._padding)
        else:
            self._await(_Stage.HEADER, BLOCK)

    def _pass_on(self, part: memoryview) -> Iterator[Event]:
        complete = not self._missing
        if complete:
            self._end_data()
        if not self._skipping:
            yield Data(part)
        # The consumer may have said `skip` to that.
        if complete and not self._skipping:
            yield _MEMBER_END

    def _act(self) -> Iterator[Event]:
        """Do what the header says that is now complete."""
        held = bytes(self._gathered)
        self._gathered.clear()
        match self._stage:
            case _Stage.HEADER:
                yield from self._act_on_block(held)
            case _Stage.EXTENDED:
                self._act_on_extended(held)
            case _Stage.SPARSE_MAP:
                if held[_MORE_MAP]:
                    self._await_map()
                else:
                    yield from self._begin_member()

    def _act_on_block(self, held: bytes) -> Iterator[Event]:
        offset = self.consumed - BLOCK
        if held == _ZEROS:
            if self._extended.pending:
                raise DanglingHeader("tar", offset, expected="the member it describes", found="the end of the archive")
            self._stage = _Stage.OVER
            yield ArchiveEnd()
            return
        self._headers += 1
        if self._headers > self._max_headers:
            raise TooManyMembers("tar", offset, expected=f"at most {self._max_headers}", found="one more")
        self._block, self._block_offset = parse_block(held, offset), offset
        self._padding = -self._block.size % BLOCK
        if self._block.typeflag in _EXTENDED:
            self._declare(self._block.size)
            self._await(_Stage.EXTENDED, self._block.size)
            if not self._block.size:
                self._act_on_extended(b"")
        elif self._block.continued:
            self._await_map()
        else:
            yield from self._begin_member()

    def _declare(self, size: int) -> None:
        self._extended.size += size
        if self._extended.size > self._max_extended:
            expected = f"at most {self._max_extended} bytes"
            raise HeaderTooLarge("tar", self._block_offset, expected=expected, found=f"{self._extended.size}")

    def _await_map(self) -> None:
        self._declare(BLOCK)
        self._await(_Stage.SPARSE_MAP, BLOCK)

    def _act_on_extended(self, body: bytes) -> None:
        offset = self._block_offset + BLOCK
        match self._block.typeflag:
            case b"g":
                self._global.update(parse_pax(body, offset).values)
            case b"x" | b"X":
                self._extended.add_pax(parse_pax(body, offset))
            case typeflag:
                self._extended.add_long(typeflag, body)
        self._end_data()

    def _begin_member(self) -> Iterator[Event]:
        member = self._extended.applied(self._block, self._block_offset, self._global)
        self._extended = _Extended()
        self._skipping = False
        self._padding = -member.size % BLOCK
        if member.size:
            self._await(_Stage.DATA, member.size)
        else:
            self._await(_Stage.HEADER, BLOCK)
        yield member
        if not member.size and not self._skipping:
            yield _MEMBER_END
