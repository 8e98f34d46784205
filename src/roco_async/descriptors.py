"""How many sockets a process may have open: each takes a descriptor, and so do files and much that nobody sees."""

from __future__ import annotations

import math
import resource
from typing import Final

SPARE: Final = 32
"""Descriptors kept from sockets: standard streams, the loop's own, names being looked up, files being written."""


def for_sockets() -> float:
    """Return how many sockets the soft limit leaves room for, one at least; infinity where there is no limit.

    Source: getrlimit(2), RLIMIT_NOFILE.

    Example:
        >>> for_sockets() >= 1
        True
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else max(1, soft - SPARE)
