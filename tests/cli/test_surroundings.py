"""Proxies, certificates and secrets: what the environment may and may not change."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cancel.stage import pictures
from tests.faults.stage import files_below
from tests.servers.faults import Fault, redirect
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer, in_thread
from tests.servers.tls import Authority

from .program import Program, calm, environment

Serve = Callable[..., ScriptedServer]
LINE = "test/radiology --data notes --out out --json"


@contextmanager
def loopback_proxy(target: int) -> Iterator[tuple[str, list[str]]]:
    """Forward every connection to a port of ours, as a proxy that knows one server; yields its URL and heads."""
    heads: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with client:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    head += piece
                heads.append(head.decode("latin-1"))
                line, rest = head.split(b"\r\n", 1)
                method, url, version = line.split(b" ")
                path = b"/" + url.split(b"/", 3)[3]
                with socket.create_connection(("127.0.0.1", target)) as server:
                    own = rest.replace(b"Connection: keep-alive\r\n", b"")
                    server.sendall(b" ".join((method, path, version)) + b"\r\nConnection: close\r\n" + own)
                    while piece := server.recv(65536):
                        client.sendall(piece)
                return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_used(name: str, program: Program, bucket: Serve) -> None:
    """HTTP_PROXY: every request goes to the proxy, with the whole URL, and all images come."""
    server = bucket()
    with loopback_proxy(server.port) as (proxy, heads):
        program.base = "http://bucket.invalid/"
        with environment(program, {name: proxy}) as there:
            done = calm(there.run(LINE))
    assert (done.code, done.json["fetched"]) == (0, 20)
    assert len(heads) == 20
    assert all(head.startswith("GET http://bucket.invalid/PMC") for head in heads)


def test_no_proxy(program: Program, bucket: Serve) -> None:
    """NO_PROXY: the host that it names is asked directly."""
    bucket()
    with loopback_proxy(free_port()) as (proxy, heads):
        values = {"HTTP_PROXY": proxy, "NO_PROXY": "example.org,127.0.0.1"}
        with environment(program, values) as there:
            done = calm(there.run(LINE))
    assert (done.code, heads) == (0, [])


def test_a_proxy_that_is_down(program: Program, bucket: Serve) -> None:
    """A proxy that is not there: 4, soon, and no request goes round it."""
    server = bucket()
    with environment(program, {"HTTP_PROXY": f"http://127.0.0.1:{free_port()}"}) as there:
        done = calm(there.run(LINE))
    assert done.code == 4
    assert done.seconds < 10
    assert server.connections == 0


def test_a_proxy_that_wants_a_password(program: Program, bucket: Serve) -> None:
    """A proxy's user and password from the environment are sent to it, and shown nowhere."""
    server = bucket()
    with loopback_proxy(server.port) as (proxy, heads):
        secret = proxy.replace("http://", "http://me:s3cret@")
        with environment(program, {"HTTP_PROXY": secret}) as there:
            done = calm(there.run(f"{LINE} -vv"))
    assert done.code == 0
    assert all("Proxy-Authorization: Basic bWU6czNjcmV0" in head for head in heads)
    assert "s3cret" not in done.err + done.out


def test_netrc_stays_at_home(program: Program, bucket: Serve) -> None:
    """A .netrc with an entry for the host is sent to nobody."""
    server = bucket()
    netrc = program.folder / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\ndefault login me password s3cret\n")
    netrc.chmod(0o600)
    with environment(program, {"NETRC": str(netrc), "HTTP_PROXY": ""}) as there:
        done = calm(there.run(LINE))
    assert done.code == 0
    assert all("authorization" not in one.headers for one in server.requests)


def test_a_password_in_the_url_is_never_shown(program: Program, bucket: Serve) -> None:
    """A user and password in `--cloud-url` are sent as Basic, and appear in no output, report or journal."""
    server = bucket(Fault(redirect("/nowhere"), on="PMC7.1/*"))
    base = server.base.replace("http://", "http://me:s3cret@")
    done = calm(program.run(f"{LINE} -vv --cloud-url {base}"))
    assert "s3cret" not in done.err + done.out
    for journal in (program.folder / "out/.roco").rglob("*.jsonl"):
        assert "s3cret" not in journal.read_text()
    dry = calm(program.run(f"test/radiology --data notes --out out2 --dry-run --cloud-url {base}"))
    assert "s3cret" not in dry.out + dry.err
    summary = calm(program.run(f"test/radiology --data notes --out out3 --cloud-url {base}"))
    assert "s3cret" not in summary.out + summary.err


@pytest.fixture
def shelf(program: Program) -> Path:
    folder = program.folder / "shelf"
    for key, data in pictures(20, 3000).items():
        (folder / key).parent.mkdir(parents=True)
        (folder / key).write_bytes(data)
    return folder


def test_a_certificate_of_our_own(
    program: Program, shelf: Path, authority: Authority, serve_nginx: Callable[..., Nginx]
) -> None:
    """SSL_CERT_FILE names the authority: https works and exits 0."""
    server = serve_nginx(shelf, tls=authority)
    program.base = server.base
    with environment(program, {"SSL_CERT_FILE": str(authority.authority)}) as there:
        done = calm(there.run(LINE))
    assert (done.code, done.json["fetched"]) == (0, 20)
    assert len(server.requests(20)) == 20


def test_a_certificate_that_nobody_knows(
    program: Program, shelf: Path, authority: Authority, serve_nginx: Callable[..., Nginx]
) -> None:
    """Without SSL_CERT_FILE a self-made certificate is refused: 4, soon, REFUSED or BLOCKED, nothing asked for."""
    server = serve_nginx(shelf, tls=authority)
    program.base = server.base
    done = calm(program.run(f"{LINE} -v"))
    assert done.code == 4
    assert done.json["failed"] == 20
    assert done.json["reasons"].keys() <= {"REFUSED", "BLOCKED"}
    assert "certificate" in done.err.lower()
    assert done.seconds < 10
    assert server.requests() == []


def test_https_is_not_left_for_http(program: Program, bucket: Serve, authority: Authority) -> None:
    """A redirect from https to http is not followed: what was to come over TLS does not come in the clear."""
    clear = bucket()
    server = ScriptedServer(
        pictures(20, 3000), Fault(redirect(clear.url("PMC1.1/a.jpg"))), tls=authority.server_context()
    )
    with in_thread(server), environment(program, {"SSL_CERT_FILE": str(authority.authority)}) as there:
        done = calm(there.run(f"{LINE} --limit 1 --cloud-url {server.base}"))
    assert clear.requests == []
    assert done.code in (3, 4)
    assert files_below(program.folder / "out") == set()
