"""File systems that tests mount: small ones, and one that takes `A` and `a` for one name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")

_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _run(*words: object) -> str:
    """Carry out a command, or skip the test with what it said."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{words[0]} is not allowed here: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@contextmanager
def small(folder: Path, options: str = "size=1m") -> Iterator[Path]:
    """Mount a tmpfs on a folder that is made for it."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def caseless(folder: Path, megabytes: int = 8) -> Iterator[Path]:
    """Mount an exFAT on a folder that is made for it: it keeps the case of names, and does not tell them apart by it.

    In user space, as not every kernel knows the file system.
    """
    mount = shutil.which("mount.exfat-fuse", path=_SEARCHED)
    make = shutil.which("mkfs.exfat", path=_SEARCHED)
    if not mount or not make:
        pytest.skip("Debian's exfat-fuse and exfatprogs are not installed")
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run(make, image)
    device = _run("losetup", "--find", "--show", image)
    folder.mkdir()
    try:
        _run(mount, device, folder)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
