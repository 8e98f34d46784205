"""Ways in which a stream may be cut. What comes out must be the same in each."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence

_SINGLE_BYTES_UP_TO = 2048
_STRIDE = 61
"""No divisor of a tar block, of a gzip header or of a trailer, so that cuts fall into every one of them."""


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut data at each place, which may lie beyond its end."""
    ends = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def derived(data: bytes, most: int) -> int:
    """Return a number from 0 to `most` that the input itself decides, so that each input has one way to be run."""
    return zlib.crc32(data) % (most + 1)


def ways(data: bytes) -> Iterator[Sequence[bytes]]:
    """Yield the cuts: byte by byte (long inputs: by a stride), and in two at a place that the input decides."""
    yield cut(data, range(1, len(data), 1 if len(data) <= _SINGLE_BYTES_UP_TO else _STRIDE))
    yield cut(data, [derived(data, len(data))])
