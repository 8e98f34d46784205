"""A session's connections: which are fresh, and which are given up when descriptors run short.

A server with too many connections may close the newest without a word, and one that ends an idle connection just as a
request is sent on it looks the same to who only sees the close. The first is push-back and belongs to the limit; the
second is normal traffic (RFC 9112 §9.3.1), and aiohttp asks once more on another connection.

An idle connection keeps its descriptor for as long as it is kept alive. Those of hosts that are done with would leave
none to the hosts that come after them, nor to the files.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Final
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from ..descriptors import for_sockets

OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})


class TurnedAway(aiohttp.ClientConnectionError):
    """The server closed a fresh connection before its first answer; aiohttp repeats no request that ends so."""


class Connections(aiohttp.TCPConnector):
    """A connector that can tell, and the middleware of its session that does.

    When as many are open as the process's descriptors allow, a new connection takes the place of the one of another
    host that has been idle for longest; when there is no descriptor in spite of that, all idle ones are closed.

    Args:
        ttl_dns_cache: seconds that an address is remembered, if connections to it can be made.
        keepalive_timeout: seconds that an idle connection is kept.

    Example:
        >>> def session():
        ...     connections = Connections(ttl_dns_cache=300, keepalive_timeout=60)
        ...     return aiohttp.ClientSession(connector=connections, middlewares=[connections.tell])
    """

    def __init__(self, *, ttl_dns_cache: int, keepalive_timeout: float) -> None:
        # The limiter decides how many connections there are; a second limit here would only hide waits from it.
        super().__init__(limit=0, limit_per_host=0, ttl_dns_cache=ttl_dns_cache, keepalive_timeout=keepalive_timeout)
        self._most = for_sockets()
        self._known: WeakSet[ResponseHandler] = WeakSet()
        self._on_fresh: set[aiohttp.ClientRequest] = set()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        self._make_room(req.connection_key)
        try:
            connection = await super().connect(req, traces, timeout)
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                self._forget_addresses(req)
                raise
            self._close_idle()
            await asyncio.sleep(0)  # sockets close in the loop's next turn
            connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if protocol is not None and protocol not in self._known:
            self._known.add(protocol)
            self._on_fresh.add(req)
        return connection

    async def tell(self, req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request.

        Raises:
            TurnedAway: its connection was fresh and was closed or reset before the answer's head.
        """
        try:
            return await handler(req)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if req in self._on_fresh:
                raise TurnedAway(str(error)) from error
            raise
        finally:
            self._on_fresh.discard(req)

    def _forget_addresses(self, req: aiohttp.ClientRequest) -> None:
        """Let the name be looked up again, of a proxy where there is one: it may have moved to another address."""
        asked = req.proxy or req.url
        if asked.raw_host is not None and asked.port is not None:
            self.clear_dns_cache(asked.raw_host, asked.port)

    # aiohttp tells nobody which connections are idle, so the next two read what it keeps: `_conns`, by host, those that
    # came back first at the front, each with when it did; and `_acquired`, those in use or being opened. They abort, as
    # the session does in the end: a TLS connection that is closed keeps its descriptor until the server says goodbye.

    def _make_room(self, key: ConnectionKey) -> None:
        if key in self._conns:
            return  # no new one is needed
        if len(self._acquired) + sum(map(len, self._conns.values())) < self._most:
            return
        others = [(idle[0][1], other) for other, idle in self._conns.items() if idle and other != key]
        if others:
            _, longest = min(others, key=lambda one: one[0])
            protocol, _ = self._conns[longest].popleft()
            protocol.abort()
            if not self._conns[longest]:
                del self._conns[longest]

    def _close_idle(self) -> None:
        for idle in self._conns.values():
            for protocol, _ in idle:
                protocol.abort()
        self._conns.clear()
