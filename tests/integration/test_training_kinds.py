"""The recipe of each kind of model on its own kind of rows, from start to end and resumed."""

import json
import random
import shutil

import numpy as np
import pytest

from llm_keras import config, models
from llm_keras.data.document import Document, write_json_lines
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import train_tokenizer
from llm_keras.training import checkpoint_files, checkpoints, train
from llm_keras.training.step_metrics import BY_THE_CLOCK
from pipelines.tokenize import tokenize

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
STEPS, SAVE = 12, 6
EXPERTS = {"num_experts": 2, "experts_per_token": 1, "capacity_factor": 1.0}

#: Kind of training -> what differs in the run file, and whether documents are pairs.
WAYS = {
    "pairs": (
        {
            "records": {"buckets": [16, 32]},
            "model": {"kind": "encoder_decoder", "dropout": 0.1},
            "training": {
                "label_smoothing": 0.1,
                "schedule": {"kind": "noam", "warmup_steps": 4},
                "gradient_accumulation_steps": 2,
            },
        },
        True,
    ),
    "masks": (
        {
            "tokenizer": {"user_symbols": ["<mask>"]},
            "model": {"kind": "masked_lm", "dropout": 0.1, "experts": EXPERTS},
            "training": {"optimizer": {"kind": "muon", "learning_rate": 1e-2}},
        },
        False,
    ),
    "answers by LoRA": (
        {"training": {"lora": {"rank": 2, "targets": ["query", "down"]}, "ema_decay": 0.9}},
        True,
    ),
}


def merged(below, above):
    return {key: {**below.get(key, {}), **above.get(key, {})} for key in (*below, *above)}


def settings(way, **training):
    changes, has_targets = WAYS[way]
    source = {"name": "a", "kind": "text", "path": "nowhere"}
    if has_targets:
        source |= {"kind": "jsonl", "target_field": "answer"}
    base = {
        "corpus": {"sources": [source]},
        "tokenizer": {"vocabulary_size": 300},
        "records": {"sequence_length": 32, "shards": 1},
        "model": {
            "num_layers": 1, "hidden_dim": 16, "intermediate_dim": 32, "num_query_heads": 2,
        },
        "training": {
            "total_steps": STEPS,
            "global_batch_size": 8,
            "optimizer": {"learning_rate": 3e-2},
            "schedule": {"warmup_steps": 2},
            "checkpoint_every_steps": SAVE,
            "validate_every_steps": SAVE,
        },
    }  # fmt: skip
    return config.Run.model_validate(merged(merged(base, changes), {"training": training}))


def write_corpus(folder, run, has_targets):
    """Numbers, in pairs with the same numbers backwards; through the real stages."""
    draw = random.Random(0)
    folder.documents.mkdir(parents=True)
    for split, count in (("train", 120), ("validation", 24)):
        rows = []
        for number in range(count):
            words = draw.choices(NUMBERS, k=draw.randint(1, 4))
            target = " ".join(reversed(words)) if has_targets else None
            text = " ".join(words)
            rows.append(Document(id=f"a:{number:024x}", text=text, source="a", target=target))
        with (folder.documents / f"{split}-00000-of-00001.jsonl.gz").open("wb") as file:
            write_json_lines(file, [row.as_dict() for row in rows])
    train_tokenizer(run, folder)
    tokenize(run, folder)


@pytest.fixture(scope="module", params=WAYS)
def finished(request, tmp_path_factory):
    """The way, its run file, and a folder in which it was trained to the end."""
    way = request.param
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    run = settings(way)
    write_corpus(folder, run, WAYS[way][1])
    if run.training.lora is not None:
        checkpoints.save_initial(folder, models.build(run), {"source": "a test"})
    train(run, folder)
    return way, run, folder


def trace(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: line[key] for key in line if key not in BY_THE_CLOCK} for line in lines]


def test_it_learns(finished):
    way, run, folder = finished
    lines, judged = trace(folder.metrics), trace(folder.validation_metrics)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["step"] for line in judged] == [SAVE, STEPS]
    assert ("dropped_fraction" in lines[0]) == (run.model.experts is not None)
    first, last = (np.mean([line["loss"] for line in part]) for part in (lines[:3], lines[-3:]))
    assert last < first, way
    network = models.build(run)
    assert checkpoints.load_network(folder, network) == STEPS


def test_a_resumed_run_is_the_same_bit_for_bit(finished, tmp_path):
    _, run, folder = finished
    copy = RunFolder(shutil.copytree(folder.root, tmp_path / "copy"))
    shutil.rmtree(checkpoint_files.folder_of(copy.checkpoints, STEPS))
    train(run, copy)
    assert trace(copy.metrics) == trace(folder.metrics)
    assert trace(copy.validation_metrics) == trace(folder.validation_metrics)
    states = [checkpoint_files.newest(each.checkpoints)[0] for each in (copy, folder)]
    assert states[0].step == STEPS
    assert states[0].manifest["files"] == states[1].manifest["files"]


def test_what_does_not_fit_is_refused(finished, tmp_path):
    way, run, folder = finished
    copy = RunFolder(shutil.copytree(folder.root, tmp_path / "copy"))
    shutil.rmtree(copy.checkpoints)
    if way == "pairs":
        shape = run.model.model_copy(update={"kind": "causal_lm"})
        run, message = run.model_copy(update={"model": shape}), "learns from packed rows"
    elif way == "masks":
        tokenizer = run.tokenizer.model_copy(update={"user_symbols": ()})
        run = run.model_copy(update={"tokenizer": tokenizer})
        copy.tokenizer_model.unlink()
        train_tokenizer(run, copy)
        message = "records made with tokenizer"
    else:
        message = "training.lora adds to weights that are trained already"
    with pytest.raises(UserError, match=message):
        train(run, copy)
