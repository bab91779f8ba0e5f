"""configs/curation-demo.yaml: twelve kinds of sources through every step, here and on Flink."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_keras import run_file
from llm_keras.run_folder import RunFolder
from pipelines.curate import curate
from tests import packages
from tests.pipelines import runners

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the sources where the run file looks for them."""
    packages.fetch_deb("developers-reference")
    packages.fetch_pip("gensim", "4.4.0")
    place = tmp_path_factory.mktemp("demo")
    (place / ".cache").mkdir()
    make = [sys.executable, ROOT / "examples" / "curation_demo.py"]
    target = place / ".cache" / "curation-demo"
    subprocess.run([*make, target, packages.CACHE], check=True, capture_output=True)
    return place


@pytest.fixture(scope="module")
def run():
    return run_file.load(ROOT / "configs" / "curation-demo.yaml", ["corpus.workers=1"])


@pytest.fixture(scope="module")
def local(place, run):
    """The curation by one local worker; not to be changed."""
    here = Path.cwd()
    os.chdir(place)
    try:
        curate(run, RunFolder(place / "local"))
    finally:
        os.chdir(here)
    return RunFolder(place / "local")


def test_every_source_gives_documents_and_every_step_drops_some(local, run, curation):
    found = curation(local)
    assert len({source.kind for source in run.corpus.sources}) == 12
    kept = {name: counts["kept"] for name, counts in found["sources"].items()}
    # The pages of the archive are those that were saved one by one, which stay.
    assert {name for name, count in kept.items() if not count} == {"web_archive"}
    assert found["sources"]["web_archive"]["dropped"]["duplicate"] > 3
    assert {step["step"]: bool(step["dropped"]) for step in found["steps"]} == {
        "read": True,
        "urls": True,
        "duplicates": True,
        "near": True,
        "finish": True,
    }
    dropped = {reason for each in found["sources"].values() for reason in each["dropped"]}
    assert dropped >= {"opt_out", "blocked_domain", "toxic_words", "contaminated", "redirect"}
    assert sum(counts["dead"] for counts in found["sources"].values()) == 3
    assert found["sources"]["letters"]["redacted"].keys() == {"email", "phone", "iban"}
    assert found["sources"]["pile"]["kept"] == sum(
        count for name, count in found["subsets"].items() if name != "Python"
    )
    assert found["mixture"]["films"]["epochs"] == 4.0
    assert local.corpus_report.exists()


def test_flink_writes_the_same_bytes(place, run, local, hashes, tmp_path_factory):
    (place / "run.yaml").write_text(run_file.dump(run))
    command = [sys.executable, "-m", "pipelines.curate", "--run", "run.yaml", "--output", "flink"]
    with runners.flink(tmp_path_factory.mktemp("flink") / "cluster") as cluster:
        done = subprocess.run(
            [*command, *cluster.arguments],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert cluster.ask("/overview")["jobs-finished"] >= 5
    assert hashes(RunFolder(place / "flink")) == hashes(local)
