"""A small complete run on sources of a test's own."""

import gzip
import hashlib
import json
import random

import pytest

from llm_keras import config
from llm_keras.run_folder import RunFolder
from tests.pipelines.smallest import SMALLEST

WORDS = (
    "the of and to in that it was for on are as with his they at be this from have or by one had"
    " not but what all were when we there can an your which their said if do will each about how"
    " up out them then she many some so these would other into has more her two like him see time"
    " could no make than first been its who now people my made over did down only way find use"
    " may water long little very after words called just where most know government country law"
)


@pytest.fixture(scope="session")
def prose():
    """Makes an English-looking text of its own for each number, 60 to 120 words long."""

    def make(number: int) -> str:
        random_, words = random.Random(number), WORDS.split()
        return f"Letter {number}. " + " ".join(
            random_.choice(words) for _ in range(random_.randint(60, 120))
        )

    return make


@pytest.fixture(scope="session")
def make_run():
    """Makes the settings of a run on one source `s` of `kind` at `path`; more as keywords."""

    def make(path, kind="text", *, seed=0, source=None, **corpus):
        sources = [{"name": "s", "kind": kind, "path": str(path)} | (source or {})]
        return config.Run.model_validate(
            SMALLEST
            | {
                "seed": seed,
                "corpus": {"sources": sources, "validation_fraction": 0.3} | corpus,
            }
        )

    return make


@pytest.fixture(scope="module")
def letters(tmp_path_factory, prose):
    """A folder of 24 readable letters."""
    path = tmp_path_factory.mktemp("letters")
    for number in range(24):
        (path / f"{number}.txt").write_text(prose(number))
    return path


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="session")
def rows():
    """All rows of the gzip files of a folder, file after file."""

    def read(place, pattern="*"):
        return [
            json.loads(line)
            for path in sorted(place.glob(f"{pattern}.jsonl.gz"))
            for line in gzip.decompress(path.read_bytes()).split(b"\n")
            if line
        ]

    return read


@pytest.fixture(scope="session")
def hashes():
    """Every file of a run's corpus, by name, hashed; not the page, which names the run."""

    def read(folder):
        return {
            str(path.relative_to(folder.corpus)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.corpus.rglob("*"))
            if path.is_file() and path != folder.corpus_report
        }

    return read


@pytest.fixture(scope="session")
def curation():
    """The content of curation.json."""
    return lambda folder: json.loads(folder.curation.read_text())
