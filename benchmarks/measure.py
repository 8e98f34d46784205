"""Run a command as a whole process and read the operating system's own account of it."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """One process: seconds on the clock, seconds of CPU, and the most memory it had, in MB."""

    wall: float
    cpu: float
    memory: float


def run(command: Sequence[str], *, log: Path) -> Run:
    """Run a command to its end; its output goes to `log`.

    Raises:
        RuntimeError: it failed.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(log), *command]
    code, wall, cpu, memory = json.loads(subprocess.run(launcher, capture_output=True, check=True).stdout)
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}: {log.read_text(errors='replace')[-2000:]}")
    return Run(wall, cpu, memory)


def interleaved(
    commands: Mapping[str, Callable[[Path], Sequence[str]]],
    *,
    rounds: int,
    scratch: Path,
    count: int,
    check: Callable[[Path], None],
) -> dict[str, list[Run]]:
    """Run all commands in turn, round by round, each into a fresh folder that `check` looks at.

    Args:
        commands: name → what makes the command line for an output folder.
        rounds: how often; the first is thrown away as a warm-up.
        scratch: where folders and logs are made.
        count: files that each must leave.
        check: raises where a folder's content is wrong.
    """
    results: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            out = scratch / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            result = run(command(out), log=scratch / "log")
            found = sum(1 for _ in out.rglob("*.jpg"))
            if found < count:
                raise RuntimeError(f"{name} left {found} of {count} files: {(scratch / 'log').read_text()[-2000:]}")
            check(out)
            if turn:
                results[name].append(result)
    shutil.rmtree(scratch / "out", ignore_errors=True)
    return results


def table(results: Mapping[str, Sequence[Run]], *, count: int, base: str) -> str:
    """Render medians: images/s, CPU an image, memory, and the wall-clock ratio of `base` to each."""
    walls = {name: statistics.median(run.wall for run in runs) for name, runs in results.items()}
    lines = [
        f"| command | images/s | spread | µs of CPU an image | peak MB | rate of {base} / this |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        cpu = statistics.median(run.cpu for run in runs) / count * 1e6
        memory = statistics.median(run.memory for run in runs)
        rates = sorted(count / run.wall for run in runs)
        lines.append(
            f"| {name} | {count / walls[name]:,.0f} | {rates[0]:,.0f}-{rates[-1]:,.0f} | {cpu:,.0f} | {memory:,.0f} "
            f"| {walls[name] / walls[base]:.2f} |"
        )
    return "\n".join(lines)
