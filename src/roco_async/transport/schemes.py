"""A Transport that asks the one for the URL's scheme; each is made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from ..errors import Unsafe
from ..protocols import START, Body, Point, Transport


class Schemes:
    """A Transport for several schemes.

    Args:
        makers: scheme → what makes its transport; two schemes may share a maker, and then share the transport.

    Example:
        >>> schemes = Schemes({"file": FileTransport})  # doctest: +SKIP
    """

    def __init__(self, makers: Mapping[str, Callable[[], Transport]]) -> None:
        self._makers = makers
        self._made: dict[Callable[[], Transport], Transport] = {}

    def open(self, url: str, at: Point = START) -> AbstractAsyncContextManager[Body]:
        """Open with the transport of the URL's scheme.

        Raises:
            Unsafe: there is none for it.
        """
        scheme = url.partition(":")[0].lower()
        maker = self._makers.get(scheme)
        if maker is None:
            raise Unsafe(f"{scheme}: is not one of {', '.join(self._makers)}", url=url)
        transport = self._made.get(maker)
        if transport is None:
            transport = self._made[maker] = maker()
        return transport.open(url, at)

    async def aclose(self) -> None:
        """Close all that were made."""
        made, self._made = self._made, {}
        for transport in made.values():
            await transport.aclose()
