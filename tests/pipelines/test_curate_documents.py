"""What the curate stage keeps, drops and counts."""

import gzip
import hashlib
import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from llm_keras.data import document
from llm_keras.data.rules import KEEP, Rule
from llm_keras.run_folder import RunFolder
from pipelines.curate import curate

SPEECHES = Path(__file__).parents[2] / "examples" / "data" / "state_of_the_union"

#: Text -> the reason it is dropped for, where English is wanted.
BAD = {
    "": "empty",
    "too short": "too_few_words",
    "a b c d e " * 12: "mean_word_length",
    "one and the same line\n" * 30: "duplicate_lines",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren und sie sind mit Vernunft"
    " und Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen, denn jeder"
    " hat Anspruch auf die in dieser Erklärung verkündeten Rechte und Freiheiten ohne"
    " irgendeinen Unterschied nach Rasse, Hautfarbe, Geschlecht, Sprache, Religion,"
    " politischer oder sonstiger Überzeugung": "language",
    "we shall continue onward " * 30: "top_2_gram_characters",
}
ODD = "\t{}\r\n\r\nﬁne e\u0301 \u00a0 end\x0b\x85\u2028  \rlast "


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, letters, prose, make_run):
    """A run over letters and every other sort of file; tests only look at it."""
    source = tmp_path_factory.mktemp("mixed") / "source"
    shutil.copytree(letters, source)
    for number, text in enumerate(BAD):
        (source / f"bad{number}.txt").write_text(text)
    (source / "copy of short.txt").write_text("too short")
    (source / "odd.txt").write_bytes(ODD.format(prose(100)).encode())
    two = prose(50) + "\nsecond line"
    (source / "unix.txt").write_bytes(two.encode())
    (source / "dos.txt").write_bytes(two.replace("\n", "\r\n").encode())
    (source / "latin.txt").write_bytes(b"\xff")
    (source / "picture.jpg").write_bytes(b"")
    folder = RunFolder(source.parent / "run")
    settings = {"shards": 3, "language": {"keep": ["en"]}, "maximum_dead_fraction": 1 / 35}
    curate(make_run(source, **settings), folder)
    return folder


def test_good_texts_are_kept_and_only_they(mixed, rows, prose):
    texts = {prose(number) for number in range(24)}
    texts.add(prose(50) + "\nsecond line")
    texts.add(ODD.format(prose(100)).replace("\r\n", "\n").replace("\r", "\n"))
    found = rows(mixed.documents)
    assert {each["text"] for each in found} == texts
    assert len(found) == len(texts)


def test_a_document_has_the_fields_of_the_schema(mixed, rows):
    for each in rows(mixed.documents):
        fields = ["id", "text", "source", "subset", "language", "licence", "url", "locator"]
        assert list(each) == fields
        assert each["language"] == "en"
        assert each["licence"] == "unknown"


def test_splits_and_shards_are_functions_of_the_documents(mixed):
    for split in ("train", "validation"):
        paths = document.document_files(mixed.documents, split)
        assert [path.name.removeprefix(split) for path in paths] == [
            f"-0000{n}-of-00003.jsonl.gz" for n in range(3)
        ]
        for path in paths:
            found = list(document.read_documents(path))
            assert all(document.split(each.id, 0, 0.3) == split for each in found)
            digests = [document.content_digest(each.content)[:8] for each in found]
            shards = {int.from_bytes(digest, "big") % 3 for digest in digests}
            assert shards <= {int(path.name.split("-")[1])}


def test_every_dropped_document_is_written_with_its_reason(mixed, rows, prose):
    rejected = rows(mixed.rejected)
    reasons = [(each["text"], each["reason"]) for each in rejected if each["reason"] != "duplicate"]
    assert sorted(reasons) == sorted([*BAD.items(), ("too short", "too_few_words")])
    details = {each["text"]: each["detail"] for each in rejected if each["reason"] != "duplicate"}
    assert details["too short"] == "2 < 50"


def test_a_copy_is_dropped_as_a_copy_and_names_the_one_that_stays(mixed, rows, prose):
    """Line ends of another system make no other text."""
    copies = {each["text"]: each for each in rows(mixed.rejected) if each["reason"] == "duplicate"}
    two = prose(50) + "\nsecond line"
    assert set(copies) == {two}
    (stays,) = [each["id"] for each in rows(mixed.documents) if each["text"] == two]
    assert copies[two]["detail"] == f"of {stays}"
    assert stays < copies[two]["id"]


