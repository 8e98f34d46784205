"""The programs that roco_async is measured beside, each with the flags that suit thousands of small files.

Who is not installed is left out by name. `targets` are the product's rate over the peer's, floor and goal, by kind of
line; `checks` says what a peer holds its files against before it takes them for good.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Work:
    """What is to be fetched.

    Args:
        rows: URL, file name and md5 of each image.
        host: `https://127.0.0.1:443`, without a slash at its end.
        bucket: the first part of each URL's path.
        authority: the certificate authority's file where the host needs one.
        scratch: where lists are written.
    """

    rows: Sequence[tuple[str, str, str]]
    host: str
    bucket: str
    connections: int
    authority: Path | None
    scratch: Path

    @property
    def base(self) -> str:
        return f"{self.host}/{self.bucket}/"

    def listed(self, line: Callable[[str, str, str], str]) -> str:
        """Write a list with `line(url, name, md5)` for each image; return its path."""
        file = self.scratch / "list"
        file.write_text("".join(line(*row) + "\n" for row in self.rows))
        return str(file)

    def trusting(self, flag: str) -> list[str]:
        """Return a flag that names the authority, where there is one."""
        return [f"{flag}={self.authority}"] if self.authority else []


@dataclass(frozen=True)
class Peer:
    """One program: what it checks, what it needs (a program, or a module of this Python), its command line."""

    name: str
    checks: str
    needs: str
    command: Callable[[Work, Path], list[str]]
    targets: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> bool:
        return not (_program(self.needs) or find_spec(self.needs))


def _program(name: str) -> str:
    """Return a program's path, empty if there is none; one that a wheel brought is taken without its Python wrapper."""
    wheel = find_spec(name)
    if wheel and wheel.origin and (inside := Path(wheel.origin).parent / "bin" / name).exists():
        return str(inside)
    beside = Path(sys.executable).parent
    return shutil.which(name, path=os.pathsep.join((str(beside), os.environ.get("PATH", os.defpath)))) or ""


def _curl(work: Work, out: Path) -> list[str]:
    rows = work.listed(lambda url, name, _: f'url = "{url}"\noutput = "{out / name}"')
    words = ["--silent", "--show-error", "--no-progress-meter", "--fail", "--http1.1"]
    words += ["--parallel", "--parallel-immediate", "--parallel-max", str(work.connections)]
    return ["curl", *words, *(["--cacert", str(work.authority)] if work.authority else []), "--config", rows]


def _wget2(work: Work, out: Path) -> list[str]:
    rows = work.listed(lambda url, *_: url)
    off = ["--no-config", "--no-hsts", "--no-hpkp", "--no-ocsp", "--no-netrc", "--no-robots", "--no-http2"]
    words = ["--quiet", "--progress=none", f"--max-threads={work.connections}", "--tries=3", *off]
    names = ["--force-directories", "--no-host-directories", f"--directory-prefix={out}"]
    return ["wget2", *words, *names, *work.trusting("--ca-certificate"), f"--input-file={rows}"]


def _aria2c(work: Work, out: Path, *, verify: bool = False) -> list[str]:
    digest = "\n  checksum=md5={}" if verify else ""
    rows = work.listed(lambda url, name, md5: f"{url}\n  out={name}{digest.format(md5)}")
    words = ["--quiet", "--no-conf", "--no-netrc", "--file-allocation=none", "--summary-interval=0"]
    words += [f"--max-concurrent-downloads={work.connections}", "--split=1", "--auto-file-renaming=false"]
    return ["aria2c", *words, *work.trusting("--ca-certificate"), f"--dir={out}", f"--input-file={rows}"]


def _rclone(work: Work, out: Path, remote: str, *flags: str) -> list[str]:
    rows = work.listed(lambda url, *_: url.removeprefix(work.base))
    words = ["--config=", "--no-traverse", "--no-check-dest", f"--files-from-raw={rows}", *work.trusting("--ca-cert")]
    words += [f"--transfers={work.connections}", f"--checkers={work.connections}", "--multi-thread-streams=0"]
    return ["rclone", "copy", remote, str(out), *words, *flags]


