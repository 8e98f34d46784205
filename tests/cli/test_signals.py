"""Signals, and readers that leave; kills are in tests/kills."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cancel.stage import pictures
from tests.faults.stage import files_below
from tests.servers.faults import Fault, Stall, Trickle
from tests.servers.scripted import ScriptedServer

from .program import Program, calm, served, signalled, wait_until

Serve = Callable[..., ScriptedServer]
LINE = "test/radiology --data notes --out out --json -n 4"
SLOW = Fault(Trickle(500, 0.02))


HUNG = """
import os, sys, threading
from roco_async.cli import main
name = sys.argv.pop(1)
call = getattr(os, name)
def hang(*words, **others):
    if threading.current_thread() is not threading.main_thread():
        print("hangs", file=sys.stderr, flush=True)
        threading.Event().wait()
    return call(*words, **others)
setattr(os, name, hang)
sys.exit(main())
"""
"""The command line on a file system that never returns from one call."""


def start_hung(program: Program, call: str, line: str) -> subprocess.Popen[str]:
    """Start a command for whose threads a function of `os` never returns."""
    words = program.words(line)
    return subprocess.Popen(
        [words[0], "-c", HUNG, call, *words[3:]],
        cwd=program.folder, env=program.settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def whole_below(program: Program, size: int = 3000) -> set[int]:
    """Return the numbers of the images that are there; all must be whole, and nothing else may lie beside them."""
    expect, numbers = pictures(20, size), set()
    out = program.folder / "out"
    for name in files_below(out):
        assert name.endswith(".jpg"), f"{name} is left"
        number = int(name.rpartition("_")[2].removesuffix(".jpg"))
        assert (out / name).read_bytes() == expect[f"PMC{number}.1/a.jpg"], f"{name} is torn"
        numbers.add(number)
    return numbers


def finish(program: Program, server: ScriptedServer) -> None:
    """Run once more, to the end, and hold that nothing that was there is asked for."""
    there = whole_below(program)
    server.script.clear()
    server.requests.clear()
    done = calm(program.run(LINE))
    assert done.code == 0, done
    asked = {int(one.key.split(".")[0][3:]) for one in server.requests}
    assert asked == set(range(1, 21)) - there
    assert whole_below(program) == set(range(1, 21))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_one_signal(number: signal.Signals, code: int, program: Program, bucket: Serve) -> None:
    """The first signal takes no new work, finishes what is in flight, prints the account, and exits with its code."""
    server = bucket(SLOW)
    done = signalled(program, server, LINE, (number,))
    assert done.code == code
    assert done.seconds < 5
    there = whole_below(program)
    assert 5 <= len(there) < 20
    assert done.json["fetched"] == len(there)
    finish(program, server)


def test_one_signal_while_nothing_moves(program: Program, bucket: Serve) -> None:
    """SIGINT while every transfer hangs: five seconds at most, and what was in flight is discarded."""
    server = bucket(Fault(Stall(1000), on="PMC1?.1/*"))
    done = signalled(program, server, LINE, (signal.SIGINT,))
    assert done.code == 130
    assert done.seconds < 5.2
    finish(program, server)


@pytest.mark.parametrize("numbers", [(signal.SIGINT,) * 2, (signal.SIGTERM, signal.SIGINT)], ids=str)
def test_two_signals(numbers: tuple[signal.Signals, ...], program: Program, bucket: Serve) -> None:
    """The second signal stops at once, with the code of the first, and leaves nothing torn or temporary."""
    server = bucket(Fault(Stall(1000), on="PMC1?.1/*"))
    done = signalled(program, server, LINE, numbers, after=9, hanging=4)
    assert done.code == 128 + numbers[0]
    assert done.seconds < 1.6
    finish(program, server)


def test_many_signals(program: Program, bucket: Serve) -> None:
    """Someone who hammers Ctrl-C gets 130 within two seconds, and no traceback."""
    server = bucket(Fault(Stall(1000), on="PMC1?.1/*"))
    done = signalled(program, server, LINE, (signal.SIGINT,) * 8, after=9, hanging=4)
    assert done.code == 130
    assert done.seconds < 2.5
    whole_below(program)


@pytest.mark.parametrize("pause", [0.0, 0.25])
def test_a_signal_in_the_first_moments(pause: float, program: Program, bucket: Serve) -> None:
    """SIGTERM while the program is still starting ends it, without a traceback and without a torn file."""
    server = bucket(SLOW)
    process = program.start(LINE)
    time.sleep(pause)
    process.send_signal(signal.SIGTERM)
    done = calm(program.wait(process))
    assert done.code in (143, -signal.SIGTERM)
    assert done.seconds < 5
    finish(program, server)


def test_nohup(program: Program, bucket: Serve) -> None:
    """SIGHUP that was ignored at the start, as under nohup, stops nothing."""
    server = bucket(SLOW)

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = program.start(LINE, preexec_fn=ignore)
    wait_until(lambda: served(server) >= 3)
    process.send_signal(signal.SIGHUP)
    done = calm(program.wait(process))
    assert (done.code, done.json["fetched"]) == (0, 20)


@pytest.mark.parametrize("line", ["test/radiology --data notes --out out", f"{LINE} -vv", f"{LINE} --dry-run"])
@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_reader_that_left(line: str, closed: str, program: Program, bucket: Serve) -> None:
    """A closed pipe on stdout, or on stderr too, costs no image, no traceback and no wrong exit code."""
    bucket()
    reading, writing = os.pipe()
    os.close(reading)
    process = program.start(line, stdout=writing, stderr=subprocess.PIPE if closed == "stdout" else writing)
    os.close(writing)
    done = calm(program.wait(process))
    assert done.code == 0, done
    assert "BrokenPipe" not in done.err
    if "--dry-run" not in line:
        assert whole_below(program) == set(range(1, 21))


def test_head_takes_nothing(program: Program, bucket: Serve) -> None:
    """`… | head -c 0` costs no image, and nothing is said of a pipe."""
    bucket(SLOW)
    words = program.words("test/radiology --data notes --out out -vv")
    shell = ["sh", "-c", '"$@" 2>&1 | head -c 0', "sh", *words]
    done = subprocess.run(shell, cwd=program.folder, env=program.settings, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    wait_until(lambda: len(files_below(program.folder / "out")) == 20)
    assert whole_below(program) == set(range(1, 21))


@pytest.mark.parametrize(
    "streams",
    [
        ">&- 2>&-",
        "<&- >&-",
        "</dev/full >/dev/full",
        "2>/dev/full",
    ],
)
def test_streams_that_are_closed_or_full(streams: str, program: Program, bucket: Serve) -> None:
    """Streams that are closed at the start, or a full device, cost no image."""
    bucket()
    words = program.words("test/radiology --data notes --out out")
    shell = ["sh", "-c", f'"$@" {streams}', "sh", *words]
    done = subprocess.run(
        shell, cwd=program.folder, env=program.settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert whole_below(program) == set(range(1, 21))


def test_two_programs_at_once(program: Program, bucket: Serve) -> None:
    """Two commands into one folder at once both exit 0, and nothing is torn or left."""
    server = bucket(Fault(Trickle(500, 0.005)))
    processes = [program.start(LINE) for _ in range(2)]
    codes = [calm(program.wait(process)).code for process in processes]
    assert codes == [0, 0]
    assert len(server.requests) <= 40
    finish(program, server)


@pytest.mark.parametrize(
    ("call", "numbers"),
    [("replace", [signal.SIGINT]), ("replace", [signal.SIGINT] * 2), ("listdir", [signal.SIGTERM]),
     ("stat", [signal.SIGTERM])],
    ids=str,
)  # fmt: skip
def test_a_signal_while_the_disk_hangs(
    call: str, numbers: list[signal.Signals], program: Program, bucket: Serve
) -> None:
    """A disk that never answers holds threads for good; one signal ends the command all the same, with its code."""
    bucket()
    process = start_hung(program, call, "test/radiology --data notes --out out --json -n 4")
    assert process.stderr is not None
    assert "hangs" in process.stderr.readline()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.15)  # two signals of one kind would be one to the kernel
    done = calm(program.wait(process))
    assert done.code == 128 + numbers[0]
    assert done.seconds < 7


def full_pipe() -> tuple[int, int]:
    """A pipe with room for 100 bytes, so that the next few words meet a reader that does not read."""
    reading, writing = os.pipe()
    room = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"." * (room - 100))
    return reading, writing


def test_nobody_reads_stderr(program: Program, bucket: Serve) -> None:
    """A reader of stderr that stays and does not read, a stopped terminal, holds no run; what was said waits for it."""
    bucket()
    reading, writing = full_pipe()
    process = program.start("test/radiology --data notes --out out -vv", stderr=writing)
    os.close(writing)
    wait_until(lambda: len(list((program.folder / "out").rglob("*.jpg"))) == 20)
    with open(reading, "rb") as stream:
        said = stream.read().decode()
    done = program.wait(process)
    assert done.code == 0
    assert said.count(": FETCHED: ") == 20
    assert done.out.startswith("All 20 images are there")


def test_a_signal_while_nobody_reads_stderr(program: Program, bucket: Serve) -> None:
    """One signal ends a command whose words on stderr nobody reads, and the account is on stdout all the same."""
    bucket(Fault(Stall(1000), on="PMC1?.1/*"))
    reading, writing = full_pipe()
    process = program.start(f"{LINE} -vv", ("--timeout", "20"), stderr=writing)
    os.close(writing)
    wait_until(lambda: list((program.folder / "out").rglob("*.jpg")))
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    done = program.wait(process, since=began)
    os.close(reading)
    assert done.code == 143
    assert done.json["fetched"] > 0
    assert done.seconds < 7


def test_signals_while_nobody_reads_stdout(program: Program, bucket: Serve) -> None:
    """A reader of stdout that does not read holds a command's last words, as any other's; two signals end it."""
    bucket()
    reading, writing = full_pipe()
    process = program.start("test/radiology --data notes --out out --json", stdout=writing)
    os.close(writing)
    wait_until(lambda: list((program.folder / "out").rglob("*.jpg")))
    for _ in range(2):
        time.sleep(1.5)  # a signal that the loop has not answered for a second is one that it cannot hear
        process.send_signal(signal.SIGTERM)
    done = program.wait(process)
    os.close(reading)
    assert done.code == 143


def test_a_mirror_on_a_disk_that_hangs(program: Program) -> None:
    """A file that a folder's file system never delivers costs its image; the account is told, and the command ends."""
    package = program.folder / "mirror/pub/pmc/oa_package/00/00/PMC1.tar.gz"
    package.parent.mkdir(parents=True)
    package.touch()
    line = "test/radiology --data notes --out out --limit 1 --json --source packages --packages-url file://"
    process = start_hung(program, "fstat", f"{line}{program.folder / 'mirror'}")
    done = program.wait(process)
    assert done.code == 4
    assert done.json["failed"] == 1