def test_counts_are_what_the_files_hold(mixed, rows, curation, hashes):
    found = curation(mixed)
    assert found["format"] == 2
    assert set(found["files"]) == set(hashes(mixed)) - {"curation.json", "inputs.json"}
    for name, facts in found["files"].items():
        data = (mixed.corpus / name).read_bytes()
        assert facts == {
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "documents": gzip.decompress(data).count(b"\n"),
        }
    for split, counts in found["splits"].items():
        texts = [each["text"] for each in rows(mixed.documents, f"{split}-*")]
        assert counts["documents"] == len(texts) > 0
        assert counts["bytes"] == sum(len(text.encode()) for text in texts)


def test_counts_of_a_source_add_up(mixed, rows, curation):
    counts = curation(mixed)["sources"]["s"]
    assert (counts["in"], counts["kept"], counts["dead"]) == (35, 26, 1)
    assert counts["ignored_files"] == 1
    dropped = {reason: number for reason, number in counts["dropped"].items() if number}
    assert dropped == Counter(BAD.values()) + Counter(too_few_words=1, duplicate=1)
    texts = [each["text"] for each in rows(mixed.documents)]
    assert counts["bytes_kept"] == sum(len(text.encode()) for text in texts)
    rejected = [each["text"] for each in rows(mixed.rejected)]
    assert counts["bytes_in"] - counts["bytes_kept"] == sum(len(t.encode()) for t in rejected)


def test_a_rule_that_dropped_nothing_shows_as_zero_in_its_place(mixed, curation):
    reasons = list(curation(mixed)["sources"]["s"]["dropped"].items())
    assert ("too_many_words", 0) in reasons
    assert reasons[-2:] == [("duplicate_10_gram_characters", 0), ("duplicate", 1)]


def test_dead_letters_say_where(mixed, rows, curation):
    assert rows(mixed.dead_letters) == [
        {
            "source": "s",
            "locator": "latin.txt",
            "line": None,
            "offset": 0,
            "error": "not valid utf-8",
        }
    ]
    first = curation(mixed)["sources"]["s"]["first_dead"]
    assert first == {"latin.txt byte 0": "not valid utf-8"}


def test_the_speeches_are_all_kept_as_english_and_unchanged(make_run, folder, rows):
    """Forty texts of up to 60 KB in one line each."""
    curate(make_run(SPEECHES, language={"keep": ["en"]}), folder)
    found = rows(folder.documents)
    texts = {path.read_text(encoding="utf-8") for path in SPEECHES.glob("*.txt")}
    assert {each["text"] for each in found} == texts
    assert len(found) == 40
    assert {each["language"] for each in found} == {"en"}


def test_three_kinds_of_files_give_the_same_documents(
    make_run, folder, tmp_path, prose, rows, curation
):
    texts = [prose(number) for number in range(30)]
    lines = [json.dumps({"text": text, "url": f"u{i}"}) for i, text in enumerate(texts)]
    (tmp_path / "a").mkdir()
    for number, text in enumerate(texts[:10]):
        (tmp_path / "a" / f"{number}.txt").write_text(text)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[10:20]).encode()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress("\n".join(lines[20:]).encode()))
    sources = [
        {"name": "a", "kind": "text", "path": str(tmp_path / "a"), "licence": "CC0-1.0"},
        {"name": "b", "kind": "jsonl", "path": str(tmp_path / "b.jsonl.gz")},
        {"name": "c", "kind": "jsonl", "path": str(tmp_path / "*.zst"), "language": "xx"},
    ]
    curate(make_run(tmp_path, sources=sources), folder)
    found = {each["text"]: each for each in rows(folder.documents)}
    assert set(found) == set(texts)
    assert [found[text]["source"] for text in texts] == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert [found[text]["url"] for text in texts[9:12]] == [None, "u10", "u11"]
    assert [found[text]["licence"] for text in texts[9:11]] == ["CC0-1.0", "unknown"]
    assert [found[text]["language"] for text in texts[19:21]] == ["en", "xx"]
    assert [curation(folder)["sources"][name]["kept"] for name in "abc"] == [10, 10, 10]


def test_all_off_keeps_everything_but_empty_texts(make_run, folder, letters, prose, tmp_path, rows):
    """Copies stay, and no language is named."""
    shutil.copytree(letters, tmp_path / "source")
    (tmp_path / "source" / "copy.txt").write_text(prose(3))
    (tmp_path / "source" / "short.txt").write_text("x")
    (tmp_path / "source" / "empty.txt").write_text("\n")
    off = {"deduplicate": "none", "length": None, "repetition": None, "language": None}
    curate(make_run(tmp_path / "source", **off), folder)
    texts = Counter(each["text"] for each in rows(folder.documents))
    assert texts == Counter([*(prose(number) for number in range(24)), prose(3), "x"])
    assert [each["reason"] for each in rows(folder.rejected)] == ["empty"]
    assert {each["language"] for each in rows(folder.documents)} == {None}


