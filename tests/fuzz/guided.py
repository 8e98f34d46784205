"""One coverage-guided run, in a process of its own: libFuzzer ends the process that it runs in.

    python -m tests.fuzz.guided TARGET [libFuzzer's options and folders]

`python -m tests.fuzz` starts this and sums up what it prints.
"""

from __future__ import annotations

import importlib
import random
import sys


def main() -> None:
    atheris = importlib.import_module("atheris")  # by name, so that types are checked without it too
    name, *options = sys.argv[1:]
    # What a date in a header does is decided in the standard library.
    with atheris.instrument_imports(include=["roco_async", "email"]):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        changed: bytes = target.mutate(lambda part: atheris.Mutate(part, 4 * target.largest), data, random.Random(seed))
        return changed[:most]

    atheris.Setup(
        [sys.argv[0], f"-max_len={target.largest}", "-print_final_stats=1", *options],
        target.run,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
