"""The curate stage again, elsewhere, and on other runners: always the same bytes.

What the other test files show of one local worker holds for all by equality.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import run_file
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from pipelines import curate as stage
from pipelines import outcome, stepping, storage
from pipelines.counts import merge
from pipelines.curate import curate
from pipelines.options import run_pipeline
from pipelines.quiet import beam


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, prose):
    """Several files with good, bad, equal and unreadable documents."""
    place = tmp_path_factory.mktemp("corpus")
    for number in range(6):
        texts = [prose(i) for i in range(number * 10, number * 10 + 12)] + [f"short {number}"]
        lines = [json.dumps({"text": text}) for text in texts] + ["not JSON"]
        (place / f"{number}.jsonl").write_text("\n".join(lines))
    return place


@pytest.fixture(scope="module")
def run(corpus, make_run):
    return make_run(corpus, kind="jsonl", maximum_dead_fraction=0.5)


@pytest.fixture(scope="module")
def expected(run, hashes, tmp_path_factory):
    """Hashes of what one local worker writes."""
    folder = RunFolder(tmp_path_factory.mktemp("one"))
    curate(run, folder)
    found = hashes(folder)
    assert len(found) == 4 * 4 + 2
    return found


def test_two_workers_write_the_same_bytes_and_print_nothing(
    corpus, make_run, folder, expected, hashes, capfd
):
    run = make_run(corpus, kind="jsonl", maximum_dead_fraction=0.5, workers=2)
    curate(run, folder)
    assert hashes(folder) == expected
    assert capfd.readouterr() == ("", "")


def test_launched_the_beam_way_it_writes_the_same_bytes(run, folder, expected, hashes, tmp_path):
    """On Beam's portable runner, from a process of its own."""
    (tmp_path / "run.yaml").write_text(run_file.dump(run))
    command = [sys.executable, "-m", "pipelines.curate"]
    command += ["--run", str(tmp_path / "run.yaml"), "--output", str(folder.root)]
    command += ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert hashes(folder) == expected


