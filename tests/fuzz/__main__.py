"""Look for inputs that a parser does not survive, guided by coverage (docs/fuzzing.md).

python -m tests.fuzz TARGET [--seconds N] [--corpus DIR]
python -m tests.fuzz all --seconds 60
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .targets import CORPUS, TARGETS

_NEEDED = "Coverage-guided runs need atheris, which has wheels for CPython on Linux: pip install --group fuzz"
_PROGRESS = re.compile(r"#(\d+)\t.*?cov: (\d+) ft: (\d+) corp: (\d+)/")
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_CRASH = re.compile(r"Test unit written to (.*(?:crash|timeout|oom)-[0-9a-f]+)")
_MEMORY = Path("/dev/shm")


class Figures(NamedTuple):
    """What a run came to; `edges` and `features` as libFuzzer counts them, `crash` the file of an input that failed."""

    executions: int
    edges: int
    features: int
    inputs: int
    seconds: float
    crash: str | None


def run(name: str, seconds: int, finds: Path) -> Figures:
    """Run one target; libFuzzer's own lines go to stderr as they come, and new finds into a folder."""
    finds.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.guided", name, f"-max_total_time={seconds}", "-timeout=25",
        "-rss_limit_mb=1024", f"-artifact_prefix=./{name}-", str(finds), str(CORPUS / name),
    ]  # fmt: skip
    executions = edges = features = inputs = 0
    crash = None
    began = time.monotonic()
    # Some targets write and remove files: a disk would be what is measured.
    place = {"TMPDIR": str(_MEMORY)} if _MEMORY.is_dir() else {}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, errors="replace", env=place | os.environ
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            if found := _PROGRESS.match(line):
                executions, edges, features, inputs = map(int, found.groups())
            elif found := _EXECUTED.match(line):
                executions = int(found[1])
            elif found := _CRASH.search(line):
                crash = found[1]
    if process.returncode and not crash:
        sys.exit(f"{name}: the run itself failed (exit code {process.returncode}), see above")
    return Figures(executions, edges, features, inputs, time.monotonic() - began, crash)


def told(name: str, figures: Figures) -> str:
    crash = f"CRASH: {figures.crash}" if figures.crash else ""
    return (
        f"{name:<12}{figures.executions:>12,}{figures.seconds:>9.0f}{figures.edges:>8,}{figures.features:>10,}"
        f"{figures.inputs:>8,}  {crash}"
    ).rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="a target (default: 60)")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="keep new finds in DIR/TARGET, and go on from there")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(_NEEDED, file=sys.stderr)
        return 2
    chosen = list(TARGETS) if arguments.target == "all" else [arguments.target]
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            results[name] = run(name, arguments.seconds, (arguments.corpus or Path(scratch)) / name)
    print(f"{'target':<12}{'executions':>12}{'seconds':>9}{'edges':>8}{'features':>10}{'inputs':>8}")
    for name, figures in results.items():
        print(told(name, figures))
    return int(any(figures.crash for figures in results.values()))


if __name__ == "__main__":
    sys.exit(main())
