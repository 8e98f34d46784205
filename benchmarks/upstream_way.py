"""Upstream's way with packages, as its fetch.py went: each article's tar.gz to disk by wget, then tarfile, N processes.

    python -m benchmarks.upstream_way LIST OUT PROCESSES

`LIST` has lines `url<TAB>member<TAB>file name`. Written anew from what that script does: one wget an article, the
package stored, members extracted to a folder and copied, then removed.
"""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path


def fetch(article: tuple[str, list[tuple[str, str]]], *, out: Path, scratch: Path) -> None:
    url, members = article
    package = scratch / url.rpartition("/")[2]
    subprocess.run(["wget", "-nc", "-nd", "-c", "-q", "-P", str(scratch), url], check=True)
    for member, name in members:
        with tarfile.open(package) as archive:
            archive.extractall(scratch, [archive.getmember(member)])
        shutil.copy(scratch / member, out / name)
    shutil.rmtree(scratch / members[0][0].partition("/")[0], ignore_errors=True)
    package.unlink()


def main(rows: Path, out: Path, processes: int) -> None:
    articles: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows.read_text().splitlines():
        url, member, name = row.split("\t")
        articles[url].append((member, name))
    with (
        tempfile.TemporaryDirectory(dir=out.parent) as scratch,
        multiprocessing.Pool(processes, maxtasksperchild=100) as pool,
    ):
        for _ in pool.imap_unordered(partial(fetch, out=out, scratch=Path(scratch)), articles.items()):
            pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
