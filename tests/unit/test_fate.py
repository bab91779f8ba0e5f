"""`llm-keras inspect RUN --document`: what became of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llm_keras import cli
from llm_keras.data import takedowns
from llm_keras.data.document import write_json_lines
from llm_keras.errors import UserError
from llm_keras.inspection import inspect
from llm_keras.run_folder import RunFolder

KEPT, REDACTED, TWICE = "web:aa11", "my:books:bb22", "web:cc33"
COPY, COPY_OF_COPY, OF_EARLIER, OF_TAKEN = "web:dd44", "web:ee55", "web:ff66", "web:ab77"
SHORT, FAILED, TAKEN = "web:1234", "web:5678", "web:9999"


def row(name: str, locator: str, **more: Any) -> dict[str, Any]:
    source = name.rpartition(":")[0]
    known = {"subset": None, "language": "en", "licence": "CC0-1.0", "url": None}
    text = f"secret text of {name} \x1b[31m"
    return {"id": name, "text": text, "source": source, **known, "locator": locator, **more}


def dropped(name: str, locator: str, reason: str, detail: str) -> dict[str, Any]:
    return row(name, locator, reason=reason, detail=detail)


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_json_lines(file, rows)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A corpus in which everything has happened to a document that can."""
    folder = RunFolder(tmp_path / "run")
    spans = [[0, 3, "email"], [5, 9, "email"], [11, 12, "ip"]]
    write(folder.documents / "train-00000-of-00001.jsonl.gz", row(KEPT, "a.txt"))
    write(
        folder.documents / "validation-00000-of-00001.jsonl.gz",
        row(REDACTED, "b.tar#c: d.txt", url="https://example.org/", redacted=spans),
        row(TWICE, "lines.jsonl"),
    )
    write(
        folder.rejected / "rejected-00000-of-00001.jsonl.gz",
        dropped(COPY, "b.txt", "near_duplicate", f"of {KEPT}, similarity 0.87"),
        dropped(COPY_OF_COPY, "c.txt", "duplicate", f"of {COPY}"),
        dropped(OF_EARLIER, "d.txt", "duplicate", "of old:0000"),
        dropped(OF_TAKEN, "e.txt", "older_page", f"of {TAKEN}"),
        dropped(TWICE, "lines.jsonl", "duplicate", f"of {TWICE}"),
        dropped(SHORT, "lines.jsonl", "too_few_words", "6 < 50"),
        {**dropped("web:", "wiki.xml#Talk", "redirect", "not read as a text"), "id": None},
    )
    letter = {
        "source": "web",
        "locator": "lines.jsonl",
        "line": 3,
        "offset": 70,
        "error": "not JSON",
    }
    failed = f"a rule failed on document {FAILED}: TypeError"
    write(
        folder.dead_letters / "dead_letters-00000-of-00001.jsonl.gz",
        letter,
        {**letter, "locator": "f.txt", "line": None, "offset": None, "error": failed},
    )
    folder.curation.write_text("{}")
    for state in (takedowns.BEGUN, takedowns.DONE):
        takedowns.append(folder.corpus, {"state": state, "ids": [TAKEN], "at": "2026-01-01"})
    return folder


def told(folder: RunFolder, name: str, **more: Any) -> list[str]:
    return list(inspect(folder.root, document=name, **more))


TRAIN = "documents/train-00000-of-00001.jsonl.gz"
VALIDATION = "documents/validation-00000-of-00001.jsonl.gz"
REJECTED = "rejected/rejected-00000-of-00001.jsonl.gz"
DEAD = "dead_letters/dead_letters-00000-of-00001.jsonl.gz"


def test_kept(folder: RunFolder) -> None:
    assert told(folder, KEPT) == [
        KEPT,
        f"  kept for train, in {TRAIN}",
        "  licence CC0-1.0, from web, a.txt",
    ]
    assert told(folder, REDACTED) == [
        REDACTED,
        f"  kept for validation, in {VALIDATION}",
        "  licence CC0-1.0, from my:books, b.tar#c: d.txt, https://example.org/",
        "  redacted: email 2, ip 1",
    ]


def test_dropped_by_a_rule(folder: RunFolder) -> None:
    assert told(folder, SHORT) == [
        SHORT,
        f"  dropped at step read: too_few_words (6 < 50), in {REJECTED}",
        "  from web, lines.jsonl",
    ]


def test_copies_lead_to_the_one_that_stays(folder: RunFolder) -> None:
    """From copy to copy, to a document that is kept, taken down, or of an earlier run."""
    near = f"near_duplicate (of {KEPT}, similarity 0.87)"
    assert told(folder, COPY_OF_COPY) == [
        COPY_OF_COPY,
        f"  dropped at step duplicates: duplicate (of {COPY}), in {REJECTED}",
        "  from web, c.txt",
        f"  {COPY}: dropped at step near: {near}",
        f"  {KEPT}: kept for train, in {TRAIN}",
    ]
    assert told(folder, OF_EARLIER)[-1] == (
        "  old:0000: not in this corpus; an earlier run in the same index has it"
    )
    assert told(folder, OF_TAKEN)[-1] == f"  {TAKEN}: was taken down"
    assert "at step urls: older_page" in told(folder, OF_TAKEN)[1]


