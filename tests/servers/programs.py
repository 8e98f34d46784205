"""Programs that tests need: found, or the test is skipped by name; in CI (`CI=true`) such a skip is a failure."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str, *, package: str) -> str:
    """Return the program's path, or skip the test with a reason that names Debian's package."""
    # Debian keeps servers in sbin, which is not on everyone's path.
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    if found:
        return found
    reason = f"needs the program {name!r}: install Debian's package {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: a missing server is a failure)", pytrace=False)
    pytest.skip(reason)
