"""The demo's contact sheet: one plain HTML page of what came, and an account of what did not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from .. import FetchReport, Outcome
from .bucket import BucketCounts
from .casebook import GROUPS, SPLIT, Case

_STYLE = """
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif;
       color: #1d2329; background: #f5f6f7; }
h1 { margin: 0 0 .3rem; } h2 { margin: 2rem 0 .6rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: #fff; border: 1px solid #dde1e5; border-radius: 6px; overflow: hidden; }
img, .gap { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: #000; }
.gap { color: #f0b4ad; display: grid; place-content: center; text-align: center; }
figcaption { padding: .5rem .7rem .7rem; font-size: 13px; } figcaption b { display: block; }
small { color: #5d6873; }
table { border-collapse: collapse; background: #fff; } th, td { border: 1px solid #dde1e5; padding: .3rem .6rem;
       text-align: left; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe4e8; background: #15191c; } figure, table { background: #1e2428; }
  figure, th, td { border-color: #353d44; } small { color: #93a0ab; } a { color: #8ab4f8; } }
"""


def picture_path(case: Case) -> str:
    """Return where the picture lies below the demo's folder, as a relative path with slashes."""
    return f"{SPLIT}/{case.group}/images/{case.id}.jpg"


def render_page(
    cases: Sequence[Case], report: FetchReport, counts: BucketCounts, *, there: Collection[str] = ()
) -> str:
    """Return the page as HTML; whatever is not our own markup is escaped.

    Args:
        cases: what was wanted, in the order of the page.
        report: what came of it.
        counts: what the bucket did meanwhile.
        there: ids of the pictures that are on disk; a run that was stopped has neither fetched nor missed the others.

    Returns:
        A whole document whose pictures are named relative to the demo's folder.

    Example:
        >>> "<title>" in render_page((), FetchReport(), BucketCounts())
        True
    """
    failures = {outcome.record.id: outcome for outcome in report.failures}
    sections = []
    for group in GROUPS:
        members = [case for case in cases if case.group == group]
        figures = "\n".join(_figure(case, failures.get(case.id), is_there=case.id in there) for case in members)
        sections.append(
            f"<h2>{SPLIT}/{escape(group)} <small>{len(members)} pictures</small></h2>\n"
            f'<div class="sheet">\n{figures}\n</div>'
        )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>roco_async demo</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>roco_async demo</h1>
<p>Every picture here was drawn by a program; none shows a person, and no caption was copied.</p>
<p>{report.requested} wanted: {report.fetched} fetched in {report.elapsed:.1f} s ({report.bytes / 1e6:.1f} MB),
{report.skipped} there already, {report.failed} missing.<br>
{escape(closing_line(counts))}</p>
<h2>What is missing, and why</h2>
{_account(report.failures)}
{"".join(sections)}
</body>
</html>
"""


def closing_line(counts: BucketCounts) -> str:
    """Return what the bucket did, as one sentence for a person.

    Example:
        >>> closing_line(BucketCounts(requests=9, refusals=1, cuts=2, resumes=2, listings=1, missing=1))
        'The bucket took 9 requests: it refused 1 (503), cut 2 bodies and resumed 2, listed 1 article, lacked 1 key.'
    """
    return (
        f"The bucket took {_count(counts.requests, 'request')}: it refused {counts.refusals} (503), "
        f"cut {_count(counts.cuts, 'body', 'bodies')} and resumed {counts.resumes}, "
        f"listed {_count(counts.listings, 'article')}, lacked {_count(counts.missing, 'key')}."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _figure(case: Case, failure: Outcome | None, *, is_there: bool) -> str:
    path = quote(picture_path(case))
    if is_there:
        picture = f'<a href="{path}"><img src="{path}" alt="{escape(case.caption)}" loading="lazy"></a>'
    else:
        why = str(failure.reason) if failure else "the run was stopped before"
        picture = f'<div class="gap">missing<br>{escape(why)}</div>'
    codes = " ".join(term.cui for term in case.terms) or "no code"
    return (
        f"<figure>{picture}<figcaption><b>{escape(case.id)}</b>{escape(case.caption)}<br>"
        f"<small>{escape(case.key)} · {escape(case.licence)}<br>{escape(', '.join(case.keywords))} · {escape(codes)}"
        "</small></figcaption></figure>"
    )


def _account(failures: Iterable[Outcome]) -> str:
    rows = "\n".join(
        f"<tr><td>{escape(outcome.record.id)}</td><td>{escape(outcome.record.pmcid)}/{escape(outcome.record.name)}</td>"
        f"<td>{escape(_why(outcome))}</td></tr>"
        for outcome in failures
    )
    if not rows:
        return "<p>Nothing is missing.</p>"
    return f"<table>\n<tr><th>image</th><th>asked for</th><th>why it is missing</th></tr>\n{rows}\n</table>"


def _why(outcome: Outcome) -> str:
    if outcome.reason is None:
        return outcome.error or ""
    lasting = "for good" if outcome.reason.permanent else "for now; a second run may bring it"
    return f"{outcome.reason}: {outcome.reason.meaning} ({lasting})"


def write_page(folder: Path, cases: Sequence[Case], report: FetchReport, counts: BucketCounts) -> Path:
    """Look which pictures are there, write `folder/index.html`, and return its path."""
    there = {case.id for case in cases if (folder / picture_path(case)).is_file()}
    path = folder / "index.html"
    path.write_text(render_page(cases, report, counts, there=there), encoding="utf-8", newline="\n")
    return path
