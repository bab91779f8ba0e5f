"""Version folders on disk: which are complete, and what is said when none is."""

import os

import pytest

from serving.models import versions

FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


def make(folder, files=FILES):
    """A version folder with these files, each one byte long."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_newest_first_and_only_numbers(tmp_path):
    """TensorFlow Serving's own example: 42, 33, 30, 21, 17 and x; zeros in front do not count."""
    for name in ("42", "0033", "30", "21", "17", "x", "9.tmp", "-1", "1" * 30):
        make(tmp_path / name)
    (tmp_path / "50").write_text("a file")
    assert [version.number for version in versions.scan(tmp_path)] == [42, 33, 30, 21, 17]
    assert versions.scan(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ((), "saved_model.pb is missing"),
        (FILES[1:], "saved_model.pb is missing"),
        (FILES[::2], "variables/variables.index is missing"),
        (FILES[:2], "a shard variables/variables.data-* is missing"),
        ((*FILES[:2], "variables/variables.data-00001-of-00002"), "a shard"),
        (FILES, None),
        (FILES[:1], None),
        (("saved_model.pbtxt",), None),
        ((*FILES[:2], *(f"variables/variables.data-0000{i}-of-00002" for i in (0, 1))), None),
    ],
)
def test_what_a_half_copied_folder_lacks(tmp_path, files, problem):
    """Every order in which the files of a version may arrive."""
    (tmp_path / "1").mkdir()
    found = versions.incompleteness(make(tmp_path / "1", files))
    assert found == problem if problem is None else problem in found
    assert bool(versions.scan(tmp_path)) == (problem is None)


def test_an_empty_graph_is_no_graph(tmp_path):
    """A copy begins with an empty file."""
    make(tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    assert versions.incompleteness(tmp_path / "1") == "saved_model.pb is missing"


def test_the_fingerprint_shows_a_growing_file(tmp_path):
    """Size alone, time alone, or a new file."""
    folder = make(tmp_path / "1")
    seen = {versions.fingerprint(folder)}
    (folder / FILES[2]).write_bytes(b"xy")
    seen.add(versions.fingerprint(folder))
    os.utime(folder / FILES[0], (1, 1))
    seen.add(versions.fingerprint(folder))
    make(folder, ["assets/words"])
    seen.add(versions.fingerprint(folder))
    assert len(seen) == 4
    assert versions.fingerprint(folder) in seen


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (None, "no such folder; expected"),
        ((), "it has no numbered folder; expected"),
        (("saved_model.pb",), "is itself a version: give the folder above it"),
        (("7/saved_model.pb", "7/variables/x"), "version 7: variables/variables.index is missing"),
    ],
)
def test_the_reason_is_one_line(tmp_path, layout, message):
    """What was expected, what is there."""
    base = tmp_path / "export"
    if layout is not None:
        base.mkdir()
        make(base, layout)
    text = versions.nothing_to_serve(base, {})
    assert message in text
    assert f"expected {base}/<number>/saved_model.pb" in text
    assert "\n" not in text
