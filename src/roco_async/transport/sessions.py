"""A session that somebody passed in: what it must not send to other hosts, and that it may be closed at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp import hdrs

_LOOK: Final = 1.0
"""Seconds after which it is looked whether the session was closed."""


class SessionClosed(aiohttp.ClientConnectionError):
    """The session was closed while it was in use."""

    def __init__(self) -> None:
        super().__init__("the session that was passed in is closed")


class Lent:
    """Somebody else's session.

    aiohttp forgets who waits for a body whose connection it closes itself: nothing would end that wait. So all bodies
    that are read are known here, and while there are any one timer looks after them.

    Args:
        session: it is never closed here.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._read: set[aiohttp.ClientResponse] = set()
        self._is_looked_after = False

    @property
    def closed(self) -> bool:
        return self._session.closed

    def begin(self, response: aiohttp.ClientResponse) -> None:
        """Take note that a body is read; its wait ends with `SessionClosed` soon after the session was closed."""
        self._read.add(response)
        if not self._is_looked_after:
            self._is_looked_after = True
            asyncio.get_running_loop().call_later(_LOOK, self._look)

    def end(self, response: aiohttp.ClientResponse) -> None:
        self._read.discard(response)

    def _look(self) -> None:
        if not self._read:
            self._is_looked_after = False
            return
        if self._session.closed:
            for response in self._read:
                content, connection = response.content, response.connection
                is_cut = connection is None or connection.closed  # a session may be detached from what lives on
                if is_cut and not content.is_eof() and content.exception() is None:
                    content.set_exception(SessionClosed())
        asyncio.get_running_loop().call_later(_LOOK, self._look)

    def elsewhere(self) -> Sequence[aiohttp.ClientMiddlewareType]:
        """Return the middlewares for a request to another origin than the first: its own, and one before them."""
        return (self._without_credentials, *self._session._middlewares)

    async def _without_credentials(
        self, req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request without what the session sends by default to whoever is asked (RFC 9110 §15.4).

        As aiohttp's own redirects do, and curl. Cookies that the jar has for this host are its own.
        """
        for name in (hdrs.AUTHORIZATION, hdrs.PROXY_AUTHORIZATION, hdrs.COOKIE):
            req.headers.popall(name, None)
        req.update_cookies(self._session.cookie_jar.filter_cookies(req.url))
        return await handler(req)
