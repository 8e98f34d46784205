"""Run a command as a whole process and read the operating system's own account of it."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

# A process counts the memory of the one that forked it as its own peak, so a small one forks it.
_LAUNCHER = """
import json, os, sys, time
log, *command = sys.argv[1:]
began = time.perf_counter()
pid = os.fork()
if not pid:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.execvp(command[0], command)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class Run:
    """One process: seconds on the clock, seconds of CPU, the most memory it had, in MB, and what was wrong with it.

    Children that it waited for count with its CPU; of memory it is the largest process's.
    """

    wall: float
    cpu: float
    memory: float
    fault: str = ""


class Others:
    """How much of this machine's cores other work had during the block: what a figure of it is worth.

    Ours is what this process and those that it waited for have used, so servers have to end inside the block.
    """

    share = 0.0

    def __enter__(self) -> Self:
        self._began = _clocks()
        return self

    def __exit__(self, *_: object) -> None:
        seconds, busy, ours = (now - then for now, then in zip(_clocks(), self._began, strict=True))
        self.share = max(0.0, busy - ours) / (seconds * (os.cpu_count() or 1))

    def __str__(self) -> str:
        return f"other work had {self.share:.0%} of the cores"


def _clocks() -> tuple[float, float, float]:
    """Return seconds on the clock, seconds that the cores were busy, and those that this process and its own had."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    idle, waiting = ticks[3:5]
    return time.monotonic(), (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def run(
    command: Sequence[str], *, log: Path, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Run:
    """Run a command to its end; its output goes to `log`. A failure is the result's `fault`.

    Args:
        prefix: words before the command that its account does not have, as `nsenter` and its own.
        environment: in the place of this process's.
    """
    launcher = [*prefix, sys.executable, "-I", "-S", "-c", _LAUNCHER, str(log), *command]
    told = subprocess.run(launcher, stdout=subprocess.PIPE, check=True, env=compiling(environment)).stdout
    code, wall, cpu, memory = json.loads(told)
    return Run(wall, cpu, memory, f"ended with {code}: {log.read_text(errors='replace')[-2000:]}" if code else "")


def compiling(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which sources are compiled once, as pip does it, and not again by each process."""
    return {key: value for key, value in (environment or os.environ).items() if key != "PYTHONDONTWRITEBYTECODE"}


def interleaved(
    commands: Mapping[str, Callable[[Path], Sequence[str]]],
    *,
    rounds: int,
    scratch: Path,
    count: int,
    check: Callable[[Path], None],
    lenient: Container[str] = (),
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, list[Run]]:
    """Run all commands in turn, round by round, each into a fresh folder that `check` looks at.

    Args:
        commands: name → what makes the command line for an output folder.
        rounds: how often; one more before is thrown away as a warm-up.
        scratch: where folders and logs are made.
        count: files that each must leave.
        check: raises where a folder's content is wrong.
        lenient: names of commands whose faults are results.
        prefix: for `run`, as is `environment`.

    Raises:
        RuntimeError: a command that is not in `lenient` failed, or left less than it was to.
    """
    results: dict[str, list[Run]] = {name: [] for name in commands}
    out = scratch / "out"
    for turn in range(rounds + 1):
        for name, command in commands.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            result = run(command(out), log=scratch / "log", prefix=prefix, environment=environment)
            if not result.fault:
                result = replace(result, fault=_fault_of(out, count, check))
            if result.fault and name not in lenient:
                raise RuntimeError(f"{name} {result.fault}")
            if turn:
                results[name].append(result)
            print(f"{turn} of {rounds}: {name}, {result.wall:.1f} s", file=sys.stderr)
    shutil.rmtree(out, ignore_errors=True)
    return results


def _fault_of(out: Path, count: int, check: Callable[[Path], None]) -> str:
    found = sum(1 for _ in out.rglob("*.jpg"))
    if found < count:
        return f"left {found} of {count} files"
    try:
        check(out)
    except RuntimeError as error:
        return str(error)
    return ""


def table(
    results: Mapping[str, Sequence[Run]],
    *,
    count: int,
    base: str,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Render medians: images/s, CPU an image, memory, and the rate of `base` over each one's.

    Args:
        columns: more of them, at the end: heading → command → text.
    """
    more = columns or {}
    headings = ["command", "images/s", "spread", "µs of CPU an image", "peak MB", f"rate of {base} / this", *more]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    to_this = ratios(results, base)
    for name, runs in results.items():
        rates = sorted(count / run.wall for run in runs)
        cells = [
            name,
            f"{statistics.median(rates):,.0f}",
            f"{rates[0]:,.0f}-{rates[-1]:,.0f}",
            f"{statistics.median(run.cpu for run in runs) / count * 1e6:,.0f}",
            f"{statistics.median(run.memory for run in runs):,.0f}",
            to_this[name],
            *(column.get(name, "") for column in more.values()),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    faults = (f"{name} {run.fault.strip()[-300:]}" for name, runs in results.items() for run in runs if run.fault)
    return "\n".join([*lines, *dict.fromkeys(faults)])


def ratios(results: Mapping[str, Sequence[Run]], base: str) -> dict[str, str]:
    """Return how many times as fast `base` is as each, by medians."""
    walls = {name: statistics.median(run.wall for run in runs) for name, runs in results.items()}
    return {name: f"{wall / walls[base]:.2f}" for name, wall in walls.items()}
