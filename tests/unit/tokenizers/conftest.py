"""A small run folder with curated documents, as stage `curate` leaves them."""

import gzip
import json
from pathlib import Path

import hypothesis
import pytest

from llm_keras.config import Run
from llm_keras.run_folder import RunFolder

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

ADDRESSES = sorted(Path("examples/data/state_of_the_union").resolve().glob("*.txt"))


@pytest.fixture(scope="session")
def addresses():
    """Three whole addresses: each one line of tens of thousands of characters."""
    return [path.read_text(encoding="utf-8") for path in ADDRESSES[:3]]


@pytest.fixture
def make_folder(tmp_path):
    """Writes texts as curated training documents, spread over some files."""

    def make(texts, files=2, name="run"):
        folder = RunFolder(tmp_path / name)
        folder.documents.mkdir(parents=True)
        rows = [{"id": f"letters:{number}", "text": text} for number, text in enumerate(texts)]
        for number in range(files):
            path = folder.documents / f"train-{number:05d}-of-{files:05d}.jsonl.gz"
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows[number::files])
        return folder

    return make


@pytest.fixture
def make_run():
    """A run with the given tokenizer section."""

    def make(**tokenizer):
        return Run.model_validate(
            {
                "corpus": {"sources": [{"name": "letters", "kind": "text", "path": "letters"}]},
                "tokenizer": {"vocabulary_size": 400, **tokenizer},
                "records": {"sequence_length": 8},
                "model": {
                    "num_layers": 1,
                    "hidden_dim": 8,
                    "intermediate_dim": 8,
                    "num_query_heads": 1,
                },
                "training": {"total_steps": 100, "global_batch_size": 1},
            }
        )

    return make
