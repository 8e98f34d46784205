"""The clock that these tests go by."""

from tests.unit.clock import clock

__all__ = ["clock"]
