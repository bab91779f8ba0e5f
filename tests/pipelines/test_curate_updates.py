"""Curations that add to an earlier one: new files, changed files, dead letters read again."""

import json

import pytest

from llm_keras.errors import UserError
from pipelines.curate import curate, update


@pytest.fixture
def lines(tmp_path, prose):
    """A folder of three files of ten texts each; in the second one line is broken."""
    place = tmp_path / "lines"
    place.mkdir()
    for number in range(3):
        texts = [prose(i) for i in range(number * 10, number * 10 + 10)]
        (place / f"{number}.jsonl").write_text("\n".join(map(_line, texts)))
    broken = (place / "1.jsonl").read_text().split("\n")
    broken[3] = broken[3][:-5]
    (place / "1.jsonl").write_text("\n".join(broken))
    return place


@pytest.fixture
def run(lines, make_run):
    return make_run(lines, kind="jsonl", maximum_dead_fraction=0.5)


def _line(text):
    return json.dumps({"text": text})


def _texts(rows, folder):
    return sorted(each["text"] for each in rows(folder.documents))


def test_a_file_that_was_mended_is_replayed_and_only_it(run, lines, folder, rows, prose, curation):
    curate(run, folder)
    assert len(rows(folder.dead_letters)) == 1
    before = {each["id"]: each for each in rows(folder.documents)}
    mended = (lines / "1.jsonl").read_text().split("\n")
    mended[3] = _line(prose(13))
    (lines / "1.jsonl").write_text("\n".join(mended))
    (lines / "0.jsonl").unlink()  # not among the dead: its documents stay
    (lines / "0.jsonl").touch()
    assert update(run, folder, replay=True) == 1
    assert _texts(rows, folder) == sorted(prose(i) for i in range(30))
    after = {each["id"]: each for each in rows(folder.documents)}
    assert before.items() <= after.items()
    assert rows(folder.dead_letters) == []
    counts = curation(folder)["sources"]["s"]
    assert (counts["in"], counts["kept"], counts["dead"]) == (30, 30, 0)
    assert update(run, folder, replay=True) == 0


def test_new_changed_and_lost_files_are_brought_up_to_date(
    run, lines, folder, rows, prose, curation
):
    curate(run, folder)
    (lines / "0.jsonl").unlink()
    (lines / "2.jsonl").write_text("\n".join(map(_line, [prose(20), prose(50), prose(11)])))
    (lines / "3.jsonl").write_text("\n".join(map(_line, [prose(60), prose(10), "short"])))
    assert update(run, folder) == 2
    stay = [prose(i) for i in range(10, 20) if i != 13]
    assert _texts(rows, folder) == sorted([*stay, prose(20), prose(50), prose(60)])
    gone = {each["text"]: each for each in rows(folder.rejected)}
    assert {text: each["reason"] for text, each in gone.items()} == {
        prose(11): "duplicate",
        prose(10): "duplicate",
        "short": "too_few_words",
    }
    (kept,) = [each["id"] for each in rows(folder.documents) if each["text"] == prose(11)]
    assert gone[prose(11)]["detail"] == f"of {kept}"
    counts = curation(folder)["sources"]["s"]
    assert (counts["in"], counts["kept"], counts["dead"]) == (16, 12, 1)
    assert update(run, folder) == 0


def test_lines_are_compared_with_those_that_are_there(
    make_run, tmp_path, folder, rows, prose, curation
):
    """A new document loses a line that is there; a changed file keeps those that it had itself."""
    menu, end = "home about contact", "the end of the page"

    def write(name, numbers, *lines):
        texts = ["\n".join((*lines, prose(number))) for number in numbers]
        (tmp_path / "lines" / name).write_text("\n".join(map(_line, texts)))

    (tmp_path / "lines").mkdir()
    run = make_run(tmp_path / "lines", kind="jsonl", deduplicate={"lines": True})
    write("0.jsonl", range(10), menu)
    write("1.jsonl", range(10, 20), end)
    curate(run, folder)
    assert _texts(rows, folder).count(f"{end}\n{prose(10)}") == 1
    write("1.jsonl", range(10, 21), end)
    write("2.jsonl", range(30, 33), menu.title())
    assert update(run, folder) == 2
    bodies = [prose(number) for number in (*range(21), *range(30, 33))]
    bodies[0], bodies[10] = f"{menu}\n{bodies[0]}", f"{end}\n{bodies[10]}"
    assert _texts(rows, folder) == sorted(bodies)
    steps = {each["step"]: each for each in curation(folder)["steps"]}
    assert steps["lines"]["lines"] == 10 + 3


def test_files_and_counts_of_an_update_agree(run, lines, folder, hashes, curation, prose):
    curate(run, folder)
    (lines / "3.jsonl").write_text(_line(prose(70)))
    update(run, folder)
    files = curation(folder)["files"]
    found = hashes(folder)
    assert {name: facts["sha256"] for name, facts in files.items()} == {
        name: digest for name, digest in found.items() if name in files
    }
    assert set(found) - set(files) == {"curation.json", "inputs.json"}


def test_without_a_curation_or_with_other_settings_it_is_refused(
    run, lines, folder, make_run, hashes
):
    with pytest.raises(UserError, match="no curation to add to; run `llm-keras curate` without"):
        update(run, folder)
    curate(run, folder)
    before = hashes(folder)
    other = make_run(lines, kind="jsonl", maximum_dead_fraction=0.5, seed=1)
    with pytest.raises(UserError, match="curated with other settings of seed or corpus"):
        update(other, folder)
    assert hashes(folder) == before
