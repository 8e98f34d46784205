"""Peers that are libraries, as short scripts: each takes a list and fetches it.

    python -m benchmarks.peer_scripts NAME LIST OUT CONNECTIONS HOST BUCKET

`LIST` has lines `url<TAB>file name<TAB>md5`; obstore and boto3 ask for the keys below `HOST/BUCKET/` as S3's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """What is to be fetched, and how: `rows` are key, URL, file name, md5."""

    rows: list[tuple[str, str, str, str]]
    out: Path
    connections: int
    host: str
    bucket: str


def _commit(body: bytes, path: Path, md5: str) -> None:
    if hashlib.md5(body).hexdigest() != md5:
        raise ValueError(f"{path.name}: wrong bytes")
    part = path.with_suffix(".part")
    part.write_bytes(body)
    os.replace(part, path)


async def obstore(task: Task) -> None:
    """With roco_async's promises: md5, temporary name, rename, in one hop to a thread."""
    store = import_module("obstore.store").S3Store(
        task.bucket,
        endpoint=task.host,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    places = asyncio.Semaphore(task.connections)
    loop = asyncio.get_running_loop()

    async def fetch(key: str, name: str, md5: str) -> None:
        async with places:
            body = await (await store.get_async(key)).bytes_async()
            await loop.run_in_executor(None, _commit, body, task.out / name, md5)

    async with asyncio.TaskGroup() as group:
        for key, _, name, md5 in task.rows:
            group.create_task(fetch(key, name, md5))


def parfive(task: Task) -> None:
    downloader = import_module("parfive").Downloader(max_conn=task.connections, max_splits=1, progress=False)
    for _, url, name, _ in task.rows:
        downloader.enqueue_file(url, path=task.out, filename=name)
    errors = downloader.download().errors
    if errors:
        raise RuntimeError(f"{len(errors)} files failed, the first with {errors[0]}")


def boto3(task: Task) -> None:
    """A thread a connection."""
    botocore = import_module("botocore")
    config = import_module("botocore.config").Config(
        signature_version=botocore.UNSIGNED,
        max_pool_connections=task.connections,
        s3={"addressing_style": "path"},
    )
    session = import_module("boto3").Session(region_name="us-east-1")
    client = session.client("s3", endpoint_url=task.host, config=config, verify=os.environ.get("SSL_CERT_FILE"))

    def fetch(row: tuple[str, str, str, str]) -> None:
        key, _, name, _ = row
        (task.out / name).write_bytes(client.get_object(Bucket=task.bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(task.connections) as threads:
        for _ in threads.map(fetch, task.rows):
            pass


SCRIPTS: dict[str, Callable[[Task], None]] = {
    "obstore": lambda task: asyncio.run(obstore(task)),
    "parfive": parfive,
    "boto3": boto3,
}


def main(name: str, rows: str, out: str, connections: str, host: str, bucket: str) -> None:
    base = f"{host}/{bucket}/"
    lines = [line.split("\t") for line in Path(rows).read_text().splitlines()]
    found = [(url.removeprefix(base), url, file, md5) for url, file, md5 in lines]
    SCRIPTS[name](Task(found, Path(out), int(connections), host, bucket))


if __name__ == "__main__":
    main(*sys.argv[1:])
