"""A Transport that asks the one for the URL's scheme; each is made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from ..errors import Unsafe
from ..protocols import START, Body, Point, Transport


class Schemes:
    """A Transport for several schemes.

    Args:
        makers: scheme → what makes its transport, called in a thread: it may import a library, which takes up to 200 ms
            that a run without a transfer need not pay, and that no loop should wait for. Two schemes may share a maker,
            and then share the transport.

    Example:
        >>> schemes = Schemes({"file": FileTransport})  # doctest: +SKIP
    """

    def __init__(self, makers: Mapping[str, Callable[[], Transport]]) -> None:
        self._makers = makers
        self._made: dict[Callable[[], Transport], Transport] = {}
        self._making = asyncio.Lock()

    def open(self, url: str, at: Point = START) -> AbstractAsyncContextManager[Body]:
        """Open with the transport of the URL's scheme.

        Raises:
            Unsafe: there is none for it.
        """
        scheme = url.partition(":")[0].lower()
        maker = self._makers.get(scheme)
        if maker is None:
            raise Unsafe(f"{scheme}: is not one of {', '.join(self._makers)}", url=url)
        made = self._made.get(maker)
        return made.open(url, at) if made is not None else _First(self, maker, url, at)

    async def make(self, maker: Callable[[], Transport]) -> Transport:
        """Return the maker's transport, made now if nobody needed it before."""
        async with self._making:
            if maker not in self._made:
                self._made[maker] = await asyncio.to_thread(maker)
            return self._made[maker]

    async def aclose(self) -> None:
        """Close all that were made."""
        made, self._made = self._made, {}
        for transport in made.values():
            await transport.aclose()


class _First:
    """A transfer that comes before its transport."""

    __slots__ = ("_at", "_exchange", "_maker", "_schemes", "_url")

    def __init__(self, schemes: Schemes, maker: Callable[[], Transport], url: str, at: Point) -> None:
        self._schemes = schemes
        self._maker = maker
        self._url = url
        self._at = at

    async def __aenter__(self) -> Body:
        transport = await self._schemes.make(self._maker)
        self._exchange = transport.open(self._url, self._at)
        return await self._exchange.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)
