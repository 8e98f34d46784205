"""The house itself: what the docs list, what is mapped, and how long a file may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import client_exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from roco_async import Reason
from roco_async.cli.arguments import VERBS, parse
from roco_async.config import FetchConfig
from roco_async.errors import TransferError
from roco_async.transport.http import mapped

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REASONS = (ROOT / "docs/reasons.md").read_text(encoding="utf-8")
FOREIGN = sorted(
    {
        thing
        for _, thing in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(thing, aiohttp.ClientError)
    },
    key=lambda thing: thing.__name__,
)


def flags_of(verb: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        parse([verb, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


def made(foreign: type[aiohttp.ClientError]) -> Exception:
    """Make one as aiohttp makes it."""
    make: Callable[..., Exception] = foreign
    place = SimpleNamespace(host="host", port=80, ssl=True, is_ssl=False)
    if issubclass(foreign, aiohttp.ClientResponseError):
        url = URL("http://host/a.jpg")
        return make(aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url), (), status=407, message="x")
    if issubclass(foreign, client_exceptions.UnixClientConnectorError):
        return make("/socket", place, OSError(111, "refused"))
    if issubclass(foreign, aiohttp.ClientConnectorError):
        return make(place, OSError(111, "refused"))
    if issubclass(foreign, aiohttp.ClientConnectorCertificateError):
        return make(place, ValueError("expired"))
    if issubclass(foreign, aiohttp.ServerFingerprintMismatch):
        return make(b"expected", b"got", "host", 80)
    return make("x")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_flags_and_verbs_stand_in_the_readme(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb, and every flag that its help shows, is in the README."""
    assert f"`{verb}" in README
    missing = {flag for flag in flags_of(verb, capsys) - {"--help"} if flag not in README}
    assert not missing


def test_every_field_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """Every field of FetchConfig is a flag of `fetch`, by the name that its metadata gives."""
    flags = flags_of("fetch", capsys)
    fields = {name: item.metadata["flags"][-1] for name, item in FetchConfig.__dataclass_fields__.items()}
    assert {name for name, flag in fields.items() if flag not in flags} == set()


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons_stand_in_the_docs(reason: Reason) -> None:
    """Every Reason has a row in docs/reasons.md that says whether it is permanent."""
    rows = [row for row in REASONS.splitlines() if row.startswith(f"| `{reason}` |")]
    assert len(rows) == 1
    assert rows[0].split("|")[2].strip() == ("yes" if reason.permanent else "no")


@pytest.mark.parametrize("code", ["0", "2", "3", "4", "5", "130"])
def test_exit_codes_stand_in_the_readme(code: str) -> None:
    """Every exit code has a row in the README."""
    assert f"\n| {code} |" in README


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.__name__)
def test_every_error_of_aiohttp_is_mapped(foreign: type[aiohttp.ClientError]) -> None:
    """Whatever aiohttp raises becomes a TransferError that names the URL."""
    error = made(foreign)
    told = mapped(error, "http://host/a.jpg", answered=False)
    assert isinstance(told, TransferError)
    assert told.url == "http://host/a.jpg"


@pytest.mark.parametrize(
    "path", sorted(path for room in ("src", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py")), ids=str
)
def test_no_file_is_over_400_lines(path: Path) -> None:
    """A longer file is two rooms."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
