"""Planned cases, and the annotation root written of them, read back in ROCO's format."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from roco_async.dataset.annotations import Annotations, find_groups, parse_selection
from roco_async.dataset.entries import read_entries
from roco_async.demo.casebook import GROUPS, SPLIT, Case, make_cases, package_path, write_annotations


def rows(root: Path, group: str, name: str) -> list[str]:
    data = (root / SPLIT / group / name).read_bytes()
    assert data.endswith(b"\n")
    assert b"\r" not in data
    return data.decode("utf-8").split("\n")[:-1]


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return make_cases()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, cases: tuple[Case, ...]) -> Path:
    root = tmp_path_factory.mktemp("demo")
    write_annotations(root, cases)
    return root


def test_same_seed_plans_the_same() -> None:
    """Two plans of one seed are equal, and a plan of another seed is not."""
    assert make_cases(seed=7) == make_cases(seed=7)
    assert make_cases(seed=7) != make_cases(seed=8)


def test_plan_has_180_and_20_with_ids_in_order(cases: tuple[Case, ...]) -> None:
    """The plan has 180 radiological and 20 other cases, named ROCO_00001 to ROCO_00200 in this order."""
    assert [case.id for case in cases] == [f"ROCO_{n:05}" for n in range(1, 201)]
    assert [case.group for case in cases] == ["radiology"] * 180 + ["non-radiology"] * 20
    assert len({case.key for case in cases}) == 200


@pytest.mark.parametrize("seed", range(20))
def test_plan_lacks_one_image_and_keeps_one_article_in_version_2(seed: int) -> None:
    """For any seed one image is unpublished while its article has others, and exactly one article is in version 2."""
    cases = make_cases(seed=seed)
    lacking = [case for case in cases if not case.published]
    assert len(lacking) == 1
    assert any(case.published for case in cases if case.pmcid == lacking[0].pmcid)
    second = {case.pmcid for case in cases if case.version == 2}
    assert len(second) == 1
    assert all(case.version == 2 for case in cases if case.pmcid in second)
    assert lacking[0].pmcid not in second


def test_dlinks_have_upstreams_three_columns(root: Path, cases: tuple[Case, ...]) -> None:
    """A row of dlinks.txt is the id, a wget command with the article's package, and the image's name."""
    for group in GROUPS:
        wanted = [case for case in cases if case.group == group]
        for row, case in zip(rows(root, group, "dlinks.txt"), wanted, strict=True):
            match = re.fullmatch(
                r"(ROCO_\d{5})\twget -r ftp://ftp\.ncbi\.nlm\.nih\.gov/"
                r"(pub/pmc/oa_package/[0-9a-f]{2}/[0-9a-f]{2}/(PMC\d+)\.tar\.gz) -P /path/to/Dir\t([\w.-]+\.jpg)",
                row,
            )
            assert match is not None
            assert match.groups() == (case.id, package_path(case.pmcid), case.pmcid, case.name)


def test_captions_begin_with_a_space(root: Path, cases: tuple[Case, ...]) -> None:
    """A row of captions.txt is the id and the caption behind one space, as upstream's are."""
    found = [row for group in GROUPS for row in rows(root, group, "captions.txt")]
    assert found == [f"{case.id}\t {case.caption}" for case in cases]


def test_keywords_and_codes_have_an_empty_second_column(root: Path, cases: tuple[Case, ...]) -> None:
    """Rows of keywords.txt and cuis.txt have nothing between the first two tabs, and codes read like UMLS's."""
    for group in GROUPS:
        for row in rows(root, group, "keywords.txt"):
            assert re.fullmatch(r"ROCO_\d{5}\t(\t[a-z]+)+", row)
        for row in rows(root, group, "cuis.txt"):
            assert re.fullmatch(r"ROCO_\d{5}\t(\tC\d{7})*", row)


def test_some_rows_have_no_code(root: Path) -> None:
    """A few rows of cuis.txt are an id and a tab, because 2 % of ROCO's are."""
    bare = [row for group in GROUPS for row in rows(root, group, "cuis.txt") if re.fullmatch(r"ROCO_\d{5}\t", row)]
    assert 1 <= len(bare) <= 12


def test_semantic_types_come_in_pairs_and_once(root: Path) -> None:
    """A row of semtypes.txt is pairs of type and name, and names no type twice."""
    for group in GROUPS:
        for row in rows(root, group, "semtypes.txt"):
            assert re.fullmatch(r"ROCO_\d{5}\t(\tT\d{3}\t[^\t]+)*", row)
            types = row.split("\t")[2::2]
            assert not [tui for tui, count in Counter(types).items() if count > 1]


def test_licences_are_commas_below_a_header(root: Path, cases: tuple[Case, ...]) -> None:
    """licences.txt has upstream's header, and each row repeats the article and the image's name of dlinks.txt."""
    for group in GROUPS:
        header, *found = rows(root, group, "licences.txt")
        assert header == "ROCO_ID,PMC_ID,CC"
        wanted = [case for case in cases if case.group == group]
        assert found == [f"{case.id},{case.pmcid}_{case.name},{case.licence}" for case in wanted]


def test_the_house_reads_what_the_demo_writes(root: Path, cases: tuple[Case, ...]) -> None:
    """The house's own reader finds no fault in the six files, and in them every image, caption, code and licence."""
    groups = find_groups(root, parse_selection([SPLIT])).groups
    annotations = Annotations(root, groups)
    assert sum(annotations.check().values()) == len(cases)
    records = list(annotations.records())
    assert [(record.id, record.pmcid, record.name) for record in records] == [
        (case.id, case.pmcid, case.name) for case in cases
    ]
    assert [record.package_path for record in records] == [package_path(case.pmcid) for case in cases]
    entries = [entry for group in groups for entry in read_entries(root, group)]
    for entry, case in zip(entries, cases, strict=True):
        assert (entry.caption, entry.licence) == (case.caption, case.licence)
        assert (entry.keywords, entry.cuis) == (case.keywords, tuple(term.cui for term in case.terms))
