"""The one loop: carry a URL's bytes from a Transport into a Receiver, as often as it takes, resuming at its byte."""

from __future__ import annotations

from ..errors import BadListing, Damaged, Stale, TransferError
from ..protocols import Receiver, Transport
from .budget import Budget

_AFRESH = (Stale, Damaged, BadListing)
"""After these the bytes that came are worth nothing."""


async def transfer(url: str, into: Receiver, *, transport: Transport, budget: Budget) -> None:
    """Carry `url` into a Receiver.

    A broken body goes on at its byte where a strong validator ties the two parts together (RFC 9110 §13.1.5, §14);
    without one, or when the object changed, the item begins afresh: two versions are never joined.

    Raises:
        TransferError: the last one, when it is permanent or the budget is spent.

    Example:
        >>> async def fetch(transport, url, receiver):
        ...     await transfer(url, receiver, transport=transport, budget=Budget(6))
    """
    farthest = 0
    while True:
        budget.begin()
        try:
            await _carry(url, into, transport)
            await into.finish()
        except TransferError as error:
            point = into.point
            gained, farthest = point.offset - farthest, max(farthest, point.offset)
            if isinstance(error, _AFRESH):
                gained = 0
            if isinstance(error, _AFRESH) or (point.offset and point.validator is None):
                await into.restart()
            await budget.spend(error, gained=gained)
        else:
            return


async def _carry(url: str, into: Receiver, transport: Transport) -> None:
    """Open once, at the receiver's point, and feed what comes."""
    try:
        async with transport.open(url, into.point) as body:
            if body.start != into.point.offset:
                await into.restart()
                if body.start:
                    raise Stale(f"the answer begins at byte {body.start}", operation="GET", url=url)
            await into.begin(body)
            async for chunk in body.chunks:
                if not await into.feed(chunk):
                    break
    except TransferError as error:
        if isinstance(error, Stale) or not into.satisfied:
            raise  # of another version, even what it has is worth nothing
