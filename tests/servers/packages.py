"""A mirror's content: tar.gz packages as PMC made them, `<PMC id>/<name>`, the wanted pictures anywhere in the stream.

mirror = DrawnMirror(records)
mirror.write(folder)                       # for nginx, an FTP server, or file://
mirror.digests[record.id]                  # the md5 that must come out
"""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from zlib import crc32

from roco_async.records import ImageRecord

from .bucket import SIZES, key_of, noise_jpeg
from .pictures import commented

# Bytes of what an article has beside its pictures (text, PDF, supplements): log-normal-like, 200 kB to 20 MB packed.
FILLERS = (150_000, 200_000, 300_000, 400_000, 600_000, 800_000, 1_200_000, 2_000_000, 4_000_000, 12_000_000)


def packed(members: Mapping[str, bytes], *, level: int = 1) -> bytes:
    """Return a tar.gz with these members, in this order."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), level, mtime=0)


def coded(size: int, dice: random.Random) -> bytes:
    """Return about so many packed bytes that deflate has work with, as it has with text: half of them repeat."""
    block = dice.randbytes(4096)
    line = b"".join(block[place : place + 24] for place in range(0, 4096, 64))
    rounds = size // (len(block) // 2) + 1
    return b"".join(dice.randbytes(2048) + line[:1024] for _ in range(rounds))[: size * 3 // 2]


def stored(size: int, dice: random.Random) -> bytes:
    """Return bytes that deflate can only store, as it does with pictures and PDFs that are packed already."""
    return dice.randbytes(size)


class DrawnMirror:
    """Packages by path, drawn when they are asked for.

    Args:
        records: what is wanted; each needs its `package_path`.
        fillers: about so many bytes an article has beside; which depends on nothing but its path.
        filler: draws these bytes, `coded` or `stored`: what unpacking costs depends on it.
    """

    def __init__(
        self,
        records: Iterable[ImageRecord],
        fillers: tuple[int, ...] = FILLERS,
        *,
        filler: Callable[[int, random.Random], bytes] = coded,
    ) -> None:
        self._fillers = fillers
        self._filler = filler
        self.articles: dict[str, list[ImageRecord]] = defaultdict(list)
        for record in records:
            assert record.package_path is not None
            self.articles[record.package_path].append(record)

    def picture(self, record: ImageRecord) -> bytes:
        """Return the picture's bytes: those of the bucket, too."""
        key = key_of(record).encode()
        return commented(noise_jpeg(SIZES[crc32(key) % len(SIZES)]), key)

    def package(self, path: str) -> bytes:
        """Return an article's tar.gz."""
        dice = random.Random(crc32(path.encode()))
        records = self.articles[path]
        pmcid = records[0].pmcid
        filler = self._filler(self._fillers[dice.randrange(len(self._fillers))], dice)
        pieces = sorted(dice.randrange(len(filler) + 1) for _ in range(3))
        parts = [filler[: pieces[0]], filler[pieces[0] : pieces[1]], filler[pieces[1] : pieces[2]], filler[pieces[2] :]]
        others = [
            (f"{pmcid}/{name}", part) for name, part in zip(("a.nxml", "b.pdf", "c.xls", "d.gif"), parts, strict=True)
        ]
        wanted = [(f"{pmcid}/{record.name}", self.picture(record)) for record in records]
        members = [*others, *dict(wanted).items()]
        dice.shuffle(members)
        return packed(dict(members))

    def write(self, folder: Path) -> None:
        """Write all packages below the folder, each at its path."""
        for path in self.articles:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(self.package(path))

    @cached_property
    def digests(self) -> dict[str, str]:
        """The md5 of every picture, by the record's id."""
        records = (record for article in self.articles.values() for record in article)
        return {record.id: hashlib.md5(self.picture(record)).hexdigest() for record in records}
