"""The disk that these tests write to, and a clock that jumps."""

from tests.unit.clock import clock
from tests.unit.store.conftest import files

__all__ = ["clock", "files"]
