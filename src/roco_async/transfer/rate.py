"""A ceiling on bytes a second, over all connections together."""

from __future__ import annotations

import asyncio


class RateLimit:
    """A token bucket without a burst: bytes that arrived are paid for before the next are read.

    Args:
        rate: bytes a second.

    Example:
        >>> async def read(chunks, limit):
        ...     async for chunk in chunks:
        ...         await limit.pay(len(chunk))
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._paid_until = 0.0

    async def pay(self, count: int) -> None:
        """Wait until `count` more bytes are within the rate."""
        now = asyncio.get_running_loop().time()
        self._paid_until = max(self._paid_until, now) + count / self._rate
        await asyncio.sleep(self._paid_until - now)
