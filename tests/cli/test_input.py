"""Bad input: 2 before any request, and all faults at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cancel.stage import write_annotations
from tests.faults.stage import files_below
from tests.servers.scripted import ScriptedServer

from .program import Program, calm

Serve = Callable[..., ScriptedServer]

BAD_LINES = [
    "tset",
    "test/radiologie",
    "--data nowhere",
    "test/non-radiology --data notes",
    "train --data notes",
    "--data notes --out notes/test/radiology/dlinks.txt",
    "--data notes/test/radiology/dlinks.txt",
    "--data notes --cloud-url ftp://127.0.0.1/",
    "--data notes --cloud-url nonsense",
    "--data notes --cloud-url http://",
    "--data notes --cloud-url http://127.0.0.1:99999/",
    "--data notes --annotations-url file:///etc/passwd --data notes",
    "--data notes -n 0",
    "--data notes -n many",
    "--data notes -r 0",
    "--data notes --timeout 0",
    "--data notes --timeout nan",
    "--data notes --outage -1",
    "--data notes --limit-rate 0",
    "--data notes --limit-rate fast",
    "--data notes --limit 0",
    "--data notes --no-such-flag",
    "--data",
    "fetch fetch --data notes",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_words(line: str, program: Program, bucket: Serve) -> None:
    """The line exits 2 before any request, in a sentence on stderr, and leaves nothing behind."""
    server = bucket()
    before = files_below(program.folder)
    done = calm(program.run(line, ()))
    assert done.code == 2
    assert done.out == ""
    assert done.err.strip() != ""
    assert server.connections == 0
    assert files_below(program.folder) == before


def test_all_bad_values_at_once(program: Program, bucket: Serve) -> None:
    """`-n 0 -r 0 --timeout 0 --limit 0`: each of the four is named."""
    server = bucket()
    done = calm(program.run("--data notes -n 0 -r 0 --timeout 0 --limit 0", ()))
    assert done.code == 2
    assert all(word in done.err for word in ("connections", "attempts", "timeout", "limit")), done.err
    assert server.connections == 0


def test_values_that_are_no_numbers(program: Program) -> None:
    """`-n many --timeout never --limit-rate fast`: each of the three is named, in words for a person."""
    done = calm(program.run("--data notes -n many --timeout never --limit-rate fast", ()))
    assert done.code == 2
    assert all(word in done.err for word in ("many", "never", "fast")), done.err
    assert "parse_bytes" not in done.err


def test_broken_lines_are_named_all_at_once(program: Program, bucket: Serve) -> None:
    """Three broken lines in dlinks of two groups: each is named by file and line, in one run, before any request."""
    server = bucket()
    write_annotations(program.folder / "notes", 5, "test/non-radiology")
    first = program.folder / "notes/test/radiology/dlinks.txt"
    lines = first.read_text().splitlines()
    lines[2], lines[7] = "ROCO_00003", "../../ROCO_00008" + lines[7][10:]
    first.write_text("\n".join(lines))
    second = program.folder / "notes/test/non-radiology/dlinks.txt"
    second.write_bytes(second.read_bytes() + b"\xff\xfe\tx\ty\n")
    done = calm(program.run("test --data notes --out out"))
    assert done.code == 2
    assert "radiology/dlinks.txt:3" in done.err
    assert "radiology/dlinks.txt:8" in done.err
    assert "non-radiology/dlinks.txt:6" in done.err
    assert server.connections == 0
    assert not (program.folder / "out").exists()


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"], ids=["empty", "blank", "BOM"])
def test_a_list_without_a_row(content: str, program: Program, bucket: Serve) -> None:
    """An empty dlinks.txt and licences.txt is bad input, not success."""
    server = bucket()
    for name in ("dlinks", "licences"):
        (program.folder / f"notes/test/radiology/{name}.txt").write_text(content)
    done = calm(program.run("test/radiology --data notes --out out"))
    assert done.code == 2
    assert server.connections == 0


def test_an_id_twice(program: Program, bucket: Serve) -> None:
    """Two rows of one id that want two files are bad input: one would be lost under the other."""
    server = bucket()
    file = program.folder / "notes/test/radiology/dlinks.txt"
    file.write_text(file.read_text() + file.read_text().splitlines()[0].replace("PMC1.", "PMC2.") + "\n")
    done = calm(program.run("test/radiology --data notes --out out"))
    assert done.code == 2
    assert "dlinks.txt:21" in done.err
    assert server.connections == 0


def test_crlf_bom_and_blank_lines(program: Program, bucket: Serve) -> None:
    """Annotations that went through an editor of another system are read as they were."""
    bucket()
    for file in (program.folder / "notes/test/radiology").glob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    done = calm(program.run("test/radiology --data notes --out out --json"))
    assert (done.code, done.json["fetched"]) == (0, 20)


def test_unnamed_groups_are_left_out_and_said(program: Program, bucket: Serve) -> None:
    """`--data notes` with one group of six: it is fetched, and the five others are named on stderr."""
    bucket()
    done = calm(program.run("--data notes --out out --json"))
    assert (done.code, done.json["fetched"]) == (0, 20)
    for group in ("train/radiology", "train/non-radiology", "validation/radiology", "test/non-radiology"):
        assert group in done.err
    assert "left out" in done.err.lower()


def test_a_split_of_which_one_group_is_there(program: Program, bucket: Serve) -> None:
    """`test --data notes` where test/non-radiology is lacking: the other group is fetched, and the lack is said."""
    bucket()
    done = calm(program.run("test --data notes --out out --json"))
    assert (done.code, done.json["fetched"]) == (0, 20)
    assert "test/non-radiology" in done.err


def test_out_that_is_a_file(program: Program, bucket: Serve) -> None:
    """`--out` of a file: 2, its name said, the file as it was."""
    server = bucket()
    (program.folder / "out").write_bytes(b"mine")
    done = calm(program.run("test/radiology --data notes --out out"))
    assert done.code == 2
    assert "out" in done.err
    assert (program.folder / "out").read_bytes() == b"mine"
    assert server.connections == 0


def test_dry_run(program: Program, bucket: Serve) -> None:
    """`--dry-run`: no request, no file, images, articles, what is there, and the settings in words."""
    server = bucket()
    done = calm(program.run("test/radiology --data notes --out out -n 7 --dry-run"))
    assert done.code == 0
    assert server.connections == 0
    assert not (program.folder / "out").exists()
    for word in ("20 images", "20 articles", "7", server.base):
        assert word in done.out


def test_dry_run_json(program: Program, bucket: Serve) -> None:
    """`--dry-run --json`: one line, with the same figures, and what is there already."""
    server = bucket()
    calm(program.run("test/radiology --data notes --out out --limit 6"))
    connections = server.connections
    done = calm(program.run("test/radiology --data notes --out out -n 7 --dry-run --json"))
    assert done.code == 0
    assert server.connections == connections
    assert done.json["images"] == 20
    assert done.json["articles"] == 20
    assert done.json["there"] == 6
    assert done.json["settings"]["connections"] == 7


def test_dry_run_with_bad_lines(program: Program, bucket: Serve) -> None:
    """`--dry-run` finds bad input as a run would: 2."""
    bucket()
    (program.folder / "notes/test/radiology/dlinks.txt").write_text("ROCO_00003\n")
    assert calm(program.run("test/radiology --data notes --out out --dry-run")).code == 2


def test_limit(program: Program, bucket: Serve) -> None:
    """`--limit 7`: the first seven of the list and no other request."""
    server = bucket()
    done = calm(program.run("test/radiology --data notes --out out --limit 7 --json"))
    assert (done.code, done.json["requested"]) == (0, 7)
    assert sorted(int(one.key[3:].split(".")[0]) for one in server.requests) == list(range(1, 8))


def test_connections(program: Program, bucket: Serve) -> None:
    """`-n 3`: never more than three connections at the server."""
    server = bucket()
    assert calm(program.run("test/radiology --data notes --out out -n 3")).code == 0
    assert server.peak_connections <= 3


def test_limit_rate(program: Program, bucket: Serve) -> None:
    """`--limit-rate 1M` over 3 MB takes two to four seconds, and breaks no transfer."""
    server = bucket(size=150_000)
    done = calm(program.run("test/radiology --data notes --out out --limit-rate 1M --json", ("--timeout", "0.5")))
    assert (done.code, done.json["bytes"]) == (0, 3_000_000)
    assert 1.8 < done.json["elapsed"] < 4.5
    assert len(server.requests) == 20


def test_help_names_every_exit_code(program: Program) -> None:
    """`--help` exits 0 and names the flags and the exit codes of the contract."""
    done = calm(program.run("--help --cloud-url x", ()))
    assert done.code == 0
    flags = (
        "--data --annotations-url --out --cloud-url --connections --attempts --timeout --outage --limit-rate --limit"
    )
    for word in (*flags.split(), "--dry-run", "--json", "--no-progress", "-q", "-v", "-n", "-r", "130", "143"):
        assert word in done.out, word


def test_a_hostile_name_in_a_list(program: Program, bucket: Serve, tmp_path: Path) -> None:
    """A dlinks row whose image name climbs out of the folder is refused before any request."""
    server = bucket()
    file = program.folder / "notes/test/radiology/dlinks.txt"
    file.write_text(file.read_text().replace("\ta.jpg", "\t../../../../a.jpg", 1))
    (program.folder / "notes/test/radiology/licences.txt").unlink()
    done = calm(program.run("test/radiology --data notes --out out --limit 1"))
    assert done.code in (2, 3)
    assert server.connections == 0
    assert not list(tmp_path.rglob("a.jpg"))
