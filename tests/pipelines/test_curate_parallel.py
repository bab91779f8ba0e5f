"""Parallel texts: pairs by line and by verse, through the whole curation."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import pytest

from llm_keras import config
from llm_keras.data.document import read_documents
from llm_keras.errors import UserError
from pipelines import files
from pipelines.curate import curate
from pipelines.sources import KINDS, Text, Unreadable, sword
from pipelines.sources.versification import KJV

BIBLE = Path("examples/data/bible_en_es").absolute()
NO_RULES = {"language": None, "length": None, "repetition": None}


def source(path, target, **settings):
    return config.Source(
        name="s", kind="parallel", path=str(path), target_path=str(target), **settings
    )


def read(path, target, **settings):
    chosen = source(path, target, **settings)
    return [
        found
        for file in files.find(chosen).files
        for found in KINDS["parallel"].read(Path(file.path.decode()), chosen)
    ]


def mistake(action, *arguments):
    with pytest.raises(UserError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    """Writes a source and a target file; returns their paths."""

    def make(ours, theirs, name="{}.txt"):
        paths = [tmp_path / name.format(language) for language in ("en", "es")]
        for path, data in zip(paths, (ours, theirs), strict=True):
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(data)
        return paths

    return make


class TestLines:
    def test_lines_at_the_same_place_are_pairs(self, write):
        pairs = read(*write(b"one\ntwo\n", "uno\ndos – ñ".encode()))
        assert pairs == [Text("one", target="uno"), Text("two", target="dos – ñ")]

    def test_marks_and_carriage_returns_are_no_text(self, write):
        pairs = read(*write(b"\xef\xbb\xbfone\r\ntwo\r\n", b"uno\ndos\n"))
        assert pairs == [Text("one", target="uno"), Text("two", target="dos")]

    @pytest.mark.parametrize("suffix", [".txt.gz", ".txt"])
    def test_files_of_a_folder_are_subsets(self, tmp_path, suffix):
        pack = gzip.compress if suffix.endswith("gz") else bytes
        for side, word in (("en", b"one\n"), ("es", b"uno\n")):
            for book in ("Ruth", "a/1 John"):
                path = tmp_path / side / (book + suffix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pack(word))
        found = read(tmp_path / "en", tmp_path / "es")
        assert found == [Text("one", None, "uno", subset) for subset in ("Ruth", "a/1 John")]

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (b"secret\0", "its target side holds a NUL character"),
            (b"secret\xff", "its target side is not valid utf-8"),
            (b"secret\xed\xa0\x80", "its target side is not valid utf-8"),
        ],
    )
    def test_a_bad_line_costs_its_pair_alone_and_is_not_quoted(self, write, bad, error):
        first, letter, last = read(*write(b"one\ntwo\nthree\n", b"uno\n" + bad + b"\ntres\n"))
        assert (first.target, last.target) == ("uno", "tres")
        assert isinstance(letter, Unreadable)
        assert letter.error.startswith(error)
        assert letter.line == 2
        assert "secret" not in letter.error

    @pytest.mark.parametrize(
        ("theirs", "counts"), [(b"uno\n", (2, 1)), (b"", (2, 0)), (b"1\n2\n\n", (2, 3))]
    )
    def test_a_shorter_side_stops_everything_with_both_counts(self, write, theirs, counts):
        paths = write(b"one\ntwo\n", theirs)
        message = mistake(read, *paths)
        assert f"found {counts[0]} in {paths[0]} and {counts[1]} in {paths[1]}" in message

    def test_empty_files_hold_nothing(self, write):
        assert read(*write(b"", b"")) == []

    def test_a_damaged_gzip_file_is_dead_as_a_whole(self, write):
        whole, lines = gzip.compress(b"one\n" * 999), gzip.compress(b"uno\n" * 999)
        (letter,) = read(*write(whole, lines[:-10], "{}.txt.gz"))
        assert "its target side ends in the middle of its compressed data" in letter.error

    def test_line_separators_of_unicode_cut_nothing(self, write):
        (pair,) = read(*write("a\u2028b\x85c\n".encode(), b"uno\n"))
        assert pair.text == "a\u2028b\x85c"

    def test_latin_1_is_read_as_the_source_says(self, write):
        (pair,) = read(*write(b"one", "señor".encode("latin-1")), encoding="latin-1")
        assert pair.target == "señor"

    def test_utf_16_is_refused(self, write):
        paths = write(b"", b"")
        message = mistake(files.find, source(*paths, encoding="utf-16"))
        assert "parallel texts in utf-16 cannot be cut into lines" in message


class TestFiles:
    def test_all_files_that_are_read_decide_whether_to_read_again(self, write, make_run):
        ours, theirs = write(b"one\n", b"uno\n")
        run = make_run(ours, "parallel", source={"target_path": str(theirs)})
        before = files.inputs(run)
        theirs.write_bytes(b"otro\n")
        assert len(before) == 2
        assert files.inputs(run) != before

    def test_a_file_without_translation_is_named(self, write, tmp_path):
        write(b"", b"", "{}/a.txt")
        (tmp_path / "en" / "b.txt").write_text("x")
        message = mistake(read, tmp_path / "en", tmp_path / "es")
        assert f"{tmp_path}/en/b.txt has no translation {tmp_path}/es/b.txt" in message

    def test_a_translation_of_nothing_is_named(self, write, tmp_path):
        write(b"", b"", "{}/a.txt")
        (tmp_path / "es" / "b.txt").write_text("x")
        message = mistake(read, tmp_path / "en", tmp_path / "es")
        assert f"{tmp_path}/es/b.txt is the translation of nothing" in message

    def test_hidden_files_need_no_original(self, write, tmp_path):
        write(b"one\n", b"uno\n", "{}/a.txt")
        (tmp_path / "es" / ".git").mkdir()
        for name in (".git/b.txt", ".c.txt"):
            (tmp_path / "es" / name).write_text("x")
        assert len(read(tmp_path / "en", tmp_path / "es")) == 1

    def test_a_missing_target_is_named(self, write, tmp_path):
        path, _ = write(b"", b"")
        assert "has no translation" in mistake(read, path, tmp_path / "nowhere")

    def test_a_glob_is_refused(self, write, tmp_path):
        path, other = write(b"", b"")
        assert "takes a file or a folder" in mistake(read, tmp_path / "e?.txt", other)
        assert path.exists()


def write_module(folder, verses=None, testament="nt", extra=0):
    """A module whose verses are those of `verses` by slot, and `v<slot>` else; a block a book."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks, slots, packed = b"", struct.pack("<IIH", 0, 0, 0) * 2, b""
    slot = 2
    for number, (_, chapters) in enumerate(KJV[testament]):
        content = b""
        for _ in range(1 + sum(1 + count for count in chapters)):
            verse = (verses or {}).get(slot, f"v{slot}").encode()
            slots += struct.pack("<IIH", number, len(content), len(verse))
            content += verse
            slot += 1
        block = zlib.compress(content)
        blocks += struct.pack("<III", len(packed), len(block), len(content))
        packed += block
    (folder / f"{testament}.bzs").write_bytes(blocks)
    (folder / f"{testament}.bzv").write_bytes(slots + bytes(10 * extra))
    (folder / f"{testament}.bzz").write_bytes(packed)
    return folder


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return write_module(tmp_path_factory.mktemp("module"))


