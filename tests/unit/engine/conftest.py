"""The clock, the disk and the mounts that these tests use."""

from tests.unit.clock import clock
from tests.unit.store.conftest import mount_tmpfs

__all__ = ["clock", "mount_tmpfs"]
