"""Twenty of the kills of `python -m tests.kills`, spread over all roads."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.cli.program import Program, calm, wait_until
from tests.cli.test_annotations import offered, tarball
from tests.servers.faults import Fault, Trickle

from .campaign import Campaign, shares
from .roads import ROADS

KILLS = 20


@pytest.mark.parametrize("road", sorted(ROADS))
def test_killed_at_any_moment(road: str, tmp_path: Path) -> None:
    """SIGKILL at a random moment tears nothing, loses nothing, and lets only what was in flight be asked for again."""
    kills = shares(KILLS)[road]
    tally = Campaign(road, random.randrange(10**6), tmp_path).run(kills)
    assert tally.faults == []
    assert (tally.kills, tally.torn, tally.lost) == (kills, 0, 0)


def test_killed_while_the_annotations_come(roco_data: Path, tmp_path: Path) -> None:
    """SIGKILL while the annotations are fetched leaves nothing in the cache that the next command does not remove."""
    (tmp_path / "home").mkdir()
    program, cache = Program(tmp_path), tmp_path / "cache" / "roco_async" / "annotations"
    group = roco_data / "validation" / "non-radiology"
    files = {f"data/validation/non-radiology/{file.name}": file.read_bytes() for file in group.glob("*.txt")}
    with offered(tarball(files), Fault(Trickle(8000, 0.02))) as (server, flag):
        line = f"validation/non-radiology --out out --limit 1 {flag}"
        process = program.start(line)
        wait_until(lambda: list(cache.glob("*/.*/*")))
        process.kill()
        process.communicate()
        server.script.clear()
        assert calm(program.run(line)).code == 4  # the annotations are there; a bucket is not
    assert [path.name for path in cache.glob("*/*")] == ["data"]