def _rclone_http(work: Work, out: Path) -> list[str]:
    return _rclone(work, out, ":http:", f"--http-url={work.base}")


def _rclone_s3(work: Work, out: Path) -> list[str]:
    return _rclone(work, out, f":s3:{work.bucket}", "--s3-provider=Other", f"--s3-endpoint={work.host}")


def _s5cmd(work: Work, out: Path) -> list[str]:
    rows = work.listed(
        lambda url, name, _: (
            f"cp --source-region us-east-1 s3://{work.bucket}/{url.removeprefix(work.base)} {out / name}"
        )
    )
    words = ["--no-sign-request", "--endpoint-url", work.host, "--numworkers", str(work.connections), "--log", "error"]
    return [_program("s5cmd"), *words, "run", rows]


def _img2dataset(work: Work, out: Path) -> list[str]:
    rows = work.listed(lambda url, _, md5: json.dumps({"url": url, "md5": md5}))
    processes = 2
    words = {
        "url_list": rows,
        "input_format": "jsonl",
        "output_folder": str(out / "images"),
        "processes_count": str(processes),
        "thread_count": str(work.connections // processes),
        "number_sample_per_shard": "512",  # one shard is one process's
        "resize_mode": "no",
        "disable_all_reencoding": "True",
        "compute_hash": "md5",
        "verify_hash": '["md5","md5"]',
        "enable_wandb": "False",
    }
    return [_program("img2dataset"), *(f"--{name}={value}" for name, value in words.items())]


def _rows(work: Work) -> str:
    return work.listed(lambda *row: "\t".join(row))


def _script(work: Work, out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.plain_script", _rows(work), str(out), str(work.connections), *flags]


def _library(name: str) -> Callable[[Work, Path], list[str]]:
    def command(work: Work, out: Path) -> list[str]:
        words = [name, _rows(work), str(out), str(work.connections), work.host, work.bucket]
        return [sys.executable, "-m", "benchmarks.peer_scripts", *words]

    return command


_FAST = {"first-byte": "0.95 / 1.00", "latency": "0.95 / 1.00"}  # against the fastest of curl, wget2, aria2c

PEERS = (
    Peer("curl -Z", "nothing", "curl", _curl, {"plain": "0.42 / 0.60", "tls": "0.42 / 0.60", **_FAST}),
    Peer("wget2", "nothing", "wget2", _wget2, _FAST),
    Peer("aria2c", "nothing", "aria2c", _aria2c, {"plain": "0.80 / 1.0", "tls": "0.75 / 1.0", **_FAST}),
    Peer("aria2c, checksum", "md5; keeps a wrong file", "aria2c", lambda work, out: _aria2c(work, out, verify=True)),
    Peer("rclone http", "size", "rclone", _rclone_http),
    Peer("rclone s3", "md5", "rclone", _rclone_s3, {"plain": "over 1", "tls": "over 1"}),
    Peer("s5cmd", "nothing", "s5cmd", _s5cmd, {"plain": "1.9 / 2.4", "tls": "2.3 / 3.0"}),
    Peer("obstore", "md5, renames", "obstore", _library("obstore"), {"plain": "1.3 / 1.7", "tls": "1.1 / 1.4"}),
    Peer("img2dataset", "md5", "img2dataset", _img2dataset, {"plain": "4.5 / 6", "tls": "5 / 7"}),
    Peer("parfive", "nothing", "parfive", _library("parfive"), {"plain": "2.5 / 3.2", "tls": "2.0 / 2.5"}),
    Peer("boto3, threads", "nothing", "boto3", _library("boto3"), {"plain": "4 / 5", "tls": "3 / 4"}),
    Peer("aiohttp + aiofiles", "nothing", "aiofiles", _script, {"plain": "1.3 / 1.6", "tls": "1.0 / 1.2"}),
    Peer(
        "aiohttp + aiofiles, md5",
        "md5, renames",
        "aiofiles",
        lambda work, out: _script(work, out, "--verify"),
        {"plain": "1.7 / 2.1", "tls": "1.6 / 1.9"},
    ),
)