def test_launched_alone_a_mistake_is_one_line_and_code_2(make_run, folder, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(run_file.dump(make_run(tmp_path / "nowhere")))
    arguments = ["--run", str(tmp_path / "run.yaml"), "--output", str(folder.root)]
    assert stage.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: corpus source s: no such file or folder")
    assert said.count("\n") == 1


def test_neither_place_nor_order_of_the_files_changes_a_document(
    corpus, make_run, folder, expected, hashes, tmp_path, monkeypatch
):
    listed = stage.files.find

    def backwards(source):
        listing = listed(source)
        return listing._replace(files=listing.files[::-1])

    monkeypatch.setattr(stage.files, "find", backwards)
    (tmp_path / "elsewhere").symlink_to(corpus)
    run = make_run(tmp_path / "elsewhere", kind="jsonl", maximum_dead_fraction=0.5)
    curate(run, folder)
    found = hashes(folder)
    assert found.pop("curation.json") != expected["curation.json"]  # the path is a setting
    assert found == {name: value for name, value in expected.items() if name != "curation.json"}


def test_other_shards_hold_the_same_documents_and_no_stale_ones(
    corpus, make_run, folder, hashes, rows, curation
):
    found = []
    for shards in (5, 2):
        curate(make_run(corpus, kind="jsonl", maximum_dead_fraction=0.5, shards=shards), folder)
        assert set(hashes(folder)) == {*curation(folder)["files"], "curation.json", "inputs.json"}
        assert len(hashes(folder)) == 4 * shards + 2
        found.append(sorted(rows(folder.documents), key=lambda each: each["id"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("last", ["read", "duplicates", "finish"])
def test_stopped_in_any_step_it_goes_on_there(run, folder, expected, hashes, monkeypatch, last):
    """Steps that were finished are not done again, and the result is what it would have been."""
    done = []
    perform = stepping.Steps._run

    def stop(steps, place, elements, transform):
        counts = perform(steps, place, elements, transform)
        done.append(Path(place).name)
        if done[-1] == last:
            raise KeyboardInterrupt
        return counts

    monkeypatch.setattr(stepping.Steps, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        curate(run, folder)
    assert done[-1] == last
    assert not folder.curation.exists()
    finished = len(done) - 1  # the last one did not come to its mark
    last = None
    curate(run, folder)
    assert done[finished + 1 :] == ["read", "duplicates", "finish"][finished:]
    assert hashes(folder) == expected


def test_killed_after_a_step_it_goes_on_and_leaves_nothing_else(
    run, folder, expected, hashes, tmp_path
):
    """A process of its own, killed by the kernel; what it had read is not read again."""
    (tmp_path / "run.yaml").write_text(run_file.dump(run))
    command = [sys.executable, "-m", "pipelines.curate", "--run", str(tmp_path / "run.yaml")]
    process = subprocess.Popen([*command, "--output", str(folder.root)])
    finished = folder.corpus / ".curating" / "read" / stepping.SUCCESS
    while not finished.exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert finished.exists()
    assert not folder.curation.exists()
    (part,) = finished.parent.glob("part-*")
    read_at = part.stat().st_mtime_ns
    seen = []
    transform = stepping.Steps._run

    def watch(steps, place, elements, how):
        seen.append((Path(place).name, part.stat().st_mtime_ns))
        return transform(steps, place, elements, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping.Steps, "_run", watch)
        curate(run, folder)
    assert {at for _, at in seen} == {read_at}
    assert "read" not in {name for name, _ in seen}
    assert hashes(folder) == expected


def test_stopped_while_publishing_it_is_absent_and_then_complete(
    run, folder, expected, hashes, monkeypatch
):
    curate(run, folder)
    moves = []
    move = storage.move_tree

    def stop_at_the_second(source, target):
        moves.append(Path(target).name)
        if len(moves) == 2:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(storage, "move_tree", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        curate(run, folder)
    monkeypatch.undo()
    assert moves == ["documents", "rejected"]
    assert not folder.curation.exists()
    curate(run, folder)
    assert hashes(folder) == expected


def test_a_second_process_is_refused(run, folder, expected, hashes):
    folder.corpus.mkdir(parents=True)
    handle = os.open(folder.corpus, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process is at work here"):
        curate(run, folder)
    os.close(handle)
    curate(run, folder)
    assert hashes(folder) == expected


def test_a_limit_reads_as_many_of_each_source(make_run, corpus, folder, curation):
    run = make_run(corpus, kind="jsonl", maximum_dead_fraction=0.5)
    curate(run, folder, limit=20)
    assert curation(folder)["sources"]["s"]["in"] == 20


def test_the_settings_hash_ignores_workers_only(letters, make_run):
    one, two, seed, shards = (
        outcome.settings_hash(make_run(letters, **settings))
        for settings in ({"workers": 1}, {"workers": 2}, {"seed": 1}, {"shards": 9})
    )
    assert one == two
    assert len({one, seed, shards}) == 3


leaves = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
trees = st.lists(st.dictionaries(st.sampled_from("xyz"), leaves, max_size=3), max_size=6)


@given(trees, st.randoms())
def test_merge_does_not_depend_on_order_or_grouping(trees, random_):
    shuffled = random_.sample(trees, len(trees))
    cut = random_.randint(0, len(trees))
    assert merge(trees) == merge([merge(shuffled[:cut]), merge(shuffled[cut:])])


def test_a_worker_that_dies_is_an_error_not_a_wait(tmp_path):
    """In a process of its own: threads that served the worker fail after the error."""
    script = tmp_path / "die.py"
    script.write_text(
        "import os, pathlib\n"
        "from pipelines.options import WorkerDiedError, run_pipeline\n"
        "from pipelines.quiet import beam\n"
        "try:\n"
        f"    with run_pipeline(2, (), pathlib.Path({str(tmp_path / 'log')!r})) as pipeline:\n"
        "        _ = pipeline | beam.Create([1, 2, 3]) | beam.Map(lambda _: os._exit(9))\n"
        "except WorkerDiedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120
    )
    assert "return code 9" in done.stdout
    assert "fewer workers" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_in_the_pipeline_is_raised_to_the_caller(tmp_path):
    with (
        pytest.raises(Exception, match="division by zero"),
        run_pipeline(1, (), tmp_path / "log") as pipeline,
    ):
        _ = pipeline | beam.Create([0]) | beam.Map(lambda n: 1 / n)


def test_importing_the_stage_loads_no_tensorflow_and_says_nothing():
    code = (
        "import logging, sys, pipelines.curate\n"
        "assert 'tensorflow' not in sys.modules, 'tensorflow was imported'\n"
        "assert not logging.getLogger().handlers, 'a handler was installed'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
