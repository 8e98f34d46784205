"""Debian's nginx as the bucket: the real server for ranges, validators and load.

    with Nginx(folder, tmp_path / "nginx", etags=drawn.digests) as server:
        ...  # server.base, server.url(key)
    assert len(server.requests()) == 8

nginx's own ETag is no md5. `etags` puts S3's in its place, so that If-Range is compared with those.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from .ports import started, stop
from .programs import require_program
from .tls import Authority

_CONFIG = """\
{user}
worker_processes 2;
error_log {work}/error.log warn;
pid {work}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    default_type binary/octet-stream;
    sendfile on;
    tcp_nopush on;
    log_format seen escape=json '{{"at":$msec,"method":"$request_method","target":"$request_uri","range":"$http_range",'
        '"if_range":"$http_if_range","status":$status,"sent":$body_bytes_sent,"connection":$connection}}';
    map_hash_max_size 262144;
    map_hash_bucket_size 512;
    map $uri $object_etag {{
{etags}
    }}
    {http_extra}
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=1024;
        access_log {work}/access.log seen;
        {tls}
        location {base_path} {{
            alias {folder}/;
            {etag_lines}
            {extra}
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Access:
    """One line of nginx's log: a request that was answered, or given up by the client (499, or few bytes)."""

    at: float
    method: str
    target: str
    range: str
    if_range: str
    status: int
    sent: int
    connection: int

    @property
    def path(self) -> str:
        """The target without query, decoded."""
        return unquote(urlsplit(self.target).path)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Nginx:
    """A folder served on a free port of 127.0.0.1.

    Args:
        folder: the bucket's content; may change while it is served.
        work: an empty or new folder for configuration, logs and temporary files.
        base_path: where the bucket begins, `/` or `/some/path/`.
        etags: md5 by key, sent as S3 sends it; without, nginx's own ETag of time and size.
        tls: serve HTTPS with its certificate.
        extra: lines for the location (`limit_rate 100k;`).
        http_extra: lines for the http block (`limit_req_zone …;`).
    """

    def __init__(
        self,
        folder: Path,
        work: Path,
        *,
        base_path: str = "/bucket/",
        etags: Mapping[str, str] | None = None,
        tls: Authority | None = None,
        extra: str = "",
        http_extra: str = "",
    ) -> None:
        self.base_path = base_path
        self.port = 0
        self._folder, self._work = folder, work
        self._etags, self._tls, self._extra, self._http_extra = etags, tls, extra, http_extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """The bucket's base URL, with a slash at its end."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}{self.base_path}"

    def url(self, key: str) -> str:
        return self.base + quote(key, safe="/")

    def __enter__(self) -> Self:
        program = require_program("nginx", package="nginx-light")
        self._work.mkdir(parents=True, exist_ok=True)

        def command(port: int) -> list[str]:
            file = self._work / "nginx.conf"
            file.write_text(self._config(port))
            log = str(self._work / "error.log")
            return [program, "-p", str(self._work), "-c", str(file), "-e", log, "-g", "daemon off;"]

        self._process, self.port = started(command, self._work / "error.log")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop(self._process)

    def requests(self, at_least: int = 0, patience: float = 5) -> list[Access]:
        """Return the requests so far. nginx logs one when it is over, which may be just after the client has it all:
        wait until there are `at_least` so many.
        """
        deadline = time.monotonic() + patience
        while True:
            # A line without its end is still being written.
            lines = (self._work / "access.log").read_text().splitlines(keepends=True)
            found = [Access(**json.loads(line)) for line in lines if line.endswith("\n")]
            if len(found) >= at_least or time.monotonic() > deadline:
                return found
            time.sleep(0.01)

    def forget(self) -> None:
        """Begin a new count."""
        os.truncate(self._work / "access.log", 0)

    def counts(self, at_least: int = 0) -> Counter[str]:
        """Return how often each key was asked for."""
        return Counter(access.path.removeprefix(self.base_path) for access in self.requests(at_least))

    def _config(self, port: int) -> str:
        tls = f"ssl_certificate {self._tls.certificate}; ssl_certificate_key {self._tls.key};" if self._tls else ""
        return _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",  # else its workers could not read a test's folder
            work=self._work,
            folder=self._folder,
            port=port,
            ssl=" ssl" if self._tls else "",
            tls=tls,
            base_path=self.base_path,
            etags=self._etag_map(),
            etag_lines="" if self._etags is None else "etag off; add_header ETag $object_etag;",
            extra=self._extra,
            http_extra=self._http_extra,
        )

    def _etag_map(self) -> str:
        """Return the map's lines. Its plain words match in any case, so keys that differ only there become patterns."""
        etags = self._etags or {}
        alike = Counter(key.lower() for key in etags)
        rows = []
        for key, md5 in etags.items():
            word = self.base_path + key
            word = word if alike[key.lower()] == 1 else f"~^{re.escape(word)}$"
            rows.append(f"        {_quoted(word)} '\"{md5}\"';")
        return "\n".join(rows)
