"""What the demo's pictures show and what is said about them: made up from a seed, with nothing copied from anywhere.

A case is planned before it is drawn, so that its caption tells what the picture really shows. The six files of a group
are written in ROCO's own format, peculiarities included: captions begin with a space, keywords and codes have an empty
second column, a few rows have an id and no code, and `licences.txt` is comma-separated below a header.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

SPLIT = "test"
RADIOLOGY = "radiology"
NON_RADIOLOGY = "non-radiology"
GROUPS = (RADIOLOGY, NON_RADIOLOGY)

# PMC has given out about 13 million numbers; these read like one and are nobody's for some years to come.
_FIRST_ARTICLE = 99_000_001


class Kind(StrEnum):
    """What is drawn."""

    HEAD = "head"
    CHEST = "chest"
    ABDOMEN = "abdomen"
    XRAY = "xray"
    ULTRASOUND = "ultrasound"
    TISSUE = "tissue"
    FUNDUS = "fundus"


class Term(NamedTuple):
    """A word with a code that UMLS never gave out, and a type of its public semantic network."""

    word: str
    cui: str
    tui: str
    semtype: str


def _term(word: str, number: int, tui: str, semtype: str) -> Term:
    return Term(word, f"C99{number:05}", tui, semtype)


_PROCEDURE = ("T060", "Diagnostic Procedure")
_PART = ("T023", "Body Part, Organ, or Organ Component")
_PHENOMENON = ("T070", "Natural Phenomenon or Process")
_FINDING = ("T033", "Finding")

_KIND_TERMS = {
    Kind.HEAD: (_term("tomography", 1, *_PROCEDURE), _term("skull", 2, *_PART), _term("ventricle", 3, *_PART)),
    Kind.CHEST: (_term("tomography", 1, *_PROCEDURE), _term("lung", 4, *_PART), _term("aorta", 5, *_PART)),
    Kind.ABDOMEN: (_term("tomography", 1, *_PROCEDURE), _term("liver", 6, *_PART), _term("kidney", 7, *_PART)),
    Kind.XRAY: (_term("radiograph", 8, *_PROCEDURE), _term("rib", 9, *_PART), _term("heart", 10, *_PART)),
    Kind.ULTRASOUND: (_term("ultrasound", 11, *_PROCEDURE), _term("speckle", 12, *_PHENOMENON)),
    Kind.TISSUE: (_term("microscopy", 13, *_PROCEDURE), _term("gland", 14, "T024", "Tissue")),
    Kind.FUNDUS: (_term("fundus", 15, *_PART), _term("vessel", 16, *_PART)),
}  # fmt: skip

_FINDING_TERMS = {
    Kind.HEAD: _term("inclusion", 30, *_FINDING),
    Kind.CHEST: _term("nodule", 31, *_FINDING),
    Kind.ABDOMEN: _term("hypodensity", 32, *_FINDING),
    Kind.XRAY: _term("opacity", 33, *_FINDING),
    Kind.ULTRASOUND: _term("cyst", 34, "T190", "Anatomical Abnormality"),
    Kind.TISSUE: _term("infiltrate", 35, *_FINDING),
    Kind.FUNDUS: _term("exudate", 36, *_FINDING),
}

_OPENINGS = {
    Kind.HEAD: (
        "Axial slice of a phantom head",
        "Head phantom, drawn at the level of the ventricles",
        "Ellipses in the manner of Shepp & Logan inside a drawn skull",
    ),
    Kind.CHEST: (
        "Axial slice of a phantom chest in a lung “window”",
        "Drawn chest slice with two lungs, a heart and a ring of ribs",
    ),
    Kind.ABDOMEN: (
        "Axial slice of a phantom abdomen",
        "Drawn upper abdomen: liver, spleen & both kidneys round one vertebra",
    ),
    Kind.XRAY: (
        "Frontal radiograph of a phantom chest",
        "Drawn chest film; ribs and clavicles are arcs, the heart is a blob",
    ),
    Kind.ULTRASOUND: (
        "Sector scan of a speckled phantom",
        "Ultrasound fan, drawn as noise in polar coordinates",
    ),
    Kind.TISSUE: (
        "Drawn section with glands and nuclei (pretended stain: H&E)",
        "Phantom tissue under a phantom microscope",
    ),
    Kind.FUNDUS: (
        "Drawn ocular fundus with disc and branching vessels",
        "Fundus phantom, vessels by random walk",
    ),
}

_WITHOUT_FINDING = ("nothing else was drawn into it", "no abnormality was asked of the pencil", "a plain one")

_LICENCES = ("CC BY", "CC BY", "CC BY", "CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND", "CC0", "NO-CC CODE")

_NAMES = (
    "phan-{volume:02d}-{page:04d}-g{figure:02d}.jpg",
    "{page}_2031_{volume}_Fig{figure}_HTML.jpg",
    "DEMO{volume}-{page}.{figure:03d}.jpg",
    "pencil-{volume:04d}-0000000{page}-i{figure:02d}.jpg",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One picture of the demo: what is drawn, what is said, and where the bucket keeps it.

    Args:
        seed: of the drawing.
        side: `left` or `right` of the picture, where the finding is.
        finding: its diameter in drawn millimetres; 0 where there is none.
        version: of the article, in the bucket.
        keywords: words of the caption's subject.
        terms: the same words with codes; none for a few cases.
        published: False for the one image that the bucket lacks.
    """

    id: str
    group: str
    kind: Kind
    seed: int
    side: str
    finding: int
    pmcid: str
    version: int
    name: str
    caption: str
    keywords: tuple[str, ...]
    terms: tuple[Term, ...]
    licence: str
    published: bool

    @property
    def key(self) -> str:
        """Where the bucket keeps it, as the PMC Cloud Service would."""
        return f"{self.pmcid}.{self.version}/{self.name}"


