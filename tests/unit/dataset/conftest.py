"""Where the real annotations are, and how a test writes its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def roco_data() -> Path:
    beside = Path(__file__).parents[3].parent / "shared" / "roco" / "data"
    root = Path(os.environ.get("ROCO_DATA") or beside)
    if not root.is_dir():
        pytest.skip(f"ROCO's annotations are not at {root}; ROCO_DATA names another place")
    return root


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes one file of a group, and returns the root."""

    def one(name: str, content: str | bytes, *, group: str = "test/radiology") -> Path:
        path = tmp_path / group / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return one
