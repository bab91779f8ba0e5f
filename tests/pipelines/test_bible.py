"""The two Bible modules that Debian has, verse by verse, against what they say themselves."""

import re
import struct
import zlib
from pathlib import Path

import pytest

from llm_keras import config
from pipelines import files
from pipelines.sources import KINDS, Text, sword
from pipelines.sources.versification import KJV
from tests.packages import fetch_deb

MODULES = Path("usr/share/sword/modules/texts/ztext")
FIXTURE = Path("examples/data/bible_en_es")


@pytest.fixture(scope="module")
def modules():
    english, spanish = (fetch_deb(f"sword-text-{name}") / MODULES for name in ("kjv", "sparv"))
    return english / "engKJV2006eb", spanish / "spaRV1909eb"


@pytest.fixture(scope="module")
def pairs(modules):
    source = config.Source(
        name="s", kind="parallel", path=str(modules[0]), target_path=str(modules[1])
    )
    return [
        pair
        for file in sorted(files.find(source).files, reverse=True)  # the Old Testament first
        for pair in KINDS["parallel"].read(Path(file.path.decode()), source)
    ]


def test_there_are_all_verses_and_nothing_but_text(pairs):
    assert len(pairs) == 31_102
    assert all(isinstance(pair, Text) for pair in pairs)
    assert sum(not pair.text or not pair.target for pair in pairs) == 18
    odd = re.compile(r"[<>&#{}|=\t\n]|  |strong:[HG]|Heb\.")
    assert not [pair for pair in pairs if odd.search(pair.text + pair.target)]


def test_verses_everybody_knows_are_where_they_belong(pairs):
    assert pairs[0] == Text(
        "In the beginning God created the heaven and the earth.",
        target="EN el principio crió Dios los cielos y la tierra.",
        subset="Genesis",
    )
    john = [pair for pair in pairs if pair.subset == "John"][51 + 25 + 15]  # 3:16
    assert john.text.startswith("For God so loved the world, that he gave his only begotten Son")
    assert john.target.startswith("Porque de tal manera amó Dios al mundo")
    assert pairs[-1].text == "The grace of our Lord Jesus Christ be with you all. Amen."


@pytest.mark.parametrize("testament", sword.TESTAMENTS)
def test_the_modules_own_headings_are_where_the_table_has_none(modules, testament):
    """Each module marks where a book and a chapter begin: between the verses of the table."""
    verses = {slot for slot, _ in sword.verse_slots(testament)}
    for module in modules:
        index, blocks, packed = (
            (module / f"{testament}{suffix}").read_bytes() for suffix in (".bzv", ".bzs", ".bzz")
        )
        texts = [
            zlib.decompress(packed[at : at + size])
            for at, size, _ in struct.iter_unpack("<III", blocks)
        ]
        slots = list(struct.iter_unpack("<IIH", index))
        begins = [
            slot
            for slot, (block, at, size) in enumerate(slots)
            if re.search(rb"<(chapter|div)[^>]* osisID=[^>]* sID=", texts[block][at : at + size])
        ]
        assert set(range(2, len(slots))) - verses == set(begins)
        assert len(begins) == sum(1 + len(chapters) for _, chapters in KJV[testament])


def test_the_bundled_books_are_those_of_the_modules(pairs):
    for side, of in (("en", "text"), ("es", "target")):
        for path in sorted((FIXTURE / side).iterdir()):
            expected = [getattr(pair, of) for pair in pairs if pair.subset == path.stem]
            assert path.read_text(encoding="utf-8").splitlines() == expected
