"""A run to plan."""

import pytest

from llm_keras import config


@pytest.fixture
def make_run(tmp_path):
    """Builds a run; keyword arguments change sections' fields."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_bytes(b"x" * 5_000)
    (tmp_path / "texts" / "inner").mkdir()
    (tmp_path / "texts" / "inner" / "two.txt").write_bytes(b"x" * 3_000)

    def make(model=None, training=None, corpus=None, records=None):
        source = {"name": "texts", "kind": "text", "path": str(tmp_path / "texts")}
        shape = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
        steps = {"total_steps": 100, "global_batch_size": 8, "schedule": {"warmup_steps": 10}}
        return config.Run.model_validate(
            {
                "corpus": {"sources": [source], "validation_fraction": 0.25, **(corpus or {})},
                "tokenizer": {"vocabulary_size": 400},
                "records": {"sequence_length": 32} | (records or {}),
                "model": shape | (model or {}),
                "training": steps | (training or {}),
            }
        )

    return make
