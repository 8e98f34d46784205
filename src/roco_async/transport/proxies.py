"""Which proxy the environment names for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, as urllib reads them."""

from __future__ import annotations

from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from ..errors import Refused, redacted


class Proxies:
    """The environment's proxies; each scheme, host and port is looked up once.

    Example:
        >>> Proxies().of("http", "127.0.0.1", 80)  # doctest: +SKIP
        'http://proxy.example:3128'
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int | None], str | None] = {}

    def of(self, scheme: str, host: str, port: int | None) -> str | None:
        """Return the URL of the proxy for a host, None if it is asked itself.

        Raises:
            Refused: the proxy is none of HTTP.
        """
        place = (scheme, host, port)  # NO_PROXY may name one port of a host
        if place not in self._known:
            self._known[place] = _named(scheme, f"{host}:{port}")
        return self._known[place]


def _named(scheme: str, place: str) -> str | None:
    proxies = getproxies_environment()
    variable = scheme if proxies.get(scheme) else "all"
    proxy = proxies.get(variable)
    if not proxy or proxy_bypass_environment(place, proxies):
        return None
    if "://" not in proxy:
        return f"http://{proxy}"
    if not proxy.lower().startswith(("http://", "https://")):
        message = f"{variable.upper()}_PROXY is {redacted(proxy)}: only proxies of http:// and https:// are spoken to"
        raise Refused(message, operation="GET", url=f"{scheme}://{place}/")
    return proxy
