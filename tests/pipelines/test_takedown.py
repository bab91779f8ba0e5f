"""Takedown: what is left is what would be there without the document, on whatever crash."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from llm_keras import cli, stages
from llm_keras.config import Run
from llm_keras.data import manifest as manifests
from llm_keras.data import takedowns
from llm_keras.data.document import Document, document_files, read_documents, write_json_lines
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import load, train_tokenizer
from pipelines import document_index
from pipelines.takedown import takedown
from pipelines.tokenize import tokenize, working_folder

EPOCHS = {"a": 2.5, "b": 1.0}
KINDS = {
    "stream": {"packing": "stream"},
    "best_fit": {"packing": "best_fit"},
    "pairs": {"buckets": [64, 512], "sequence_length": 512},
    "answers": {},
}


def settings(kind="stream", seed=0):
    targets = {"target_field": "t"} if kind in ("pairs", "answers") else {}
    source = {"name": "a", "kind": "jsonl", "path": "letters"} | targets
    return Run.model_validate(
        {
            "seed": seed,
            "corpus": {"sources": [source, source | {"name": "b"}]},
            "tokenizer": {"vocabulary_size": 300},
            "records": {"sequence_length": 64, "shards": 4} | KINDS[kind],
            "model": {
                "kind": "encoder_decoder" if kind == "pairs" else "causal_lm",
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 16,
                "num_query_heads": 2,
            },
            "training": {"total_steps": 200, "global_batch_size": 2},
        }
    )


def write(folder, documents):
    """Curated documents, four of them for validation, and two rejected ones."""
    number = {each.id: int(each.id[2:], 16) for each in documents}
    for name, first, last in (
        ("documents/validation", 0, 4),
        ("documents/train", 4, 48),
        ("rejected/rejected", 48, 50),
    ):
        part = [each for each in documents if first <= number[each.id] < last]
        write_rows(folder.corpus / f"{name}-00000-of-00001.jsonl.gz", part)
    mixture = {name: {"epochs": epochs} for name, epochs in EPOCHS.items()}
    folder.curation.write_text(json.dumps({"mixture": mixture, "settings_hash": "c" * 64}))


def write_rows(path, documents):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_json_lines(file, [each.as_dict() for each in documents])


@pytest.fixture(scope="module")
def documents(prose):
    return [
        Document(
            id=f"{'ab'[number % 2]}:{number:024x}",
            text=prose(number) if number % 7 else "Dear Sir",
            source="ab"[number % 2],
            licence=("MIT", "CC0-1.0", "unknown")[number % 3],
            target=prose(number + 100)[:200],
        )
        for number in range(50)
    ]


@pytest.fixture(scope="module")
def tokenizer(documents, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("tokenizer"))
    write(folder, documents)
    train_tokenizer(settings("pairs"), folder)
    return folder.tokenizer_model


@pytest.fixture
def make(documents, tokenizer, tmp_path):
    """Makes a run of documents, without some."""

    def make(name, kind="stream", without=()):
        folder = RunFolder(tmp_path / name)
        write(folder, [each for each in documents if each.id not in without])
        folder.tokenizer_model.parent.mkdir()
        shutil.copy(tokenizer, folder.tokenizer_model)
        tokenize(settings(kind), folder)
        return folder

    return make


def contents(folder):
    """Every file of a corpus but the list of takedowns, under the names before any takedown."""
    found = {}
    for path in sorted(folder.corpus.rglob("*")):
        name = str(path.relative_to(folder.corpus))
        if path.is_file() and path.suffix in (".tfrecord", ".gz"):
            found[manifests.unrevised(name)] = path.read_bytes()
    return found


def description(folder):
    """The manifest without what the names of revised shards are part of."""
    found = manifests.read(folder.corpus).model_dump()
    for shard in found["shards"]:
        shard["file"] = manifests.unrevised(shard["file"])
        del shard["index_sha256"]
    return found


def index(folder):
    """The entries of all documents."""
    return [
        row | {"shard": manifests.unrevised(row["shard"])}
        for shard in manifests.read(folder.corpus).shards
        for row in document_index.decode(
            (folder.corpus / document_index.file_name(shard.file)).read_bytes()
        ).to_pylist()
    ]


class TestIndex:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_leads_to_the_tokens_of_every_document(self, make, documents, kind):
        folder = make("run", kind)
        stores = {split: RecordStore(folder.corpus, split) for split in ("train", "validation")}
        rows = {}
        for store in stores.values():
            before = 0
            for shard in store.shards:
                numbers = range(before, before + shard.rows)
                rows[shard.file] = store.rows(list(numbers)) if shard.rows else None
                before += shard.rows
        known = {each.id: each for each in documents}
        lengths = {}
        for entry in index(folder):
            block = rows[entry["shard"]]
            first = entry["first_token"]
            part = slice(first, first + entry["tokens"])
            segments = block["segments"][entry["row"]][part]
            assert len(set(segments.tolist())) == 1
            assert segments[0] > 0
            key = entry["id"], entry["copy"]
            if entry["start"] == 0:
                assert block["tokens"][entry["row"]][first] == 2  # bos
            lengths[key] = max(lengths.get(key, 0), entry["start"] + entry["tokens"])
            document = known[entry["id"]]
            assert (entry["source"], entry["licence"]) == (document.source, document.licence)
        manifest = manifests.read(folder.corpus)
        assert sum(lengths.values()) == sum(part.tokens for part in manifest.splits.values())
        held_out = {each.id for each in documents[:4]}
        assert {name for name, copy in lengths if name in held_out and copy} == set()
        if kind != "pairs":
            assert {name for name, _ in lengths} == {each.id for each in documents[:-2]}

    def test_licences_and_sources_add_up(self, make, documents):
        manifest = manifests.read(make("run").corpus)
        for counts in (manifest.licences, manifest.sources):
            totals = [
                sum(getattr(part, name) for part in counts.values())
                for name in ("documents", "tokens", "train_tokens")
            ]
            splits = manifest.splits.values()
            assert totals[0] == sum(part.documents for part in splits)
            assert totals[1] == sum(part.tokens for part in splits)
            assert totals[2] == manifest.splits["train"].tokens
        assert set(manifest.licences) == {"MIT", "CC0-1.0", "unknown"}
        assert manifest.curation_hash == "c" * 64


class TestTakedown:
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_left_is_what_would_be_there_without_them(self, make, documents, kind):
        gone = [documents[number].id for number in (2, 11, 20, 49)]
        folder, expected = make("run", kind), make("without", kind, without=gone)
        result = takedown(gone, folder)
        assert sorted(result.found) == sorted(gone)
        assert contents(folder) == contents(expected)
        assert description(folder) == description(expected)
        assert index(folder) == index(expected)
        for split in ("train", "validation"):
            RecordStore(folder.corpus, split, verify=True)

    def test_only_touched_shards_are_written(self, make, documents):
        folder = make("run")
        before = {path.name: path.stat().st_mtime_ns for path in folder.corpus.glob("*.tfrecord")}
        (entry,) = {e["shard"] for e in index(folder) if e["id"] == documents[11].id}
        result = takedown([documents[11].id], folder)
        after = {path.name: path.stat().st_mtime_ns for path in folder.corpus.glob("*.tfrecord")}
        assert result.shards == (manifests.revised(entry),)
        assert after.keys() - before.keys() == set(result.shards)
        assert before.keys() - after.keys() == {entry}
        assert all(after[name] == before[name] for name in before.keys() & after.keys())

    def test_no_byte_of_it_stays(self, make, documents):
        text = "Quixotic zephyrs vex my jolly bugler"
        folder = make("run")
        marked = Document(id=f"a:{'f' * 24}", text=text, source="a", target="x")
        write_rows(folder.documents / "train-00000-of-00001.jsonl.gz", [*documents[4:-2], marked])
        tokenize(settings(), folder)
        takedown([marked.id], folder)
        tokens = load(folder.tokenizer_model).encode(text)
        for ids in RecordStore(folder.corpus, "train").documents():
            assert ids[1:-1].tolist() != tokens
        for path in document_files(folder.documents, "train"):
            assert all(each.id != marked.id for each in read_documents(path))
        assert takedowns.taken_down(folder.corpus) == {marked.id}

    def test_a_curation_that_brings_it_back_changes_nothing(self, make, documents):
        folder, expected = make("run"), make("without", without=[documents[11].id])
        takedown([documents[11].id], folder)
        write(folder, documents)
        tokenize(settings(), folder)
        counts = manifests.read(folder.corpus).splits["train"]
        assert counts.dropped == {"takedown": 1}
        shards = {n: data for n, data in contents(folder).items() if n.endswith("tfrecord")}
        assert shards.items() <= contents(expected).items()

    def test_ids_that_are_not_there_are_named(self, make, documents):
        folder = make("run")
        before = contents(folder)
        with pytest.raises(UserError) as caught:
            takedown(["a:0", "b:1"], folder)
        assert str(caught.value).startswith(f"{folder.root}: holds no document a:0 or b:1;")
        assert "\n" not in str(caught.value)
        assert contents(folder) == before
        assert not list(takedowns.entries(folder.corpus))
        result = takedown(["a:0", documents[11].id], folder)
        assert (result.found, result.missing) == ((documents[11].id,), ("a:0",))
        with pytest.raises(UserError, match="taken down already"):
            takedown([documents[11].id], folder)

    def test_too_little_left_changes_nothing(self, make, documents):
        folder = make("run")
        before = contents(folder)
        with pytest.raises(UserError, match="the validation split has 0 tokens"):
            takedown([each.id for each in documents[:4]], folder)
        assert contents(folder) == before
        assert not list(takedowns.entries(folder.corpus))

    def test_a_corpus_without_rows_loses_its_texts(self, documents, tmp_path):
        folder = RunFolder(tmp_path / "run")
        write(folder, documents)
        result = takedown([documents[11].id, documents[49].id], folder)
        assert len(result.texts) == 2
        assert not result.shards

    def test_a_damaged_index_is_named(self, make, documents):
        folder = make("run")
        (shard,) = {e["shard"] for e in index(folder) if e["id"] == documents[11].id}
        path = folder.corpus / document_index.file_name(shard)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(UserError, match="expected SHA-256"):
            takedown([documents[11].id], folder)

    def test_another_process_at_work_is_refused(self, make, documents):
        folder = make("run")
        with (
            working_folder(str(folder.corpus)),
            pytest.raises(UserError, match="another process is at work"),
        ):
            takedown([documents[11].id], folder)

    def test_a_damaged_list_is_named(self, make, documents):
        folder = make("run")
        (folder.corpus / takedowns.FILE_NAME).write_text('{"state": "begun"}\n')
        with pytest.raises(UserError, match=r"takedowns.jsonl: line 1 is damaged"):
            takedown([documents[11].id], folder)


CRASH = """
import os, signal, sys
from pathlib import Path
from llm_keras.run_folder import RunFolder
from pipelines.takedown import takedown
calls = 0
def dying(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
Path.replace, Path.unlink = dying(Path.replace), dying(Path.unlink)
takedown([sys.argv[2]], RunFolder(Path(sys.argv[1])))
"""


def test_killed_at_any_moment_a_reader_meets_the_old_or_the_new(make, documents):
    """Before each rename and each removal in turn; the next takedown ends what was begun."""
    gone = documents[11].id
    original, expected = make("run", "best_fit"), make("without", "best_fit", without=[gone])
    valid = [manifests.read(original.corpus).fingerprint]
    done = False
    for moment in range(1, 40):
        folder = RunFolder(original.root.with_name(f"killed-{moment}"))
        shutil.copytree(original.root, folder.root)
        command = [sys.executable, "-c", CRASH, str(folder.root), gone, str(moment)]
        killed = subprocess.run(command, check=False, env=os.environ)
        if killed.returncode == 0:
            done = True
            break
        assert killed.returncode == -signal.SIGKILL
        for split in ("train", "validation"):
            RecordStore(folder.corpus, split, verify=True)
        valid.append(manifests.read(folder.corpus).fingerprint)
        takedown([gone, documents[12].id], folder)
        takedown_again = [entry["state"] for entry in takedowns.entries(folder.corpus)]
        assert takedown_again[-1] == "done"
        assert not takedowns.unfinished(folder.corpus)
        assert all(entry["id"] != gone for entry in index(folder))
        shutil.rmtree(folder.root)
    assert done
    assert moment > 6
    assert len(set(valid)) == 2
    assert contents(folder) == contents(expected)


class TestWhatLearnt:
    @pytest.fixture
    def trained(self, make):
        """A run with checkpoints and exports of this corpus and of another."""
        folder = make("run")
        corpus = manifests.read(folder.corpus).fingerprint
        facts = {"optimizer.safetensors": {}}
        for step, data in ((0, {"tokenizer": "t"}), (8, {"corpus": corpus}), (9, {"corpus": "x"})):
            path = folder.checkpoints / f"step-{step:08}" / "manifest.json"
            path.parent.mkdir(parents=True)
            about = {"step": step, "files": facts if step else {}, "data": data}
            path.write_text(json.dumps(about))
        for version, about in ((1, {"step": 8}), (2, {"step": 7}), (3, {"corpus_sha256": None})):
            extra = folder.export / str(version) / "assets.extra"
            extra.mkdir(parents=True)
            (extra / "llm_keras.json").write_text(json.dumps(about))
            (extra.parent / "saved_model.pb").write_bytes(b"")
        folder.export_gguf.parent.mkdir()
        folder.export_gguf.write_bytes(b"")
        return folder

    def test_all_that_may_have_is_listed(self, trained, documents):
        result = takedown([documents[11].id], trained)
        assert result.learnt == (
            f"{trained.checkpoints}/step-00000008",
            f"{trained.checkpoints}/step-00000009",
            f"{trained.export}/1",
            f"{trained.export}/2 (does not say on what)",
            f"{trained.export_gguf} (does not say on what)",
        )

    def test_what_was_trained_on_what_is_left_is_not(self, trained, documents):
        takedown([documents[11].id], trained)
        path = trained.checkpoints / "step-00000009" / "manifest.json"
        about = json.loads(path.read_text())
        about["data"]["corpus"] = manifests.read(trained.corpus).fingerprint
        path.write_text(json.dumps(about))
        entry = {"state": takedowns.BEGUN, "ids": [documents[11].id]}
        takedowns.append(trained.corpus, entry)  # as if killed before it was done
        assert str(path.parent) not in takedown([], trained).learnt

    def test_nothing_learns_from_what_was_rejected_or_held_out(self, trained, documents):
        assert takedown([documents[49].id], trained).learnt == ()
        assert takedown([documents[2].id], trained).learnt == ()


def test_the_command_prints_what_it_did_and_the_next_run_does_not_begin_anew(make, documents):
    folder = make("run")
    run = settings()
    stage = stages.BY_NAME["tokenize"]
    stages.perform(stage, run, folder)
    assert stages.is_finished(stage, run, folder)
    arguments = ["takedown", documents[11].id, "a:0", str(folder.root)]
    said = CliRunner().invoke(cli.app, arguments)
    assert said.exit_code == 0, said.output
    assert said.output.startswith("takedown: 1 documents are gone\n  not there: a:0\n")
    assert "written anew: documents/train-00000-of-00001.jsonl.gz" in said.output
    assert stages.is_finished(stage, run, folder)
    assert isinstance(
        CliRunner().invoke(cli.app, arguments[:2] + arguments[3:]).exception, UserError
    )
