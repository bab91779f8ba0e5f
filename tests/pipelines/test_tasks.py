"""Files grouped into what one worker reads at a time."""

import gzip
import json

import pytest

from llm_keras.run_folder import RunFolder
from pipelines import tasks
from pipelines.curate import curate
from pipelines.files import SourceFile
from pipelines.tasks import LEAST_BYTES, MOST_BYTES, largest_first, tasks_of


def files(*sizes, source="s"):
    return [SourceFile(source, f"{number:06d}", b"", size, 0) for number, size in enumerate(sizes)]


def sizes(found):
    return [[SourceFile(*file).bytes for file in task.files] for task in found]


def test_small_files_share_a_task_and_sources_do_not():
    found = tasks_of([files(1, 2, 3, source="a"), files(4, source="b"), []])
    assert sizes(found) == [[1, 2, 3], [4]]
    assert [task.number for task in found] == [0, 1]


@pytest.mark.parametrize(
    ("gigabytes", "expected"), [(0.1, LEAST_BYTES), (4, 4e9 / 128), (1e5, MOST_BYTES)]
)
def test_a_task_is_a_share_of_the_corpus_within_bounds(gigabytes, expected):
    """Of files of a megabyte, whole ones that reach the share."""
    found = tasks_of([files(*[10**6] * 90, int(gigabytes * 1e9) - 90 * 10**6)])
    assert sum(sizes(found)[0]) == pytest.approx(expected, abs=10**6)


def test_a_task_has_so_many_files_at_most():
    assert [len(task.files) for task in tasks_of([files(*[1] * 2500)])] == [1000, 1000, 500]


def test_for_a_quick_look_a_source_is_one_task():
    (task,) = tasks_of([files(*[MOST_BYTES] * 3)], limit=7)
    assert len(task.files) == 3
    assert task.limit == 7


def test_the_largest_is_handed_out_first_with_the_number_it_has():
    found = tasks_of([files(MOST_BYTES, 3 * MOST_BYTES, 2 * MOST_BYTES)])
    assert [task.number for task in largest_first(found)] == [1, 2, 0]


def test_equal_ones_keep_their_order():
    found = tasks_of([files(*[MOST_BYTES] * 5)])
    assert largest_first(found) == found
    assert len(found) == 5


IN_PIECES = {"s": (".jsonl",)}


def test_a_large_file_is_cut_and_its_neighbours_are_not():
    small, large = 10, 3 * MOST_BYTES + 5
    listed = files(small, large, small)
    listed = [file._replace(locator=f"{file.locator}.JSONL") for file in listed]
    size = tasks_of([listed], in_pieces=IN_PIECES)
    pieces = [task.piece for task in size]
    assert pieces == [None, *((place, len(pieces) - 2) for place in range(len(pieces) - 2)), None]
    assert len(pieces) - 2 == large // LEAST_BYTES
    assert sum(task.bytes for task in size) == pytest.approx(large + 2 * small)


@pytest.mark.parametrize(
    ("locator", "path", "limit"),
    [("a.jsonl.gz", b"/a", None), ("a.jsonl", b"gs://b/a.jsonl", None), ("a.jsonl", b"/a", 5)],
)
def test_a_file_is_whole_if_it_is_packed_or_elsewhere_or_for_a_quick_look(locator, path, limit):
    file = SourceFile("s", locator, path, 9 * MOST_BYTES, 0)
    (task,) = tasks_of([[file]], limit, IN_PIECES)
    assert task.piece is None


def test_a_curation_of_pieces_is_that_of_whole_files(make_run, prose, tmp_path, monkeypatch):
    """With lines that go beyond a piece, one that is dead, copies, and first lines that stay."""
    texts = [*map(prose, range(40)), prose(3), prose(39) + " more", "word " * 3000]
    lines = [json.dumps({"text": f"the same\n{text}\nagain"}) for text in texts]
    source = tmp_path / "letters.jsonl"
    source.write_text("\n".join([*lines[:20], "no json", *lines[20:]]))
    run = make_run(
        source,
        "jsonl",
        maximum_dead_fraction=0.5,
        deduplicate={"lines": True, "near": {}, "minimum_words_left": 1},
    )
    found = []
    for least in (LEAST_BYTES, 1000):
        monkeypatch.setattr(tasks, "LEAST_BYTES", least)
        folder = RunFolder(tmp_path / str(least))
        curate(run, folder)
        written = (folder.corpus / "documents").iterdir()
        curation = json.loads((folder.corpus / "curation.json").read_text())
        counts = curation["sources"]["s"]
        assert counts.pop("first_dead").popitem()[1].startswith("not valid JSON")
        found.append(({path.name: gzip.decompress(path.read_bytes()) for path in written}, counts))
    assert found[0] == found[1]
    assert found[0][1]["dead"] == 1
    assert found[0][1]["dropped"]["near_duplicate"] + found[0][1]["dropped"]["duplicate"] >= 2
