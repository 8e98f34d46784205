"""Which of a session's connections are fresh: one that is closed before its first answer was turned away.

A server with too many connections may close the newest without a word, and one that ends an idle connection just as a
request is sent on it looks the same to who only sees the close. The first is push-back and belongs to the limit; the
second is normal traffic (RFC 9112 §9.3.1), and aiohttp asks once more on another connection.
"""

from __future__ import annotations

from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class TurnedAway(aiohttp.ClientConnectionError):
    """The server closed a fresh connection before its first answer; aiohttp repeats no request that ends so."""


class Connections(aiohttp.TCPConnector):
    """A connector that can tell, and the middleware of its session that does.

    Args:
        ttl_dns_cache: seconds that an address is remembered.
        keepalive_timeout: seconds that an idle connection is kept.

    Example:
        >>> def session():
        ...     connections = Connections(ttl_dns_cache=300, keepalive_timeout=60)
        ...     return aiohttp.ClientSession(connector=connections, middlewares=[connections.tell])
    """

    def __init__(self, *, ttl_dns_cache: int, keepalive_timeout: float) -> None:
        # The limiter decides how many connections there are; a second limit here would only hide waits from it.
        super().__init__(limit=0, limit_per_host=0, ttl_dns_cache=ttl_dns_cache, keepalive_timeout=keepalive_timeout)
        self._known: WeakSet[ResponseHandler] = WeakSet()
        self._on_fresh: set[aiohttp.ClientRequest] = set()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
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
