"""The disk that these tests write to."""

from tests.unit.store.conftest import files

__all__ = ["files"]
