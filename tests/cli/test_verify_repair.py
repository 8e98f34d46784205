"""`verify --repair` says mended of what came, and of nothing that only a journal calls good."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from roco_async import Fetcher
from roco_async.cli.arguments import parse
from roco_async.cli.verify import verify
from roco_async.store.journal import Journal, read_rows
from tests.cancel.stage import pictures
from tests.servers.scripted import ScriptedServer

from .damage import WHERE, account, flip, image
from .damage import verify as verified
from .program import Program, calm
from .test_verify import fetched

__all__ = ["fetched"]  # the fixture


def journals(program: Program) -> list[Path]:
    return sorted(program.folder.glob("out/.roco/journal/*"))


def test_a_clock_that_was_ahead(program: Program, fetched: ScriptedServer) -> None:
    """Rows of a clock that was ahead keep no damage from being noted, fetched again, and known as good after that."""
    (journal,) = journals(program)
    rows = [row | {"t": row["t"] + 3600} for row in read_rows(str(journal))]
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flip(image(program, 7))
    assert account(verified(program, "--repair --json")) == {"requested": 20, "verified": 20, "repaired": 1}
    assert [one.key for one in fetched.requests] == ["PMC7.1/a.jpg"]
    assert image(program, 7).read_bytes() == pictures(20, 3000)["PMC7.1/a.jpg"]
    assert account(verified(program, "--json")) == {"requested": 20, "verified": 20}


@pytest.mark.parametrize("is_good", [True, False])
def test_another_run_says_that_it_mended_it(
    is_good: bool,
    program: Program,
    fetched: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What another run has noted as fetched since it was found damaged is read again before it is called good."""
    good, bad = image(program, 7).read_bytes(), flip(image(program, 7))
    line = next(row for row in read_rows(str(journals(program)[0])) if row["file"] == "ROCO_00007.jpg")

    def begin(fetcher: Fetcher, *arguments: Any, **more: Any) -> Any:
        other = Journal(str(journals(program)[0].parent))
        other.write(json.dumps(line | {"t": line["t"] + 3600}).encode() + b"\n")
        other.close()
        image(program, 7).write_bytes(good if is_good else bad)
        return iter_fetch(fetcher, *arguments, **more)

    iter_fetch = Fetcher.iter_fetch
    monkeypatch.setattr(Fetcher, "iter_fetch", begin)
    monkeypatch.chdir(program.folder)
    code = asyncio.run(verify(parse(f"verify {WHERE} --repair --json --no-progress".split())))
    told = json.loads(capsys.readouterr().out)
    assert (code, told["verified"], told["damaged"], told["repaired"]) == ((0, 20, 0, 0) if is_good else (4, 19, 1, 0))
    assert fetched.requests == []
    done = calm(program.run(f"fetch {WHERE} --json"))
    assert (done.code, done.json["fetched"]) == (0, 0 if is_good else 1)
    assert image(program, 7).read_bytes() == good