def test_copies_that_name_each_other_come_to_an_end(folder: RunFolder) -> None:
    write(
        folder.rejected / "rejected-00000-of-00001.jsonl.gz",
        dropped(COPY, "b.txt", "duplicate", f"of {SHORT}"),
        dropped(SHORT, "c.txt", "near_duplicate", f"of {COPY}"),
    )
    assert told(folder, COPY)[-1].startswith(f"  {COPY}: not in this corpus")


def test_equal_texts_of_one_place_share_an_id(folder: RunFolder) -> None:
    """One of them is kept, and the other one is its copy: both are told."""
    assert told(folder, TWICE) == [
        TWICE,
        f"  kept for validation, in {VALIDATION}",
        "  licence CC0-1.0, from web, lines.jsonl",
        f"  dropped at step duplicates: duplicate (of {TWICE}), in {REJECTED}",
        "  from web, lines.jsonl",
        f"  {TWICE}: kept for validation, in {VALIDATION}",
    ]


def test_dead(folder: RunFolder) -> None:
    """By the place, and by the id that an error names."""
    assert told(folder, "web:f.txt") == [
        "web:f.txt: 1 dead",
        "f.txt",
        f"  dead: a rule failed on document {FAILED}: TypeError, in {DEAD}",
    ]
    assert told(folder, FAILED)[0] == f"{FAILED}: 1 dead"


def test_a_place_with_many_documents(folder: RunFolder) -> None:
    """What became of all of them in a line, then some of them."""
    lines = told(folder, "web:lines.jsonl")
    assert lines[0] == (
        "web:lines.jsonl: 1 kept, 1 dropped: duplicate, 1 dropped: too_few_words, 1 dead"
    )
    assert f"  dead line 3 byte 70: not JSON, in {DEAD}" in lines
    lines = told(folder, "web:lines.jsonl", limit=1, offset=2)
    assert lines[1] == "documents 3 to 3 of 4 (--offset 3 for more)"
    assert lines[2] == SHORT
    assert KEPT not in "".join(lines)


def test_places_within_places(folder: RunFolder) -> None:
    """An archive is found by its name, and colons may stand in all names."""
    assert told(folder, "my:books:b.tar")[1] == REDACTED
    assert told(folder, "my:books:b.tar#c: d.txt")[1] == REDACTED
    assert told(folder, "web:wiki.xml#Talk")[:3] == [
        "web:wiki.xml#Talk: 1 dropped: redirect",
        "wiki.xml#Talk",
        f"  dropped at step read: redirect (not read as a text), in {REJECTED}",
    ]


@pytest.mark.parametrize("beginning", ["web:aa", "web:aa1"])
def test_a_beginning_is_enough(folder: RunFolder, beginning: str) -> None:
    assert told(folder, beginning)[0] == KEPT


def test_a_beginning_of_several(folder: RunFolder) -> None:
    with pytest.raises(
        UserError, match=r"web:a: 2 documents begin so \(web:aa11, web:ab77\); give"
    ):
        told(folder, "web:a")
    many = [row(f"web:a{number:03}", "a.txt") for number in range(40)]
    write(folder.documents / "train-00000-of-00001.jsonl.gz", *many)
    with pytest.raises(UserError, match=r"more than 20 documents begin so \(web:a000, .* …\)"):
        told(folder, "web:a")


def test_texts_are_shown_only_where_a_limit_asks(folder: RunFolder) -> None:
    """And nothing in them can steer the terminal."""
    for name in (KEPT, SHORT, COPY_OF_COPY, "web:lines.jsonl"):
        assert "secret" not in "".join(told(folder, name))
    lines = told(folder, KEPT, limit=1)
    assert lines[-1] == rf"    29 bytes: secret text of {KEPT} \x1b[31m"


def test_taken_down(folder: RunFolder) -> None:
    (line,) = told(folder, TAKEN)
    assert line == f"{TAKEN}: was taken down; it is in no file, and later curations leave it out"


@pytest.mark.parametrize(
    "name", ["web:0000", "nothing", "web:", "web", "", "web:no.txt", "\x1b[31m:"]
)
def test_unknown(folder: RunFolder, name: str) -> None:
    with pytest.raises(UserError, match=r"not known in .*corpus; expected an id") as caught:
        told(folder, name)
    assert "\x1b" not in str(caught.value)


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no curated corpus in it"):
        list(inspect(tmp_path, document=KEPT))


def test_from_the_command_line(folder: RunFolder) -> None:
    result = CliRunner().invoke(cli.app, ["inspect", str(folder.root), "--document", KEPT])
    assert result.exit_code == 0
    assert result.output.splitlines() == told(folder, KEPT)
    result = CliRunner().invoke(
        cli.app, ["inspect", str(folder.root), "--document", KEPT, "--limit", "1"]
    )
    assert "secret text" in result.output
