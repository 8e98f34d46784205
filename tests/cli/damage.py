"""What the tests of `verify`, `retry` and `report` do to the images, and how they read the account."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .program import Done, Program, calm

WHERE: Final = "test/radiology --data notes --out out"
KEYS: Final = {
    "requested", "verified", "unrecorded", "damaged", "missing", "repaired", "unknown", "bytes", "elapsed", "reasons",
}  # fmt: skip


def image(program: Program, number: int) -> Path:
    return program.folder / f"out/test/radiology/images/ROCO_{number:05}.jpg"


def flip(path: Path) -> bytes:
    """Flip a bit in the middle, where a picture's beginning and end say nothing; return what lies there then."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return bytes(content)


def verify(program: Program, words: str = "", **more: Any) -> Done:
    return calm(program.run(f"verify {WHERE} {words}", **more))


def account(done: Done) -> dict[str, Any]:
    """What was counted, without zeros and without what differs from run to run."""
    assert done.json.keys() == KEYS
    return {name: value for name, value in done.json.items() if value and name not in ("elapsed", "bytes")}
