"""A bucket's content: real JPEGs of 20 to 400 kB, each another file, thousands in seconds.

    drawn = DrawnBucket(records)               # a mapping: give it to ScriptedServer as it is
    drawn.write(folder)                        # or as files, for nginx
    drawn.digests[key_of(records[0])]          # the md5 that must come out

One picture of noise is drawn a size class; a comment segment with the key makes each file another one.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import Final
from zlib import crc32

from PIL import Image

from roco_async.records import ImageRecord

from .objects import StoredObject
from .pictures import commented

# Bytes; about log-normal with a mean of 97 kB and a median of 60 kB, which is what ROCO's images are like.
SIZES: Final = (20_000, 24_000, 30_000, 38_000, 46_000, 55_000, 65_000, 78_000, 95_000, 125_000, 190_000, 400_000)


def key_of(record: ImageRecord, version: int = 1) -> str:
    """Return the record's key in PMC's bucket."""
    return f"{record.pmcid}.{version}/{record.name}"


@cache
def noise_jpeg(size: int) -> bytes:
    """Return a square grey JPEG of noise, of about `size` bytes; the same one every time."""
    side = max(8, round((size / 0.69) ** 0.5))  # noise takes 0.69 bytes a pixel at this quality
    pixels = random.Random(size).randbytes(side * side)
    file = BytesIO()
    Image.frombytes("L", (side, side), pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


class DrawnBucket(Mapping[str, StoredObject]):
    """Pictures by key, drawn when they are asked for: 8,791 of them take no memory to speak of.

    Args:
        records: what the bucket holds, in version 1.
        sizes: about so many bytes; a key's size class depends on nothing but the key.
    """

    def __init__(self, records: Iterable[ImageRecord], sizes: tuple[int, ...] = SIZES) -> None:
        self._keys = dict.fromkeys(key_of(record) for record in records)
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __getitem__(self, key: str) -> StoredObject:
        return StoredObject(self.picture(key))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def picture(self, key: str) -> bytes:
        """Return the file's bytes.

        Raises:
            KeyError: the bucket has no such key.
        """
        if key not in self._keys:
            raise KeyError(key)
        name = key.encode()
        return commented(noise_jpeg(self._sizes[crc32(name) % len(self._sizes)]), name)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The md5 of every file, in hex."""
        return {key: hashlib.md5(self.picture(key)).hexdigest() for key in self._keys}

    def write(self, folder: Path) -> None:
        """Write all as files below the folder, `PMC<id>.1/<name>`."""
        for parent in {key.rpartition("/")[0] for key in self._keys}:
            (folder / parent).mkdir(parents=True, exist_ok=True)
        for key in self._keys:
            (folder / key).write_bytes(self.picture(key))