def make_cases(*, radiology: int = 180, non_radiology: int = 20, seed: int = 2026) -> tuple[Case, ...]:
    """Plan the demo's pictures; the same seed plans the same.

    The second article with several figures is there in version 2 only, and the last figure of the third one is lacking.

    Returns:
        The radiological cases, then the others, with ids from ROCO_00001 on.

    Example:
        >>> [case.id for case in make_cases(radiology=1, non_radiology=1)]
        ['ROCO_00001', 'ROCO_00002']
    """
    rng = random.Random(seed)
    cases: list[Case] = []
    article = _FIRST_ARTICLE
    series = 0
    for group, wanted in ((RADIOLOGY, radiology), (NON_RADIOLOGY, non_radiology)):
        while wanted:
            # ROCO has 1.89 figures an article; these weights give 1.9.
            figures = min(wanted, rng.choices((1, 2, 3, 4), (45, 30, 15, 10))[0])
            series += figures > 1
            cases += _article(rng, article, group, figures, first=len(cases) + 1, series=series if figures > 1 else 0)
            wanted -= figures
            article += 1
    return tuple(cases)


def _article(rng: random.Random, article: int, group: str, figures: int, *, first: int, series: int) -> list[Case]:
    pattern = rng.choice(_NAMES)
    volume, page = rng.randrange(1, 60), rng.randrange(1000, 9999)
    licence = rng.choice(_LICENCES)
    kinds = (Kind.TISSUE, Kind.FUNDUS) if group == NON_RADIOLOGY else tuple(Kind)[:5]
    kind = rng.choice(kinds)
    cases = []
    for figure in range(1, figures + 1):
        side = rng.choice(("left", "right"))
        finding = rng.randrange(4, 24) if rng.random() < 0.6 else 0
        terms = _KIND_TERMS[kind] + ((_FINDING_TERMS[kind],) if finding else ())
        cases.append(
            Case(
                id=f"ROCO_{first + figure - 1:05}",
                group=group,
                kind=kind,
                seed=rng.getrandbits(32),
                side=side,
                finding=finding,
                pmcid=f"PMC{article}",
                version=2 if series == 2 else 1,
                name=pattern.format(volume=volume, page=page, figure=figure),
                caption=_caption(rng, kind, side, finding),
                keywords=tuple(term.word for term in terms),
                # As in ROCO, about 2 % of the rows have an id and no code.
                terms=() if rng.random() < 0.02 else terms,
                licence=licence,
                published=not (series == 3 and figure == figures),
            )
        )
    return cases


def _caption(rng: random.Random, kind: Kind, side: str, finding: int) -> str:
    opening = rng.choice(_OPENINGS[kind])
    if not finding:
        return f"{opening}; {rng.choice(_WITHOUT_FINDING)}."
    size = f"{finding} × {finding - 1} mm" if finding > 5 else "< 6 mm"
    return f"{opening}; on the {side} of the picture there is one {_FINDING_TERMS[kind].word} ({size})."


def package_path(pmcid: str) -> str:
    """Return the path of an article's package, below two folders that are named by a hash, as at NCBI."""
    digest = hashlib.md5(pmcid.encode(), usedforsecurity=False).hexdigest()
    return f"pub/pmc/oa_package/{digest[:2]}/{digest[2:4]}/{pmcid}.tar.gz"


def write_annotations(root: Path, cases: Iterable[Case]) -> None:
    """Write an annotation root: `root/test/<group>/{dlinks,captions,keywords,cuis,semtypes,licences}.txt`.

    Args:
        root: made where it is missing; files of these names are replaced.
        cases: in the order of their rows.

    Example:
        >>> write_annotations(Path("roco-demo"), make_cases())  # doctest: +SKIP
    """
    cases = tuple(cases)
    for group in GROUPS:
        folder = root / SPLIT / group
        folder.mkdir(parents=True, exist_ok=True)
        rows = [case for case in cases if case.group == group]
        for name, lines in _files(rows).items():
            (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _files(cases: Sequence[Case]) -> dict[str, list[str]]:
    archive = "wget -r ftp://ftp.ncbi.nlm.nih.gov/{} -P /path/to/Dir"
    return {
        "dlinks.txt": [f"{case.id}\t{archive.format(package_path(case.pmcid))}\t{case.name}" for case in cases],
        "captions.txt": [f"{case.id}\t {case.caption}" for case in cases],
        "keywords.txt": [_row(case.id, case.keywords) for case in cases],
        "cuis.txt": [_row(case.id, (term.cui for term in case.terms)) for case in cases],
        "semtypes.txt": [_row(case.id, _semtypes(case.terms)) for case in cases],
        "licences.txt": ["ROCO_ID,PMC_ID,CC"]
        + [f"{case.id},{case.pmcid}_{case.name},{case.licence}" for case in cases],
    }


def _row(id: str, columns: Iterable[str]) -> str:
    # `id, nothing, word, word`; a row without words still ends with one tab, as upstream's do.
    return "\t".join([id, "", *columns])


def _semtypes(terms: Iterable[Term]) -> list[str]:
    pairs = dict.fromkeys((term.tui, term.semtype) for term in terms)
    return [column for pair in pairs for column in pair]
