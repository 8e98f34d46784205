"""ROCO's own files, as upstream ships them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from roco_async.dataset.annotations import GROUPS, SPLITS, Annotations, Group, find_groups, parse_selection
from roco_async.dataset.entries import Entry
from roco_async.dataset.entries import read_entries as read

Write = Callable[..., Path]

GROUP = Group("test", "radiology")


class TestRecords:
    def test_all_87925_rows(self, roco_data: Path) -> None:
        """All six groups of ROCO are clean and give 87,925 records of 46,597 articles, each with an id of its own."""
        groups, missing = find_groups(roco_data, parse_selection([]))
        annotations = Annotations(roco_data, groups)
        assert not missing
        assert {str(group): count for group, count in annotations.check().items()} == {
            "train/radiology": 65_448,
            "train/non-radiology": 4_895,
            "validation/radiology": 8_180,
            "validation/non-radiology": 611,
            "test/radiology": 8_179,
            "test/non-radiology": 612,
        }
        found = list(annotations.records())
        assert len({record.id for record in found}) == len(found) == 87_925
        assert len({record.pmcid for record in found}) == 46_597
        assert all(record.name.endswith(".jpg") for record in found)

    def test_packages_where_dlinks_are(self, roco_data: Path) -> None:
        """train/radiology, which has licences.txt only, has no package paths; every row of the others has one."""
        for record in Annotations(roco_data, parse_selection([]).groups).records():
            alone = record.folder == "train/radiology/images"
            assert (record.package_path is None) == alone
            assert alone or record.package_path.endswith(f"/{record.pmcid}.tar.gz")  # type: ignore[union-attr]

    def test_licences_say_what_dlinks_say(self, roco_data: Path, write: Write) -> None:
        """A group's licences.txt alone gives the same records as its dlinks.txt, but for the package path."""
        root = write("licences.txt", (roco_data / "test/radiology/licences.txt").read_bytes())
        linked = Annotations(roco_data, [GROUP]).records()
        for plain, full in zip(Annotations(root, [GROUP]).records(), linked, strict=True):
            assert (plain.id, plain.pmcid, plain.name, plain.folder) == (full.id, full.pmcid, full.name, full.folder)


class TestEntries:
    def test_all_groups(self, roco_data: Path) -> None:
        """Every image of ROCO has an entry; those of the five whole groups have a caption, and about 2 % no concept."""
        counts: dict[str, int] = {}
        bare = whole = 0
        for group in (Group(split, name) for split in SPLITS for name in GROUPS):
            for entry in read(roco_data, group):
                counts[str(group)] = counts.get(str(group), 0) + 1
                assert entry.licence
                if (roco_data / str(group) / "captions.txt").exists():
                    whole += 1
                    bare += not entry.cuis
                    assert entry.caption
                    assert entry.caption == entry.caption.lstrip(" ")
                    assert bool(entry.cuis) == bool(entry.semtypes)
                    assert all(entry.keywords)
        assert sum(counts.values()) == 87_925
        assert whole >= 22_477
        assert 0.005 < bare / whole < 0.05

    def test_the_first_entry(self, roco_data: Path) -> None:
        """The first image of test/radiology has the caption and keywords that upstream publishes, and no concept."""
        first = next(read(roco_data, GROUP))
        keywords = ("axial", "coronal", "mri", "view")
        assert first == Entry("ROCO_00001", "Axial MRI (coronal view).", keywords, licence="CC BY-NC")
