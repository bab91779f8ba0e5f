"""The same bytes on every runner: local, Prism, Flink, and Flink with a worker that is killed."""

import gzip
import json
import shutil
import subprocess
import sys
import threading

import pytest

from llm_keras import run_file
from llm_keras.config import Run
from llm_keras.data import manifest as manifests
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import train_tokenizer
from pipelines.curate import curate
from pipelines.tokenize import tokenize
from tests.pipelines import runners
from tests.pipelines.smallest import SMALLEST

LETTERS, PAGES = 60, 60


@pytest.fixture(scope="module")
def sources(tmp_path_factory, prose):
    """Letters in files and pages in JSON lines: some equal, some nearly, some unusable."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "letters").mkdir()
    (folder / "pages").mkdir()
    for number in range(LETTERS):
        text = prose(number) if number % 10 else prose(number + 1).replace("Letter", "Note", 1)
        (folder / "letters" / f"{number:03}.txt").write_text(text)
    for part in range(3):
        rows = [{"text": prose(number), "url": f"page{number}"} for number in range(part, PAGES, 3)]
        lines = [*map(json.dumps, rows), "not JSON", json.dumps({"text": "short"})]
        path = folder / "pages" / f"{part}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return folder


@pytest.fixture(scope="module")
def make_run(sources):
    def make(workers=1):
        return Run.model_validate(
            SMALLEST
            | {
                "corpus": {
                    "sources": [
                        {"name": "letters", "kind": "text", "path": str(sources / "letters")},
                        {
                            "name": "pages",
                            "kind": "jsonl",
                            "path": str(sources / "pages"),
                            "weight": 0.5,
                        },
                    ],
                    "validation_fraction": 0.2,
                    "test_fraction": 0.1,
                    "maximum_dead_fraction": 0.2,
                    "deduplicate": {"exact": True, "near": {"bands": 20, "rows": 4}},
                    "mixture": {},
                    "shards": 3,
                    "workers": workers,
                },
                "records": {
                    "sequence_length": 32,
                    "shards": 4,
                    "packing": "best_fit",
                    "workers": workers,
                },
            }
        )

    return make


@pytest.fixture(scope="module")
def local(make_run, tmp_path_factory):
    """The folder of a run on one local worker; not to be changed."""
    folder = RunFolder(tmp_path_factory.mktemp("local") / "run")
    curate(make_run(), folder)
    train_tokenizer(make_run(), folder)
    tokenize(make_run(), folder)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with runners.flink(tmp_path_factory.mktemp("flink") / "cluster") as cluster:
        yield cluster


def launch(stage, run, folder, arguments):
    """Starts a stage as a Beam job, in a process of its own.

    A worker whose runner hangs up may say so, after all is done.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    settings = folder.root / "settings.yaml"
    settings.write_text(run_file.dump(run))
    command = [sys.executable, "-m", f"pipelines.{stage}", "--run", str(settings)]
    done = subprocess.run(
        [*command, "--output", str(folder.root), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "error:" not in done.stderr


def copied_tokenizer(local, folder):
    folder.tokenizer_model.parent.mkdir(parents=True)
    shutil.copy(local.tokenizer_model, folder.tokenizer_model)


def assert_same(folder, local, hashes):
    found, expected = hashes(folder), hashes(local)
    assert found == expected
    assert manifests.read(folder.corpus) == manifests.read(local.corpus)


def test_there_is_something_to_compare(local, curation):
    """Every kind of output has something in it, or equal bytes would say little."""
    counted = curation(local)["sources"]
    dropped = {reason for each in counted.values() for reason, n in each["dropped"].items() if n}
    assert {"duplicate", "near_duplicate", "too_few_words"} <= dropped
    assert sum(each["dead"] for each in counted.values()) == 3
    manifest = manifests.read(local.corpus)
    assert {split for split, counts in manifest.splits.items() if counts.documents} == {
        "train",
        "validation",
        "test",
    }
    assert manifest.packing == "best_fit"
    assert manifest.splits["train"].rows > 50


def test_four_local_workers(make_run, local, hashes, tmp_path):
    folder = RunFolder(tmp_path / "run")
    curate(make_run(workers=4), folder)
    copied_tokenizer(local, folder)
    tokenize(make_run(workers=4), folder)
    assert_same(folder, local, hashes)


def test_prism(make_run, local, hashes, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with runners.prism(tmp_path / "prism") as server:
        launch("curate", make_run(), folder, server.arguments)
        steps = len(server.finished_jobs())
        copied_tokenizer(local, folder)
        launch("tokenize", make_run(), folder, server.arguments)
        assert len(server.finished_jobs()) == steps + 1 >= 4
    shutil.rmtree(tmp_path / "prism")
    assert_same(folder, local, hashes)


def test_flink(make_run, local, hashes, tmp_path, cluster):
    folder = RunFolder(tmp_path / "run")
    before = cluster.ask("/overview")
    assert (before["taskmanagers"], before["slots-total"]) == (2, 4)
    launch("curate", make_run(), folder, cluster.arguments)
    copied_tokenizer(local, folder)
    launch("tokenize", make_run(), folder, cluster.arguments)
    after = cluster.ask("/overview")
    assert after["jobs-finished"] - before["jobs-finished"] >= 4
    assert after["jobs-failed"] == before["jobs-failed"] == 0
    assert_same(folder, local, hashes)


def test_flink_with_a_worker_killed_in_mid_job(make_run, local, hashes, tmp_path, cluster):
    folder = RunFolder(tmp_path / "run")
    copied_tokenizer(local, folder)
    known, killed = cluster.jobs(), []
    killer = threading.Thread(target=lambda: killed.append(cluster.kill_one_at_work(known)))
    killer.start()
    launch("curate", make_run(), folder, cluster.arguments)
    killer.join()
    (job,) = killed
    assert cluster.jobs()[job] == "FINISHED"
    assert cluster.ask("/overview")["taskmanagers"] == 1
    failures = cluster.ask(f"/jobs/{job}/exceptions")
    assert "task-manager-" in json.dumps(failures["exceptionHistory"])
    launch("tokenize", make_run(), folder, cluster.arguments)
    assert_same(folder, local, hashes)
