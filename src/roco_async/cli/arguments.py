"""The words of the command line; its settings are made from the fields of `FetchConfig`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from .. import __version__
from ..config import FetchConfig
from ..errors import UsageError

VERBS: Final = {
    "fetch": "fetch images (this is what is done where no verb is given)",
    "verify": "read again what is on disk and hold it against the md5s of when it came; nothing is removed",
    "retry": "fetch again what failed for now, and nothing else",
    "report": "tell what is missing and why; no request, and no file is read",
    "demo": "draw some 200 phantom pictures, serve them on the loopback, and fetch them for real",
}
_UNREAD: Final = {
    "fetch": frozenset[str](),
    "retry": frozenset[str](),
    "verify": frozenset({"keep_packages"}),
    "report": FetchConfig.field_names() - {"data", "out"},
    "demo": FetchConfig.field_names(),
}
"""Fields of FetchConfig that a verb has no use for, and so no flag."""

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
    online: bool
    repair: bool
    ids: Path | None
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
    options = _parser(verb).parse_args(rest)
    return Command(
        verb=verb,
        words=tuple(words),
        selection=tuple(getattr(options, "selection", ())),
        config=_config(vars(options)),
        dry_run=getattr(options, "dry_run", False),
        online=getattr(options, "online", False),
        repair=getattr(options, "repair", False),
        ids=getattr(options, "ids", None),
        json=options.json,
        quiet=options.quiet,
        verbose=getattr(options, "verbose", 0),
        progress=not (getattr(options, "no_progress", False) or options.quiet),
    )


def _config(given: dict[str, Any]) -> FetchConfig:
    """Make the configuration of what was given as text, all faults at once.

    Raises:
        UsageError: a value is no number, or out of range.
    """
    values: dict[str, Any] = {}
    issues: list[str] = []
    for field in fields(FetchConfig):
        text = given.get(field.name)
        if text is None:
            continue
        parse_one = field.metadata["parse"]
        try:
            values[field.name] = [parse_one(word) for word in text] if isinstance(text, list) else parse_one(text)
        except ValueError as error:
            kind = {int: "a whole number", float: "a number of seconds"}.get(parse_one)
            issues.append(f"{field.name}: {f'{kind} is wanted, not {text!r}' if kind else error}")
    try:
        config = FetchConfig(**values)
    except UsageError as error:
        issues += error.issues
    if issues:
        raise UsageError(issues)
    return config


def _parser(verb: str) -> argparse.ArgumentParser:
    """Make the parser of a verb: it has the flags that the verb reads, and no others."""
    if verb == "fetch":
        verbs = "\n".join(f"  {name:7} {what}" for name, what in VERBS.items())
        parser = argparse.ArgumentParser(
            prog="python -m roco_async",
            usage="%(prog)s [VERB] [SPLIT[/GROUP] ...] [options]",
            description="Fetch the images of ROCO, verified and resumable.",
            epilog=f"verbs (each has its own --help):\n{verbs}\n\n{_EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
        )
    else:
        parser = argparse.ArgumentParser(
            prog=f"python -m roco_async {verb}",
            description=f"{VERBS[verb]}.",
            epilog=None if verb == "demo" else _EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
        )
    if verb != "demo":
        parser.add_argument(
            "selection",
            nargs="*",
            default=[],
            metavar="SPLIT[/GROUP]",
            help="train, validation, test; each with /radiology or /non-radiology (default: all six)",
        )
    for field in fields(FetchConfig):
        if field.name not in _UNREAD[verb]:
            _add_setting(parser, field.name, field.default, field.metadata)
    _add_own(parser, verb)
    if verb != "report":
        named = "damaged, missing or unknown" if verb == "verify" else "missing as it happens; -vv: each image"
        _add_watching(parser, named=named)
    _add_talk(parser)
    return parser


def _add_own(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add the flags that are no field of FetchConfig."""
    if verb in ("fetch", "retry"):
        parser.add_argument("--dry-run", action="store_true", help="say what would be asked for, and make no request")
    elif verb == "verify":
        parser.add_argument(
            "--online",
            action="store_true",
            help="hold files that the journal does not know against the bucket's listings; no image is asked for",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="fetch damaged files again at once; each stays until another is whole",
        )
    elif verb == "report":
        parser.add_argument(
            "--ids", metavar="FILE", type=Path, help="write id, tab, reason of each missing image to FILE instead"
        )
    else:
        parser.add_argument(
            "--out", metavar="DIR", type=Path, help="where the demo's folder is made (default: ./roco-demo)"
        )


def _add_setting(parser: argparse.ArgumentParser, name: str, default: Any, metadata: Any) -> None:
    parser.add_argument(
        *metadata["flags"],
        dest=name,
        metavar=metadata["metavar"],
        action="append" if isinstance(default, tuple) else "store",
        help=metadata["help"].replace("%(default)s", str(default)).replace("%(default)g", f"{default}"),
    )


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=False, help="print one line of JSON and nothing else")
    parser.add_argument("-q", "--quiet", action="store_true", default=False, help="say nothing where all went well")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")


def _add_watching(parser: argparse.ArgumentParser, *, named: str) -> None:
    parser.add_argument("-v", "--verbose", action="count", default=0, help=f"name each image that is {named}")
    parser.add_argument("--no-progress", action="store_true", help="draw no bar and no progress lines")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"roco_async {__version__}")
        parser.exit()
