"""The tokenize stage: the documents of a corpus, packed; the same bytes on any workers."""

import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from llm_keras import run_file
from llm_keras.config import Run
from llm_keras.data import manifest as manifests
from llm_keras.data.document import Document, write_json_lines
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer, train_tokenizer
from pipelines import document_index, spill
from pipelines import tokenize as stage
from pipelines.tokenize import tokenize
from tests.pipelines.smallest import SMALLEST

ODD = ["", "<s></s>", "\u2581 \0\n", "\U0001f469\u200d\U0001f467 " * 20]


@pytest.fixture(scope="module")
def make_settings():
    def make(**records):
        return Run.model_validate(
            SMALLEST
            | {
                "corpus": {"sources": [{"name": "a", "kind": "text", "path": "letters"}]},
                "records": {"sequence_length": 16, "shards": 8} | records,
            }
        )

    return make


def write_curated(folder, documents, files=3):
    """Curated documents as stage `curate` leaves them; a tenth is for validation."""
    folder.documents.mkdir(parents=True)
    for split, chosen in (("train", documents[len(documents) // 10 :]), ("validation", documents)):
        part = chosen if split == "train" else documents[: len(documents) // 10]
        for number in range(files):
            name = f"{split}-{number:05d}-of-{files:05d}.jsonl.gz"
            with (folder.documents / name).open("wb") as file:
                write_json_lines(file, [each.as_dict() for each in part[number::files]])


@pytest.fixture(scope="module")
def documents(prose):
    texts = [prose(number) for number in range(60)] + ODD
    return [
        Document(id=f"{'ab'[number % 2]}:{number:024x}", text=text, source="ab"[number % 2])
        for number, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def curated(tmp_path_factory, documents, make_settings):
    """A run folder that is ready to be tokenized; copy it before use."""
    folder = RunFolder(tmp_path_factory.mktemp("curated"))
    write_curated(folder, documents)
    train_tokenizer(make_settings(), folder)
    return folder


@pytest.fixture
def ready(curated, tmp_path):
    shutil.copytree(curated.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def finished(curated, make_settings, tmp_path_factory):
    """The folder of one whole run; not to be changed."""
    root = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(curated.root, root)
    tokenize(make_settings(), RunFolder(root))
    return RunFolder(root)


def shards(hashes, folder):
    return {name: value for name, value in hashes(folder).items() if "/" not in name}


def mistake(*arguments):
    with pytest.raises(UserError) as caught:
        tokenize(*arguments)
    assert "\n" not in str(caught.value)
    assert "[while running" not in str(caught.value)
    return str(caught.value)


def test_every_document_is_there_once_with_bos_and_eos(finished, documents):
    tokenizer = SentencePieceTokenizer(finished.tokenizer_model)
    for split, chosen in (("train", documents[6:]), ("validation", documents[:6])):
        store = RecordStore(finished.corpus, split, tokenizer.sha256, verify=True)
        found = list(store.documents())
        assert all(ids[0] == tokenizer.bos_id and ids[-1] == tokenizer.eos_id for ids in found)
        texts = [tokenizer.decode(ids[1:-1]) for ids in found]
        assert sorted(texts) == sorted(document.text for document in chosen)
        expected = {(2, *tokenizer.encode(each.text), 3) for each in chosen}
        assert {tuple(ids.tolist()) for ids in found} == expected


def test_the_manifest_counts_what_is_there(finished, documents):
    tokenizer = SentencePieceTokenizer(finished.tokenizer_model)
    manifest = manifests.read(finished.corpus)
    sources = {"a": [0, 0], "b": [0, 0]}
    for split, chosen in (("train", documents[6:]), ("validation", documents[:6])):
        store, counts = RecordStore(finished.corpus, split), manifest.splits[split]
        rows = store.rows(np.arange(store.num_rows))
        same = (rows["segments"][:, 1:] == rows["segments"][:, :-1]) & (rows["segments"][:, 1:] > 0)
        tokens = [len(tokenizer.encode(document.text)) for document in chosen]
        assert counts.targets == same.sum() == counts.tokens - counts.documents
        assert counts.tokens == sum(tokens) + 2 * len(chosen)
        assert counts.documents == len(chosen)
        assert counts.bytes == sum(len(document.text.encode()) for document in chosen)
        assert counts.bytes_per_token == pytest.approx(counts.bytes / sum(tokens), abs=1e-4)
        for document, size in zip(chosen, tokens, strict=True):
            sources[document.source][0] += 1
            sources[document.source][1] += size + 2
    assert {
        name: [counts.documents, counts.tokens] for name, counts in manifest.sources.items()
    } == sources
    assert manifest.tokenizer_sha256 == tokenizer.sha256
    assert [shard.split for shard in manifest.shards] == ["train"] * 8 + ["validation"] * 2


def test_documents_are_mixed_and_spread(finished, documents):
    """Neighbours in the corpus are no neighbours in a shard, and no shard has them all."""
    tokenizer = SentencePieceTokenizer(finished.tokenizer_model)
    number_of = {document.text: number for number, document in enumerate(documents)}
    store = RecordStore(finished.corpus, "train")
    found = [number_of[tokenizer.decode(ids[1:-1])] for ids in store.documents()]
    assert found != sorted(found)
    assert max(shard.rows for shard in store.shards) < store.num_rows / 2


def test_two_workers_write_the_same_bytes_and_print_nothing(
    ready, finished, make_settings, hashes, capfd
):
    tokenize(make_settings(workers=2), ready)
    assert hashes(ready) == hashes(finished)
    assert capfd.readouterr() == ("", "")


def test_launched_the_beam_way_it_writes_the_same_bytes_without_tensorflow(
    ready, finished, make_settings, hashes, tmp_path
):
    """On Beam's portable runner, in a process that could not import TensorFlow."""
    (tmp_path / "run.yaml").write_text(run_file.dump(make_settings()))
    (tmp_path / "tensorflow.py").write_text("raise ImportError('a worker has no TensorFlow')")
    command = [sys.executable, "-m", "pipelines.tokenize"]
    command += ["--run", str(tmp_path / "run.yaml"), "--output", str(ready.root)]
    command += ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert hashes(ready) == hashes(finished)


def test_the_bytes_do_not_depend_on_how_the_documents_lie(
    curated, finished, documents, make_settings, hashes, tmp_path
):
    folder = RunFolder(tmp_path / "other")
    rows = documents[:6][::-1] + documents[6:][::-1]
    write_curated(folder, rows, files=1)
    folder.tokenizer_model.parent.mkdir()
    shutil.copy(curated.tokenizer_model, folder.tokenizer_model)
    tokenize(make_settings(), folder)
    assert shards(hashes, folder) == shards(hashes, finished)


def test_another_seed_is_another_order_of_the_same_documents(ready, finished, make_settings):
    tokenize(make_settings().model_copy(update={"seed": 1}), ready)
    one, two = (list(RecordStore(each.corpus, "train").documents()) for each in (ready, finished))
    assert sorted(ids.tolist() for ids in one) == sorted(ids.tolist() for ids in two)
    assert [ids.tolist() for ids in one] != [ids.tolist() for ids in two]


def test_fewer_shards_leave_none_of_the_old(ready, make_settings):
    for count in (8, 2):
        tokenize(make_settings(shards=count), ready)
        assert len(list(ready.corpus.glob("train-*"))) == count
        assert RecordStore(ready.corpus, "train", verify=True).num_rows
    assert len(list(ready.corpus.glob("validation-*"))) == 1


def test_more_shards_than_documents_make_empty_ones(ready, make_settings):
    tokenize(make_settings(shards=200), ready)
    store = RecordStore(ready.corpus, "train", verify=True)
    assert len(store.shards) == 200
    assert min(shard.rows for shard in store.shards) == 0
    assert len(list(store.documents())) == 58


def test_nothing_but_shards_and_manifest_is_left(finished, curated, hashes):
    new = hashes(finished).keys() - hashes(curated).keys()
    shards = [shard.file for shard in manifests.read(finished.corpus).shards]
    indexes = {document_index.file_name(shard) for shard in shards}
    assert new == {"manifest.json", *shards} | indexes


def test_a_kill_before_the_manifest_leaves_no_corpus_and_the_next_run_is_whole(
    ready, finished, make_settings, hashes
):
    """At the worst moment: the shards are in place, the manifest is not."""
    tokenize(make_settings(shards=9), ready)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from llm_keras.config import Run\n"
        "from llm_keras.run_folder import RunFolder\n"
        "from pipelines.tokenize import tokenize\n"
        "replace = Path.replace\n"
        "def kill(path, target):\n"
        "    if Path(target).parts[-2:] == ('corpus', 'manifest.json'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(path, target)\n"
        "Path.replace = kill\n"
        f"tokenize(Run.model_validate_json(sys.stdin.read()), RunFolder(Path({str(ready.root)!r})))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        input=make_settings().model_dump_json(),
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list(ready.corpus.glob("train-*.tfrecord"))) == 8
    with pytest.raises(UserError, match="no manifest"):
        RecordStore(ready.corpus, "train")
    tokenize(make_settings(), ready)
    assert hashes(ready) == hashes(finished)


def test_a_full_disk_is_one_line_and_the_earlier_corpus_stays(
    ready, make_settings, hashes, monkeypatch
):
    tokenize(make_settings(), ready)
    before = hashes(ready)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.storage.os.fsync", full)
    assert mistake(make_settings(shards=2), ready).startswith(f"{ready.corpus}: no space left")
    assert hashes(ready) == before


def test_a_corpus_folder_that_cannot_be_written_is_one_line(ready, make_settings):
    (ready.corpus / ".tokenizing").write_text("a file in the place of the working folder")
    message = mistake(make_settings(), ready)
    assert message.startswith(f"{ready.corpus}: cannot be written: File exists")


def test_a_second_writer_is_refused(ready, make_settings, hashes):
    before = hashes(ready)
    with stage.working_folder(str(ready.corpus)):
        assert "another process is at work here" in mistake(make_settings(), ready)
    assert hashes(ready) == before
    tokenize(make_settings(), ready)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_document_file_is_named(ready, make_settings, workers):
    path = sorted(ready.documents.glob("train-*"))[1]
    path.write_bytes(path.read_bytes()[:-30])
    message = mistake(make_settings(workers=workers), ready)
    assert message == f"{path}: damaged (EOFError); run `llm-keras curate` again"
    assert not ready.manifest.exists()


def test_a_missing_document_file_is_noticed(ready, make_settings):
    sorted(ready.documents.glob("train-*"))[1].unlink()
    message = mistake(make_settings(), ready)
    assert "expected 3 files like train-00000-of-00003.jsonl.gz, found 2" in message


@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_documents_name_the_stage_that_makes_them(ready, make_settings, split):
    for path in ready.documents.glob(f"{split}-*"):
        path.unlink()
    assert f"no {split} documents; run `llm-keras curate` first" in mistake(make_settings(), ready)


def test_no_tokenizer_names_the_stage_that_makes_it(ready, make_settings):
    ready.tokenizer_model.unlink()
    assert "run `llm-keras tokenizer` first" in mistake(make_settings(), ready)


def test_a_split_too_small_for_one_row_is_refused_with_both_numbers(ready, make_settings, hashes):
    tokens = 0
    for path in ready.documents.glob("validation-*"):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            tokenizer = SentencePieceTokenizer(ready.tokenizer_model)
            tokens += len(tokenizer.encode(json.loads(line)["text"])) + 2
    before = hashes(ready)
    message = mistake(make_settings(sequence_length=tokens), ready)
    assert f"the validation split has {tokens} tokens" in message
    assert f"sequence_length {tokens} takes {tokens + 1}" in message
    assert hashes(ready) == before
    tokenize(make_settings(sequence_length=tokens - 1), ready)
    assert RecordStore(ready.corpus, "validation").num_rows >= 1


def test_launched_alone_a_mistake_is_one_line_and_code_2(make_settings, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(run_file.dump(make_settings()))
    arguments = ["--run", str(tmp_path / "run.yaml"), "--output", str(tmp_path / "nothing")]
    assert stage.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "run `llm-keras tokenizer` first" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_pieces_of_any_size_give_the_same_bytes(
    ready, finished, make_settings, hashes, monkeypatch, workers
):
    """What is flushed when does not show: here every document on its own."""
    monkeypatch.setattr(spill, "BUFFER_BYTES", 1)
    tokenize(make_settings(workers=workers), ready)
    assert hashes(ready) == hashes(finished)


def test_the_manifest_says_how_much_is_padding(finished, ready, make_settings):
    tokenize(make_settings(packing="best_fit", sequence_length=256), ready)
    for folder in (finished, ready):
        manifest = manifests.read(folder.corpus)
        for split in ("train", "validation"):
            store = RecordStore(folder.corpus, split)
            segments = store.rows(np.arange(store.num_rows))["segments"]
            padding = manifest.splits[split].padding
            assert padding == pytest.approx((segments == 0).mean(), abs=1e-6)
            assert sum(s.padding for s in store.shards) == (segments == 0).sum()
    assert 0 < manifest.splits["train"].padding < 0.5


def test_best_fit_predicts_the_same_targets(finished, ready, make_settings):
    """Those of the stream, of every document, and what fits a row is whole."""
    tokenize(make_settings(packing="best_fit"), ready)
    one, two = (manifests.read(folder.corpus) for folder in (finished, ready))
    assert two.packing == "best_fit"
    for split in ("train", "validation"):
        assert one.splits[split].targets == two.splits[split].targets
        pairs = []
        for folder in (finished, ready):
            store = RecordStore(folder.corpus, split, verify=True)
            rows = store.rows(np.arange(store.num_rows))
            same = (rows["segments"][:, 1:] == rows["segments"][:, :-1]) & (
                rows["segments"][:, 1:] > 0
            )
            both = np.stack([rows["tokens"][:, :-1][same], rows["tokens"][:, 1:][same]], axis=1)
            pairs.append(sorted(map(tuple, both.tolist())))
        assert pairs[0] == pairs[1]
        whole = [ids.tolist() for ids in RecordStore(finished.corpus, split).documents()]
        pieces = [ids.tolist() for ids in RecordStore(ready.corpus, split).documents()]
        assert all(ids in pieces for ids in whole if len(ids) <= 17)


class TestMixture:
    @pytest.fixture
    def mixed(self, ready, make_settings):
        """Tokenizes with so many epochs of sources a and b; gives the manifest."""

        def run(a, b, seed=0):
            mixture = {"a": {"epochs": a}, "b": {"epochs": b}}
            ready.curation.write_text(json.dumps({"mixture": mixture}))
            settings = make_settings(sequence_length=512).model_copy(update={"seed": seed})
            tokenize(settings, ready)
            return manifests.read(ready.corpus)

        return run

    def copies(self, folder):
        """Id -> how often it is in the training rows."""
        found = {}
        for path in sorted((folder.corpus / "index").glob("train-*")):
            for row in document_index.decode(path.read_bytes()).to_pylist():
                found.setdefault(row["id"], set()).add(row["copy"])
        return {name: len(copies) for name, copies in found.items()}

    def test_documents_are_there_as_often_as_asked(self, mixed, ready, documents):
        manifest = mixed(2.5, 0.5)
        copies = self.copies(ready)
        of_a = [copies.get(each.id, 0) for each in documents[6:] if each.source == "a"]
        of_b = [copies.get(each.id, 0) for each in documents[6:] if each.source == "b"]
        assert set(of_a) == {2, 3}
        assert set(of_b) == {0, 1}
        assert abs(sum(of_a) / len(of_a) - 2.5) < 0.3
        counts = manifest.splits["train"]
        assert counts.documents == sum(of_a) + sum(of_b)
        assert counts.dropped == {"mixture": of_b.count(0)}
        store = RecordStore(ready.corpus, "train")
        tokens = sorted(tuple(ids.tolist()) for ids in store.documents())
        assert len(tokens) == counts.documents
        assert counts.tokens == sum(map(len, tokens))

    def test_copies_are_not_neighbours(self, mixed, ready):
        mixed(8.0, 8.0)
        store = RecordStore(ready.corpus, "train")
        found = [tuple(ids.tolist()) for ids in store.documents()]
        neighbours = sum(a == b for a, b in itertools.pairwise(found))
        assert len(found) == 58 * 8
        assert (
            neighbours < len(found) * 0.2
        )  # of a shard's seven documents every seventh, by chance

    def test_held_out_documents_are_there_once(self, mixed, ready, finished):
        manifest = mixed(3.0, 0.1)
        assert manifest.splits["validation"].documents == 6
        assert not manifest.splits["validation"].dropped

    def test_more_epochs_only_add(self, mixed, ready):
        before = {}
        for epochs in (0.3, 0.9, 1.0, 1.7, 2.0):
            mixed(epochs, 1.0)
            now = self.copies(ready)
            assert all(now[name] >= count for name, count in before.items())
            before = now

    def test_once_each_changes_nothing(self, ready, finished, make_settings, hashes):
        ready.curation.write_text(json.dumps({"mixture": {"a": {"epochs": 1.0}}}))
        tokenize(make_settings(), ready)
        assert shards(hashes, ready) | {"curation.json": ""} == shards(hashes, finished) | {
            "curation.json": ""
        }

    def test_a_damaged_curation_is_named(self, ready, make_settings):
        ready.curation.write_text("{")
        assert "curation.json: damaged; run `llm-keras curate`" in mistake(make_settings(), ready)


def test_a_test_split_is_written_where_there_is_one(ready, finished, make_settings, hashes):
    source = ready.documents / "validation-00000-of-00003.jsonl.gz"
    for number in range(2):
        shutil.copy(source, ready.documents / f"test-{number:05d}-of-00002.jsonl.gz")
    tokenize(make_settings(), ready)
    manifest = manifests.read(ready.corpus)
    assert list(manifest.splits) == ["train", "validation", "test"]
    store = RecordStore(ready.corpus, "test", verify=True)
    assert store.num_rows == manifest.splits["test"].rows
    assert len(store.shards) == 2
    before = {name: value for name, value in hashes(finished).items() if "train-" in name}
    assert before.items() <= hashes(ready).items()


def test_an_empty_test_split_is_no_mistake(ready, make_settings):
    with (ready.documents / "test-00000-of-00001.jsonl.gz").open("wb") as file:
        write_json_lines(file, [])
    tokenize(make_settings(), ready)
    assert manifests.read(ready.corpus).splits["test"].rows == 0