class TestModules:
    def test_the_table_has_every_verse_of_the_king_james_version(self):
        books = [*KJV["ot"], *KJV["nt"]]
        assert len(books) == 66
        assert sum(len(chapters) for _, chapters in books) == 1_189
        assert sum(sum(chapters) for _, chapters in books) == 31_102

    def test_verses_are_pairs_by_their_index_and_books_are_subsets(self, module, tmp_path):
        other = write_module(tmp_path / "es", {4: "LIBRO", 5: ""})
        pairs = read(module, other)
        assert len(pairs) == 7_957
        assert pairs[:2] == [
            Text("v4", target="LIBRO", subset="Matthew"),
            Text("v5", target="", subset="Matthew"),
        ]
        assert pairs[-1] == Text("v8245", target="v8245", subset="Revelation")

    @pytest.mark.parametrize(
        ("marked", "text"),
        [
            ('<w lemma="strong:H1">In</w> the <transChange type="added">day</transChange>. ',
             "In the day."),
            ('a<note placement="foot"><reference>1.4 </reference>or, b</note> c', "a c"),
            ('<title level="1">Genesis</title>text', "text"),
            ('<title canonical="true" type="psalm">A Psalm.</title><lg sID="1"/>LORD',
             "A Psalm. LORD"),
            ('one<lb type="x-p"/>two <l level="1" sID="2"/>three', "one two three"),
            ("the <divineName>LORD</divineName>&#8212;&amp; \u00b6 more", "the LORD—& more"),
            ("GBF<RF>note<Rf> <FI>text<Fi><WG2424>", "GBF text"),
            ('ThML<sync type="Strongs" value="G1"/> text<scripRef>Mt 1</scripRef>', "ThML text"),
            ('a<note n="1"/> b <note>c</note>d', "a b d"),
        ],
    )  # fmt: skip
    def test_notes_headings_and_tags_are_no_text(self, marked, text):
        assert sword.plain(marked) == text

    def test_another_versification_is_refused_with_both_counts(self, module, tmp_path):
        other = write_module(tmp_path / "es", extra=3)
        message = mistake(read, module, other)
        assert "expected 8246 slots of 10 bytes (versification KJV), found 82490 bytes" in message

    def test_a_module_that_lacks_a_file_is_refused(self, module, tmp_path):
        other = write_module(tmp_path / "es")
        (other / "nt.bzz").unlink()
        assert "nt.bzz is missing; expected a module of format zText" in mistake(
            read, module, other
        )

    def test_the_wrong_folder_is_one_line(self, module, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "two SWORD modules (the folders that hold ot.bzs" in mistake(
            read, module, tmp_path / "empty"
        )
        assert "expected files of kind parallel" in mistake(read, tmp_path / "empty", module)

    def test_a_damaged_block_costs_its_verses_alone(self, module, tmp_path):
        other = write_module(tmp_path / "es")
        content = bytearray((other / "nt.bzz").read_bytes())
        content[30] ^= 0xFF
        (other / "nt.bzz").write_bytes(content)
        found = read(module, other)
        dead = [each for each in found if isinstance(each, Unreadable)]
        assert len(dead) == sum(dict(KJV["nt"])["Matthew"])
        assert dead[0].error == "Matthew, slot 4: its block is damaged"
        assert len(found) == 7_957

    def test_an_index_beyond_its_block_is_dead(self, module, tmp_path):
        other = write_module(tmp_path / "es")
        index = bytearray((other / "nt.bzv").read_bytes())
        struct.pack_into("<IIH", index, 40, 0, 2**31, 9)
        struct.pack_into("<IIH", index, 50, 999, 0, 9)
        (other / "nt.bzv").write_bytes(index)
        found = read(module, other)
        assert [each.error for each in found if isinstance(each, Unreadable)] == [
            "Matthew, slot 4: its index points beyond its block",
            "Matthew, slot 5: its block is damaged",
        ]


class TestCuration:
    @pytest.fixture
    def pairs(self, make_run, folder, tmp_path):
        """Curates two aligned files of 40 lines, some odd; returns counts and documents."""
        ours = [f"line {number}" for number in range(40)]
        theirs = [f"línea {number}" for number in range(40)]
        ours[3], theirs[3] = ours[2], theirs[2]  # a copy of a pair
        ours[5] = ours[4]  # the same text, another translation
        ours[6], theirs[7], theirs[8] = "", " \t", "nul\0"
        for side, lines in (("en", ours), ("es", theirs)):
            (tmp_path / f"{side}.txt").write_text("\n".join(lines), encoding="utf-8")

        def run(**corpus):
            settings = make_run(
                tmp_path / "en.txt",
                "parallel",
                source={"target_path": str(tmp_path / "es.txt")},
                maximum_dead_fraction=0.1,
                **NO_RULES | corpus,
            )
            curate(settings, folder)
            documents = [
                document
                for path in sorted(folder.documents.glob("*.jsonl.gz"))
                for document in read_documents(path)
            ]
            return json.loads(folder.curation.read_text())["sources"]["s"], documents

        return run

    def test_everything_adds_up_and_duplicates_are_pairs(self, pairs):
        counts, documents = pairs()
        assert counts["in"] == 40
        dropped = {reason: number for reason, number in counts["dropped"].items() if number}
        assert dropped == {"duplicate": 1, "empty": 1, "empty_target": 1}
        assert counts["dead"] == 1
        assert counts["kept"] == len(documents) == 36
        assert {document.target for document in documents if document.text == "line 4"} == {
            "línea 4",
            "línea 5",
        }
        assert counts["bytes_kept"] == sum(document.size_bytes for document in documents)

    def test_a_language_that_the_source_says_is_not_judged(self, make_run, folder, tmp_path):
        lines = "".join(f"El perro come pan {number}\n" for number in range(20))
        for side in ("en", "es"):
            (tmp_path / f"{side}.txt").write_text(lines)
        corpus = NO_RULES | {"language": {"keep": ["en"]}}
        both = {"target_path": str(tmp_path / "es.txt")}
        run = make_run(tmp_path / "en.txt", "parallel", source=both | {"language": "en"}, **corpus)
        curate(run, folder)
        assert json.loads(folder.curation.read_text())["sources"]["s"]["kept"] == 20
        run = make_run(tmp_path / "en.txt", "parallel", source=both, **corpus)
        assert "every document was dropped (language 20)" in mistake(curate, run, folder)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_books_are_held_out_whole(self, make_run, folder, workers):
        settings = {"target_path": str(BIBLE / "es"), "language": "en"}
        books = ["Ruth", "Jonah"]
        corpus = NO_RULES | {"validation_subsets": books, "workers": workers}
        curate(make_run(BIBLE / "en", "parallel", source=settings, **corpus), folder)
        for split, expected in (("train", 390), ("validation", 132)):
            documents = [
                each
                for path in folder.documents.glob(f"{split}-*")
                for each in read_documents(path)
            ]
            assert len(documents) == expected
            assert all((each.subset in books) == (split == "validation") for each in documents)
        curation = json.loads(folder.curation.read_text())
        assert curation["subsets"]["Joel"] == 73
        assert sum(curation["subsets"].values()) == 522
        assert curation["sources"]["s"]["dropped"]["empty_target"] == 1  # Jonah 1:17

    def test_a_subset_that_is_not_there_is_named(self, make_run, folder):
        settings = {"target_path": str(BIBLE / "es")}
        corpus = NO_RULES | {"validation_subsets": ["Rut"]}
        message = mistake(
            curate, make_run(BIBLE / "en", "parallel", source=settings, **corpus), folder
        )
        assert "documents of 'Rut', but there are only 1 John, James, Joel" in message

    @pytest.mark.parametrize("workers", [1, 2])
    def test_files_that_are_not_aligned_are_one_line(self, make_run, folder, write, workers):
        ours, theirs = write(b"one\ntwo\n", b"uno\n")
        run = make_run(ours, "parallel", source={"target_path": str(theirs)}, workers=workers)
        message = mistake(curate, run, folder)
        assert message.startswith("corpus source s: expected as many lines in both files")
        assert "[while running" not in message
        assert not folder.corpus.exists()

    def test_answers_of_json_lines_are_targets(self, make_run, folder, tmp_path):
        rows = [{"ask": f"{number}?", "answer": f"{number}!"} for number in range(20)]
        bad = [{"ask": "x"}, {"ask": "x", "answer": 3}, {"ask": "x", "answer": "\ud800"}]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [*rows, *bad])))
        fields = {"text_field": "ask", "target_field": "answer"}
        corpus = NO_RULES | {"maximum_dead_fraction": 0.5}
        curate(make_run(tmp_path / "a.jsonl", "jsonl", source=fields, **corpus), folder)
        found = [
            (each.text, each.target)
            for path in folder.documents.glob("*")
            for each in read_documents(path)
        ]
        assert sorted(found) == sorted((f"{number}?", f"{number}!") for number in range(20))
        assert json.loads(folder.curation.read_text())["sources"]["s"]["dead"] == 3

    def test_plain_documents_have_no_target(self, make_run, folder, letters, rows):
        curate(make_run(letters), folder)
        assert all("target" not in row for row in rows(folder.documents))