def test_one_text_two_hundred_times_in_one_file_stays_once(
    make_run, folder, tmp_path, prose, rows, curation
):
    lines = [json.dumps({"text": prose(0), "url": str(i)}) for i in range(200)]
    lines += [json.dumps({"text": prose(i)}) for i in range(1, 20)]
    random.Random(0).shuffle(lines)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    curate(make_run(tmp_path / "a.jsonl", kind="jsonl"), folder)
    assert curation(folder)["sources"]["s"]["dropped"]["duplicate"] == 199
    (kept,) = [each for each in rows(folder.documents) if each["text"] == prose(0)]
    first = json.loads(next(line for line in lines if prose(0) in line))
    assert kept["url"] == first["url"]  # the ids are equal; the first of the file stays


def test_a_rule_that_fails_costs_the_document_not_the_job(
    make_run, folder, letters, prose, rows, monkeypatch
):
    def fail_on_the_third(view):
        if view.text == prose(3):
            raise ValueError(view.text)
        return KEEP

    monkeypatch.setattr("pipelines.judge.rules", lambda *_, **__: [Rule(fail_on_the_third, ())])
    curate(make_run(letters, maximum_dead_fraction=0.1), folder)
    assert len(rows(folder.documents)) == 23
    (letter,) = rows(folder.dead_letters)
    assert letter["locator"] == "3.txt"
    assert re.fullmatch(r"a rule failed on document s:\w{24}: ValueError", letter["error"])


def test_nothing_of_an_unreadable_text_is_noted_printed_or_logged(
    make_run, folder, tmp_path, prose, rows, curation, capfd, caplog
):
    canary = "xylophonequartz"
    source = tmp_path / "lines"
    source.mkdir()
    good = [json.dumps({"text": prose(i)}) for i in range(20)]
    bad = [f'{{"text": "{canary}', f'["{canary}"]', f'{{"text": "{canary}\\ud800"}}']
    (source / "a.jsonl").write_text("\n".join(good + bad))
    (source / "b.jsonl").write_bytes(f'{{"text": "{canary}\xff"}}'.encode("latin-1"))
    packed = gzip.compress(json.dumps({"text": canary}).encode())
    (source / "c.jsonl.gz").write_bytes(packed[:-9])
    curate(make_run(source, kind="jsonl", maximum_dead_fraction=0.5), folder)
    assert [(each["locator"], each["line"]) for each in _by_place(rows(folder.dead_letters))] == [
        ("a.jsonl", 21),
        ("a.jsonl", 22),
        ("a.jsonl", 23),
        ("b.jsonl", 1),
        ("c.jsonl.gz", None),
    ]
    counts = curation(folder)["sources"]["s"]
    assert (counts["in"], counts["kept"], counts["dead"]) == (25, 20, 5)
    assert canary not in json.dumps([rows(folder.dead_letters), curation(folder)])
    said = capfd.readouterr()
    assert canary not in said.out + said.err + caplog.text


def _by_place(letters):
    return sorted(letters, key=lambda each: (each["locator"], each["line"]))


def test_a_file_that_cannot_be_opened_is_a_dead_letter(
    make_run, folder, letters, rows, monkeypatch
):
    opened = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "3.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    curate(make_run(letters, maximum_dead_fraction=0.5), folder)
    (letter,) = rows(folder.dead_letters)
    assert letter["locator"] == "3.txt"
    assert letter["error"] == "cannot be read: Permission denied"


def test_the_rules_for_lines_change_the_text_and_are_counted(
    make_run, folder, tmp_path, prose, rows, curation
):
    """C4 drops lines without an end, then judges what is left."""
    for number in range(12):
        page = f"Home\n{prose(number)}.\nIt has a second sentence in it. And a third.\nImprint\n"
        (tmp_path / f"{number}.txt").write_text(page)
    curate(make_run(tmp_path, preset="c4"), folder)
    texts = [each["text"] for each in rows(folder.documents)]
    assert sorted(texts) == sorted(
        f"{prose(number)}.\nIt has a second sentence in it. And a third." for number in range(12)
    )
    assert sum(curation(folder)["sources"]["s"]["removed_lines"].values()) == 24


def test_a_source_may_have_rules_of_its_own(make_run, folder, tmp_path, letters, rows, curation):
    short = tmp_path / "short"
    short.mkdir()
    for number in range(4):
        (short / f"{number}.txt").write_text(f"short text {number}")
    sources = [
        {"name": "a", "kind": "text", "path": str(letters)},
        {"name": "b", "kind": "text", "path": str(short), "rules": {"preset": "none"}},
        {"name": "c", "kind": "text", "path": str(short)},
    ]
    curate(make_run(letters, sources=sources), folder)
    assert {each["source"] for each in rows(folder.documents)} == {"a", "b"}
    assert curation(folder)["sources"]["c"]["dropped"]["too_few_words"] == 4
    assert "too_few_words" not in curation(folder)["sources"]["b"]["dropped"]
