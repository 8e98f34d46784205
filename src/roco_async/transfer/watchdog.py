"""Says what a run waits for when nothing has come for too long: a person who looks in must not have to guess."""

from __future__ import annotations

import asyncio
import logging

from ..errors import redacted

log = logging.getLogger("roco_async")

_NAMED = 5


class Watchdog:
    """Logs a warning, once a silence, naming the transfers that are open.

    Args:
        silence: seconds without a byte on any transfer.

    Example:
        >>> async def watch(watchdog, transfer, url):
        ...     watchdog.began(transfer, url)
        ...     watchdog.moved()
        ...     watchdog.ended(transfer)
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._open: dict[object, str] = {}
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def began(self, transfer: object, url: str) -> None:
        loop = asyncio.get_running_loop()
        self._open[transfer] = url
        if self._timer is None:
            self._last = loop.time()
            self._timer = loop.call_later(self._silence, self._look)

    def moved(self) -> None:
        """Bytes have come, on whichever transfer."""
        self._last = asyncio.get_running_loop().time()

    def ended(self, transfer: object) -> None:
        self._open.pop(transfer, None)
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        quiet = loop.time() - self._last
        if quiet >= self._silence:
            urls = [redacted(url) for url in list(self._open.values())[:_NAMED]]
            more = f" and {len(self._open) - _NAMED} more" if len(self._open) > _NAMED else ""
            log.warning("No byte for %.0f s; waiting for %s%s", quiet, ", ".join(urls), more)
            quiet = 0.0
        self._timer = loop.call_later(self._silence - quiet, self._look)
