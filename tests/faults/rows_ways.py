"""Rows: what stands between us and a host: TLS, proxies, names, addresses."""

from __future__ import annotations

from typing import Final

from roco_async import Reason
from tests.servers.faults import Fault, redirect

from .stage import KEY
from .way_stage import Direct, Handshake, Nobody, Proxied, Row, Tls

REFUSED: Final = (Reason.REFUSED,)
AWAY: Final = (Reason.UNREACHABLE, Reason.HOST_DOWN, Reason.BROKEN, Reason.STALLED)
SECURE: Final = "https://bucket.invalid/"
HELLO: Final = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"
"""The beginning of a server's hello (RFC 8446 §4.1.3)."""


def _certificates() -> list[Row]:
    downgrade = Fault(redirect(f"http://127.0.0.1:1/{KEY}"))
    other = Fault(redirect(f"/{KEY}?again"), on=KEY, nth=1)
    return [
        Row("TLS", Tls()),
        Row("TLS of an authority that nobody knows", Tls(trusted=False), REFUSED, most=0, words="certificate"),
        Row("TLS that is self-signed", Tls({"self_signed": True}, trusted=False), REFUSED, most=0, words="self-signed"),
        Row("TLS that is self-signed, beside its authority", Tls({"self_signed": True}), REFUSED, most=0,
            words="certificate"),
        Row("TLS that has expired", Tls({"days": (-2, -1)}), REFUSED, most=0, words="expired"),
        Row("TLS that is not valid yet", Tls({"days": (1, 2)}), REFUSED, most=0, words="not yet valid"),
        Row("TLS of another host", Tls({"host": "elsewhere.example"}), REFUSED, most=0, words="mismatch"),
        Row("a redirect from https to http", Tls(faults=(downgrade,)), REFUSED, most=2, words="is not followed"),
        Row("a redirect from https to https", Tls(faults=(other,)), most=2),
    ]  # fmt: skip


def _handshakes() -> list[Row]:
    most = 4  # aiohttp repeats a request by itself
    return [
        Row("closed at the hello", Handshake(), AWAY, most),
        Row("reset at the hello", Handshake(then="reset"), AWAY, most),
        Row("silence at the hello", Handshake(then="wait"), AWAY, most),
        Row("cut in the server's hello", Handshake(HELLO), AWAY, most),
        Row("reset in the server's hello", Handshake(HELLO, "reset"), AWAY, most),
        Row("silence in the server's hello", Handshake(HELLO, "wait"), AWAY, most),
        Row("an alert at the hello", Handshake(b"\x15\x03\x03\x00\x02\x02\x28"), AWAY, most),
        Row("HTTP at the hello", Handshake(b"HTTP/1.1 400 Bad Request\r\n\r\n"), AWAY, most),
        Row("garbage at the hello", Handshake(b"\0" * 99), AWAY, most),
    ]


def _places() -> list[Row]:
    return [
        Row("a host that has IPv6 only", Direct("::1")),
        Row("an IPv6 address where nobody listens", Nobody("http://[::1]:{port}/"), AWAY, most=0),
        Row("an address where nobody listens", Nobody("http://127.0.0.1:{port}/"), AWAY, most=0),
        Row("a name that nobody knows", Nobody("http://nowhere.invalid/"), AWAY, most=0),
        Row("a name that cannot be", Nobody("http://no_such..name/"), (*AWAY, *REFUSED), most=0),
        Row("a label that is too long", Nobody(f"http://{'x' * 70}.invalid/"), (*AWAY, *REFUSED), most=0),
    ]


def _proxies() -> list[Row]:
    both = {"HTTP_PROXY": "http://{proxy}", "HTTPS_PROXY": "http://{proxy}"}
    password = {"password": "me:s3cret"}
    rows = [
        Row(f"a proxy, by {name}", Proxied(environment={name: value}))
        for name, value in dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://{proxy}").items()
    ]
    for status, reason in {"403 Forbidden": REFUSED, "405 No CONNECT": REFUSED, "407 Password": REFUSED,
                           "502 Bad Gateway": (Reason.SERVER_ERROR,), "503 Busy": (Reason.BUSY,),
                           "504 Timeout": (Reason.SERVER_ERROR,)}.items():  # fmt: skip
        says = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
        rows.append(Row(f"CONNECT: {status}", Proxied(SECURE, both, {"says": says}), reason, most=5, words=status[:3]))
    return [
        *rows,
        Row("a proxy, named without a scheme", Proxied(environment={"HTTP_PROXY": "{proxy}"})),
        Row("a proxy that wants a password",
            Proxied(environment={"HTTP_PROXY": "http://me:s3cret@{proxy}"}, proxy=password)),
        Row("a proxy that wants a password, and none is known", Proxied(proxy=password), REFUSED, most=2, words="407"),
        Row("a proxy that wants another password", Proxied(environment={"HTTP_PROXY": "http://me:no-s3cret@{proxy}"},
            proxy=password), REFUSED, most=2, words="407"),
        Row("a proxy that hangs up", Proxied(proxy={"says": b""}), AWAY, most=10),
        Row("a proxy that speaks no HTTP", Proxied(proxy={"says": b"220 ready\r\n"}), AWAY, most=10),
        Row("a proxy that is silent", Proxied(proxy={"silent": True}), AWAY, most=5),
        Row("a proxy that is not there", Proxied(environment={"HTTP_PROXY": "http://127.0.0.1:1"}), AWAY, most=0),
        Row("a proxy that speaks SOCKS", Proxied(environment={"ALL_PROXY": "socks5://me:s3cret@{proxy}"}), REFUSED,
            most=0, words="ALL_PROXY is socks5://***@"),
        Row("a proxy whose name nobody knows", Proxied(environment={"HTTP_PROXY": "http://nowhere.invalid:3128"}), AWAY,
            most=0),
        Row("CONNECT: the proxy hangs up", Proxied(SECURE, both, {"says": b""}), AWAY, most=10),
        Row("CONNECT: the proxy is silent", Proxied(SECURE, both, {"silent": True}), AWAY, most=5),
        Row("CONNECT: garbage", Proxied(SECURE, both, {"says": b"\0" * 99}), AWAY, most=10),
        Row("CONNECT: the tunnel has no TLS at its end", Proxied(SECURE, both), AWAY, most=10),
        Row("NO_PROXY names the host", Proxied("http://127.0.0.1:{port}/", {"HTTP_PROXY": "http://127.0.0.1:1"})),
        Row("NO_PROXY names all hosts", Proxied("http://localhost:{port}/",
            {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"})),
        Row("NO_PROXY names the host among others", Proxied("http://localhost:{port}/",
            {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1,localhost"})),
        Row("NO_PROXY names another host", Proxied(environment={
            "HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.1,elsewhere.invalid"})),
    ]  # fmt: skip


WAYS: Final = (*_certificates(), *_handshakes(), *_places(), *_proxies())
