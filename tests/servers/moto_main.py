"""The program that s3.py starts, `moto_main.py PORT`: moto's server as its own `main` runs it, but for one header."""

from __future__ import annotations

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple


class OnceNamed(MotoRequestHandler):
    """Leave `Server` out: moto's errors have it twice, which aiohttp refuses under `-X dev`."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() != "server":
            super().send_header(keyword, value)


if __name__ == "__main__":
    application = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=OnceNamed)
