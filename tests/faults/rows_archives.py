"""Rows: what a package is, whatever road it comes by. Each is played over HTTP, FTP and a folder."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from typing import Final

from roco_async import Reason
from tests.packages.stage import MIB, bomb, content, noise, tar_gz
from tests.servers.faults import HTML

from .package_stage import LENGTH, LONG, MIDDLE, PATH, PICTURE, WHOLE, Row, wants

DAMAGED: Final = (Reason.DAMAGED,)
TOO_LARGE: Final = (Reason.TOO_LARGE,)
LACKS: Final = {"a.jpg": Reason.NO_MEMBER}
A: Final = content(1, "a.jpg", PICTURE)
B: Final = content(1, "b.jpg", PICTURE)
OTHER: Final = content(1, "other.jpg", PICTURE)
TAR: Final = gzip.decompress(WHOLE)


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0xFF
    return bytes(changed)


def zipped(tar: bytes) -> bytes:
    return gzip.compress(tar, 1, mtime=0)


def special(kind: bytes, target: str = "", size: int = 0, name: str = "PMC1/a.jpg") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def damaged(name: str, package: bytes, words: str) -> Row:
    return Row(name, package=package, reason=DAMAGED, most=2, words=words)


def _streams() -> list[Row]:
    """What is wrong with the gzip stream."""
    trailer = len(WHOLE) - 8
    body = WHOLE[10:]
    named = b"\x1f\x8b\x08\x1e" + bytes(6)
    extra, text = b"\x03\x00abc", b"name\0comment\0"
    sum16 = (zlib.crc32(named + extra + text) & 0xFFFF).to_bytes(2, "little")
    pieces = [zipped(TAR[place : place + 9_999]) for place in range(0, len(TAR), 9_999)]
    return [
        Row("a sound package"),
        damaged("an empty file", b"", "end of the stream"),
        damaged("one byte", WHOLE[:1], "end of the stream"),
        damaged("half a gzip header", WHOLE[:5], "end of the stream"),
        damaged("a gzip header alone", WHOLE[:10], "end of the stream"),
        damaged("truncated before the first picture", WHOLE[:9000], "end of the stream"),
        damaged("truncated between the pictures", WHOLE[:MIDDLE], "end of the stream"),
        damaged("truncated behind the pictures", WHOLE[: len(WHOLE) - 4000], "end of the stream"),
        damaged("without its trailer", WHOLE[:trailer], "end of the stream"),
        damaged("without half of its CRC", WHOLE[: trailer + 2], "end of the stream"),
        damaged("without its length", WHOLE[:-4], "end of the stream"),
        damaged("without its last byte", WHOLE[:-1], "end of the stream"),
        damaged("a byte flipped before the first picture", flipped(WHOLE, 9000), "CRC-32 of the data"),
        damaged("a byte flipped between the pictures", flipped(WHOLE, MIDDLE), "CRC-32 of the data"),
        damaged("a byte flipped in deflate's own", flipped(WHOLE, 11, 12, 13), "deflate data"),
        *(damaged(f"a byte flipped in the CRC, {back} from the end", flipped(WHOLE, len(WHOLE) - back), "CRC-32")
          for back in (8, 5)),
        *(damaged(f"a byte flipped in the length, {back} from the end", flipped(WHOLE, len(WHOLE) - back), "length of")
          for back in (4, 1)),
        Row("a bad CRC behind a rest that nobody decodes", package=flipped(LONG, len(LONG) - 8), verified=LENGTH),
        Row("a bad CRC behind a rest that has to be decoded", package=flipped(LONG, len(LONG) - 8), reason=DAMAGED,
            most=2, words="CRC-32", wanted=wants("a.jpg", "none.jpg")),
        Row("truncated in a rest that nobody decodes", package=LONG[: -(1 << 20)], verified=LENGTH),
        Row("a lack in a truncated package is no lack yet", package=WHOLE[:-4], reason=DAMAGED, most=2,
            wanted=wants("a.jpg", "none.jpg")),
        *(Row(f"{what} behind it", package=WHOLE + behind, lost={"none.jpg": Reason.NO_MEMBER},
              wanted=wants("a.jpg", "b.jpg", "none.jpg"))
          for what, behind in {"zeros": bytes(5000), "a page": HTML * 90, "a zero and a page": b"\0" + HTML}.items()),
        damaged("half a gzip header behind it", WHOLE + WHOLE[:5], "end of the stream"),
        Row("two packages in one file", package=WHOLE + WHOLE),
        Row("many gzip members", package=b"".join(pieces)),
        Row("empty gzip members between", package=zipped(b"").join(pieces)),
        damaged("many gzip members, the last ones lacking", b"".join(pieces[:4]), "end of the stream"),
        damaged("many gzip members, one with a bad CRC", b"".join([pieces[0], flipped(pieces[1], -8), *pieces[2:]]),
                "CRC-32"),
        Row("a gzip header with all its fields", package=named + extra + text + sum16 + body),
        damaged("a gzip header with a wrong CRC of its own", named + extra + text + b"xx" + body, "CRC-16"),
        damaged("a gzip header with reserved bits", b"\x1f\x8b\x08\xe0" + bytes(6) + body, "header flags"),
        damaged("a compression method that is not deflate", b"\x1f\x8b\x07\x00" + bytes(6) + body, "method"),
        Row("a gzip header without an end", package=b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (MIB + 9), reason=TOO_LARGE,
            permanent=True, words="size of a header"),
    ]  # fmt: skip


def _others() -> list[Row]:
    """What is no tar.gz at all."""
    store = io.BytesIO()
    with zipfile.ZipFile(store, "w") as archive:
        archive.writestr("PMC1/a.jpg", A)
    first = "beginning of the stream"
    return [
        damaged("a web page", HTML, first),
        damaged("a web page with a blank before it", b" " + HTML, first),
        damaged("an S3 error", b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', first),
        damaged("a tar that is not packed", TAR, first),
        damaged("a zip", store.getvalue(), first),
        damaged("a bzip2", bz2.compress(TAR), first),
        damaged("an xz", lzma.compress(TAR, preset=0), first),
        damaged("the picture itself", A, first),
        damaged("zeros", bytes(3000), first),
        damaged("a gzip of nothing", zipped(b""), "end of the stream"),
        damaged("a gzip of a text", zipped(b"no tar " * 200), "checksum of a tar header"),
        damaged("a gzip of a web page", zipped(HTML * 20), "checksum of a tar header"),
        damaged("a gzip of the package", zipped(WHOLE), "checksum of a tar header"),
        damaged("a gzip of half a tar block", zipped(TAR[:300]), "end of the stream"),
        Row("a gzip of an empty archive", package=zipped(bytes(1024)), reason=(Reason.NO_MEMBER,), permanent=True),
    ]


def _tars() -> list[Row]:
    """What is wrong with the tar, or unusual in it."""
    end = 512 + -(-len(A) // 512) * 512
    one = gzip.decompress(tar_gz(("PMC1/a.jpg", A)))
    two = tar_gz(("PMC1/a.jpg", A), ("PMC1/b.jpg", B))
    long = "x" * 150
    pax = special(tarfile.XHDTYPE, size=2 << 30, name="PMC1/pax")
    rows = [
        *(Row(f"a tar in {form}'s form",
              package=tar_gz((f"{long}/a.jpg", A), (f"{long}/b.jpg", B), form=number))
          for form, number in {"GNU": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}.items()),
        Row("a tar in ustar's form", package=tar_gz(("PMC1/a.jpg", A), ("PMC1/b.jpg", B), form=tarfile.USTAR_FORMAT)),
        Row("a tar without its end", package=zipped(one[:end]), wanted=wants("a.jpg")),
        Row("a tar without its end, a page behind", package=zipped(one[:end]) + HTML, lost={"b.jpg": Reason.NO_MEMBER}),
        damaged("a tar cut in a member", zipped(TAR[: 512 + 1000]), "end of the stream"),
        damaged("a tar cut in a header", zipped(TAR[:300]), "end of the stream"),
        damaged("a tar header with a wrong checksum", zipped(flipped(TAR, 5)), "checksum of a tar header"),
        damaged("a second tar header with a wrong checksum", zipped(flipped(one, end + 5)[: end + 512]), "checksum"),
        Row("junk behind the archive's end", package=zipped(gzip.decompress(two) + b"junk" * 999)),
        Row("a pax header of 2 GiB", package=tar_gz((pax, b"")), reason=TOO_LARGE, permanent=True, words="untar"),
        Row("a long name of over 1 MiB", reason=TOO_LARGE, permanent=True, words="size of a header",
            package=tar_gz((special(tarfile.GNUTYPE_LONGNAME, size=MIB + 1), b"x" * (MIB + 1)))),
        damaged("a pax header at the end", tar_gz((special(tarfile.XHDTYPE, size=20), b"20 path=PMC1/aa.jpg\n")),
                "after an extended header"),
    ]  # fmt: skip
    for name, body in {
        "a length beyond it": b"99 path=PMC1/a.jpg\n",
        "no length": b"path=PMC1/a.jpg\n",
        "a size below zero": b"14 size=-1000\n",
        "a size beyond all": b"28 size=9999999999999999999\n",
    }.items():
        info = special(tarfile.XHDTYPE, size=len(body), name="PMC1/pax")
        rows.append(damaged(f"a pax header with {name}", tar_gz((info, body), ("PMC1/a.jpg", A)), "untar"))
    return rows


def _members() -> list[Row]:
    """What may be a picture, and what may not, whatever it is called."""
    kinds = {
        "symlink to a file of the system": special(tarfile.SYMTYPE, "/etc/hostname"),
        "symlink to a neighbour": special(tarfile.SYMTYPE, "b.jpg"),
        "hard link to a neighbour": special(tarfile.LNKTYPE, "PMC1/b.jpg"),
        "hard link with a size": special(tarfile.LNKTYPE, "/etc/hostname", 4000),
        "fifo": special(tarfile.FIFOTYPE),
        "character device": special(tarfile.CHRTYPE),
        "block device": special(tarfile.BLKTYPE),
        "folder": special(tarfile.DIRTYPE),
        "thing of an unknown kind": special(b"Z"),
        "file with holes": special(tarfile.GNUTYPE_SPARSE),
    }
    rows = [Row(f"the member is a {what}", package=tar_gz(("PMC1/b.jpg", B), (info, b"")), lost=LACKS)
            for what, info in kinds.items()]  # fmt: skip
    sparse = tarfile.TarInfo("PMC1/GNUSparseFile.1/a.jpg")
    sparse.size = len(A)
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "PMC1/a.jpg",
                          "GNU.sparse.realsize": str(len(A))}  # fmt: skip
    link = (special(tarfile.SYMTYPE, "x"), b"")
    spoilt = {"a.jpg": Reason.DAMAGED}
    rows += [
        Row("the member has holes, by pax", lost=LACKS,
            package=tar_gz((sparse, A), ("PMC1/b.jpg", B), form=tarfile.PAX_FORMAT)),
        Row("the member is lacking", package=tar_gz(("PMC1/b.jpg", B)), lost=LACKS, words="no member a.jpg"),
        Row("the member is lacking in front of a long rest", package=LONG, wanted=wants("a.jpg", "none.jpg"),
            lost={"none.jpg": Reason.NO_MEMBER}),
        *(Row(f"names that only {form}'s headers tell", lost=LACKS, package=tar_gz(
              (special(tarfile.SYMTYPE, "b", name="x" * 300 + "\udcff/a.jpg"), b""),
              ("y" * 300 + "\udcfe/b.jpg", B), form=number))
          for form, number in {"GNU": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}.items()),
        Row("all members are lacking", package=tar_gz(("PMC1/c.jpg", B)), reason=(Reason.NO_MEMBER,), permanent=True),
        Row("the member is there twice", package=tar_gz(("PMC1/a.jpg", A), ("PMC1/a.jpg", OTHER), ("PMC1/b.jpg", B))),
        Row("a link of its name stands before it", package=tar_gz(link, ("PMC1/a.jpg", A), ("PMC1/b.jpg", B))),
        Row("the member is over the cap", package=tar_gz(("PMC1/b.jpg", B), (special(b"0", size=(256 << 20) + 1), b"")),
            lost={"a.jpg": Reason.TOO_LARGE}),
        Row("the member is a web page", package=tar_gz(("PMC1/a.jpg", HTML), ("PMC1/b.jpg", B)), lost=spoilt),
        Row("the member is empty", package=tar_gz(("PMC1/a.jpg", b""), ("PMC1/b.jpg", B)), lost=spoilt),
        Row("the member is XML", package=tar_gz(("PMC1/a.jpg", b"<?xml version='1.0'?><a/>"), ("PMC1/b.jpg", B)),
            lost=spoilt),
        Row("the member was packed without its end", reason=DAMAGED, wanted=wants("a.jpg"), words="without its end",
            package=tar_gz(("PMC1/a.jpg", A[:2000]), ("PMC1/x.pdf", noise(3 << 20)))),
        Row("the list knows the md5", wanted=wants("a.jpg", md5=hashlib.md5(A).hexdigest().upper()), verified=("md5",)),
        Row("the list knows another md5", wanted=wants("a.jpg", md5="0" * 32), reason=DAMAGED),
        Row("the list knows the size", wanted=wants("a.jpg", size=PICTURE)),
        Row("the list knows another size", wanted=wants("a.jpg", size=7), reason=DAMAGED),
        Row("the picture's folder cannot be", wanted=(*wants("a.jpg", folder="f" * 300), *wants("b.jpg")),
            lost={"a.jpg": Reason.UNSAFE}),
    ]  # fmt: skip
    right = ("PMC1/a.jpg", "./PMC1/a.jpg", "other top/a.jpg", "PMC1.2/a.jpg", "C:/a.jpg")
    rows += [Row(f"a member {name}", package=tar_gz((name, A), ("PMC1/b.jpg", B))) for name in right]
    wrong = (
        "a.jpg", "./a.jpg", "../a.jpg", "././a.jpg", "/a.jpg", "/PMC1/a.jpg", "../PMC1/a.jpg", "PMC1/../a.jpg",
        "PMC1//a.jpg", "PMC1/sub/a.jpg", "PMC1/A.jpg", "PMC1/a.jpg ", "PMC1/a.jpg.bak", "PMC1\\a.jpg", "PMC1/xa.jpg",
        ".//a.jpg", "PMC1/a.jpg/", "../../../../etc/a.jpg", "PMC1/a.jpg\n", "\udc80/../a.jpg",
    )  # fmt: skip
    rows += [Row(f"a member {name!a}", package=tar_gz((name, A), ("PMC1/b.jpg", B)), lost=LACKS) for name in wrong]
    return rows


def _bombs() -> list[Row]:
    """Packages that are made to exhaust: small ones."""
    zeros = special(b"0", size=4 << 30, name="PMC1/zeros.pdf").tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    first = gzip.decompress(tar_gz(("PMC1/a.jpg", A)))[: 512 + -(-len(A) // 512) * 512]
    whole = bomb(72 * MIB, first + zeros)
    return [
        Row("a bomb", package=whole, reason=TOO_LARGE, permanent=True, words="decoded output", within=10,
            config={"timeout": 5}),
        Row("a bomb behind the last picture", package=whole, wanted=wants("a.jpg"), verified=LENGTH, within=10,
            config={"timeout": 5}),
        Row("a gzip of a gzip of zeros", package=zipped(bomb(8 * MIB)), reason=DAMAGED, most=2),
    ]  # fmt: skip


def _paths() -> list[Row]:
    """Paths of packages."""
    unsafe = ("../a.tar.gz", "a/../../b.tar.gz", "/a.tar.gz", "a//b.tar.gz", "a\\b.tar.gz", "a\nb.tar.gz",
              "\udc80.tar.gz", ".", "a/./b.tar.gz", "a\0.tar.gz", "a/")  # fmt: skip
    lost = (Reason.NOT_FOUND,)
    return [
        *(Row(f"a package path {path!a}", wanted=wants("a.jpg", package_path=path), reason=(Reason.UNSAFE,),
              permanent=True, most=0)
          for path in unsafe),
        Row("no package path", wanted=wants("a.jpg", package_path=None), reason=lost, permanent=True, most=0,
            words="names no package"),
        Row("no package of this name", package=None, reason=lost, permanent=True),
        Row("no folder of this name", reason=lost, permanent=True,
            wanted=wants("a.jpg", package_path=f"none/{PATH}")),
        Row("the package's path in another case", reason=lost, permanent=True,
            wanted=wants("a.jpg", package_path=PATH.upper())),
        Row("the package's path and more", reason=lost, permanent=True,
            wanted=wants("a.jpg", package_path=f"{PATH}/a.jpg")),
    ]  # fmt: skip


ARCHIVES: Final = (*_streams(), *_others(), *_tars(), *_members(), *_bombs(), *_paths())
