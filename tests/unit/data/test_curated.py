"""Curated files read without decoding them: ids, reasons, copies, examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.data import curated
from llm_keras.data.document import write_json_lines
from llm_keras.errors import UserError

#: What could be taken for the end of a line, or its beginning.
TRICK = '", "reason": "none", "detail": "x"}\n{"id": "b:0"'


def line(**row: object) -> bytes:
    """A row as curation writes it."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_json_lines(file, rows)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=200)
@given(NAMES, NAMES | st.just(TRICK), NAMES, NAMES | st.just(TRICK))
def test_beginning_and_end_are_what_json_says(
    name: str, text: str, reason: str, detail: str
) -> None:
    """Whatever stands in the fields: quotation marks, backslashes, what looks like fields."""
    row = line(id=name, text=text, source="a", reason=reason, detail=detail)
    assert curated.id_of(row) == name
    assert curated.why(row) == (reason, detail)


def test_lines_without_reason_or_id() -> None:
    assert curated.why(line(id="a:0", text='"reason": "x"')) is None
    assert curated.id_of(line(id=None, source="a", reason="redirect", detail="")) is None
    assert curated.id_of(line(source="a", locator="b")) is None


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ("of web:00ff", ("web:00ff", None)),
        ("of web:00ff, similarity 0.87", ("web:00ff", 0.87)),
        ("of a, b:00ff, similarity 1.00", ("a, b:00ff", 1.0)),
        ("6 < 50", None),
        ("of ", None),
        ("", None),
    ],
)
def test_what_a_copy_is_of(detail: str, found: tuple[str, float | None] | None) -> None:
    assert curated.copy_of(detail) == found


def test_documents_come_from_all_files_in_turn(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl.gz", [{"id": "a:0"}, {"id": "a:1"}, {"id": "a:2"}])
    write(tmp_path / "b.jsonl.gz", [{"id": "b:0"}])
    write(tmp_path / "c.jsonl.gz", [])
    found = [each["id"] for each in curated.documents(tmp_path, 3)]
    assert found == ["a:0", "b:0", "a:1"]
    assert len(list(curated.documents(tmp_path, 10))) == 4
    assert list(curated.documents(tmp_path / "nothing", 10)) == []


def test_find(tmp_path: Path) -> None:
    """By id, the first of several; only as much as is allowed is looked through."""
    write(tmp_path / "a.jsonl.gz", [{"id": "a:0", "text": "x" * 100}, {"id": "a:1", "text": "1"}])
    write(tmp_path / "b.jsonl.gz", [{"id": "a:1", "text": "2"}])
    found = curated.find(tmp_path, {"a:1", "c:0"})
    assert found == {"a:1": (tmp_path / "a.jsonl.gz", {"id": "a:1", "text": "1"})}
    assert curated.find(tmp_path, {"a:1"}, most_bytes=100) == {}
    assert curated.find(tmp_path, []) == {}


@pytest.mark.parametrize("content", [b"no gzip", b"\x1f\x8b\x08\x00cut"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.jsonl\.gz: damaged \(\w+\); run `llm-keras curate`"):
        list(curated.documents(tmp_path, 1))


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x: damaged \(JSONDecodeError\)"):
        curated.decoded(b'{"id": ', Path("x"))
    with pytest.raises(UserError, match=r"x: damaged \(TypeError\)"):
        curated.decoded(b"3", Path("x"))
