"""Which proxy the environment names: by scheme, host and port."""

from __future__ import annotations

import pytest

from roco_async.errors import Refused
from roco_async.transport.proxies import Proxies

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_port_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY may name one port of a host: the others are asked by the proxy, whichever comes first."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "inner.example:8080")
    for ports in ((80, 8080), (8080, 80)):
        proxies = Proxies()
        found = {port: proxies.of("http", "inner.example", port) for port in ports}
        assert found == {80: PROXY, 8080: None}


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["socks5", "socks4a", "ftp"])
def test_a_proxy_that_is_not_spoken_to(variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is none of HTTP is refused each time, by the variable's name and without its password."""
    monkeypatch.setenv(variable, f"{scheme}://me:s3cret@proxy.example:1080")
    proxies = Proxies()
    for _ in range(2):
        with pytest.raises(Refused, match=rf"{variable} is {scheme}://\*\*\*@proxy.example:1080: only"):
            proxies.of("http", "host.example", 80)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("value", "proxy"), [("proxy.example:3128", PROXY), (PROXY, PROXY), ("HTTPS://p.example", "HTTPS://p.example")]
)
def test_a_proxy(variable: str, value: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of HTTP is taken as it is, one without a scheme as one of http, and none needs to be named."""
    assert Proxies().of("http", "host.example", 80) is None
    monkeypatch.setenv(variable, value)
    assert Proxies().of("http", "host.example", 80) == proxy


def test_a_socks_proxy_that_is_not_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is none of HTTP does no harm to a host that NO_PROXY names, nor where the scheme has its own."""
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    monkeypatch.setenv("NO_PROXY", "inner.example")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert Proxies().of("http", "inner.example", 80) is None
    assert Proxies().of("https", "host.example", 443) == PROXY
