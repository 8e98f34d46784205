"""The words of the command line; its settings are made from the fields of `FetchConfig`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from ..config import FetchConfig

VERBS: Final = {
    "fetch": "fetch images (this is what is done where no verb is given)",
    "demo": "draw some 200 phantom pictures, serve them on the loopback, and fetch them for real",
}
_DEMO_FIELDS: Final = ("out",)

_EXIT_CODES: Final = """\
exit codes: 0 all there and verified; 2 usage or bad input, before any request; 3 finished, only permanent losses;
4 finished, temporary failures remain; 5 the disk refused (full, read-only); 130 interrupted (143 by SIGTERM)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was asked for on the command line."""

    verb: str
    words: tuple[str, ...]
    selection: tuple[str, ...]
    config: FetchConfig
    dry_run: bool
    json: bool
    quiet: bool
    verbose: int
    progress: bool


def parse(words: Sequence[str]) -> Command:
    """Read the command line; the verb may be left out.

    Raises:
        UsageError: a setting is out of range.
        SystemExit: help or version was asked for (0), or a word makes no sense (2).

    Example:
        >>> parse(["test/radiology", "-n", "8"]).config.connections
        8
    """
    verb = words[0] if words and words[0] in VERBS else "fetch"
    rest = words[1:] if words and words[0] in VERBS else words
    options = (_demo_parser() if verb == "demo" else _fetch_parser()).parse_args(rest)
    given = {name: value for name, value in vars(options).items() if name in FetchConfig.field_names()}
    return Command(
        verb=verb,
        words=tuple(words),
        selection=tuple(getattr(options, "selection", ())),
        config=FetchConfig(**given),
        dry_run=getattr(options, "dry_run", False),
        json=options.json,
        quiet=options.quiet,
        verbose=options.verbose,
        progress=not (options.no_progress or options.quiet),
    )


def _fetch_parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {verb:7} {what}" for verb, what in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="python -m roco_async",
        usage="%(prog)s [VERB] [SPLIT[/GROUP] ...] [options]",
        description="Fetch the images of ROCO, verified and resumable.",
        epilog=f"verbs:\n{verbs}\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "selection",
        nargs="*",
        default=[],
        metavar="SPLIT[/GROUP]",
        help="train, validation, test; each with /radiology or /non-radiology (default: all six)",
    )
    for field in fields(FetchConfig):
        _add_setting(parser, field.name, field.default, field.metadata)
    parser.add_argument(
        "--dry-run", action="store_true", default=False, help="say what would be asked for, and make no request"
    )
    _add_talk(parser)
    return parser


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m roco_async demo",
        description=f"{VERBS['demo']}.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="where the demo's folder is made (default: ./roco-demo)",
    )
    _add_talk(parser)
    return parser


def _add_setting(parser: argparse.ArgumentParser, name: str, default: Any, metadata: Any) -> None:
    parser.add_argument(
        *metadata["flags"],
        dest=name,
        metavar=metadata["metavar"],
        type=metadata["parse"],
        action="append" if isinstance(default, tuple) else "store",
        help=metadata["help"].replace("%(default)s", str(default)).replace("%(default)g", f"{default}"),
    )


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=False, help="print one line of JSON and nothing else")
    parser.add_argument("-q", "--quiet", action="store_true", default=False, help="say nothing where all went well")
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="name each image that is missing as it happens; -vv: each image",
    )
    parser.add_argument("--no-progress", action="store_true", default=False, help="draw no bar and no progress lines")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"roco_async {_version()}")
        parser.exit()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that most runs need not pay

    try:
        return version("roco-async")
    except PackageNotFoundError:
        return "(not installed)"
