"""Every parser of bytes that others wrote, as a target: any bytes go in, and an oracle looks at what comes out.

A target returns nothing. It raises what its parser raised against its own rules, or an AssertionError where parser and
oracle differ. To add one (a reader of another list's format is the next), write `name(data: bytes) -> None` in a
module beside this one, enter it below, and put seeds into `corpus/<name>/`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import archives, journals, listings, mending, packages, roco_files, texts
from .mending import Edit

CORPUS: Final = Path(__file__).parent / "corpus"

Mend = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser with its oracle.

    Args:
        run: raises nothing, whatever the bytes.
        largest: bytes of an input; larger ones are slower and reach nothing more.
        mutate: edits an input, and may mend what the edit broke.
    """

    run: Callable[[bytes], None]
    largest: int
    mutate: Callable[[Edit, bytes, random.Random], bytes]


def _edited(mend: Mend) -> Callable[[Edit, bytes, random.Random], bytes]:
    return lambda edit, data, chance: mend(edit(data), chance)


_PLAIN: Final = _edited(mending.untouched)

TARGETS: Final = {
    "gunzip": Target(archives.gunzip, 2048, _edited(mending.gzip_members)),
    "untar": Target(archives.untar, 8192, _edited(mending.tar)),
    "package": Target(packages.package, 2048, mending.package),
    "listing": Target(listings.listing, 2048, _PLAIN),
    "annotations": Target(roco_files.read, 2048, _PLAIN),
    "journal": Target(journals.journal, 2048, _PLAIN),
    "fields": Target(texts.fields, 512, _PLAIN),
    "ftp": Target(texts.ftp, 512, _PLAIN),
    "encoding": Target(texts.encoding, 1024, _edited(mending.gzip_members)),
    "picture": Target(texts.picture, 2048, _PLAIN),
    "names": Target(texts.names, 512, _PLAIN),
}


def seeds(name: str) -> list[Path]:
    """Return the kept inputs of a target, in the order of their names."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())
