"""The manifest: written whole, and refused when damaged or at odds with itself."""

import json

import pytest

from llm_keras.data import manifest as manifests
from llm_keras.errors import UserError


def mistake(folder):
    with pytest.raises(UserError) as caught:
        manifests.read(folder)
    message = str(caught.value)
    assert str(folder / "manifest.json") in message
    assert "\n" not in message
    return message


def change(folder, edit):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_it_comes_back_as_it_was_written(corpus):
    manifest = manifests.read(corpus)
    before = (corpus / "manifest.json").read_bytes()
    manifests.write(manifest, corpus)
    assert (corpus / "manifest.json").read_bytes() == before
    assert not list(corpus.glob("*.partial"))


def test_a_missing_manifest_names_the_stage_that_makes_it(tmp_path):
    assert "no manifest; run `llm-keras tokenize` first" in mistake(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(corpus, content):
    (corpus / "manifest.json").write_bytes(content)
    assert "damaged" in mistake(corpus)


def test_a_manifest_cut_in_the_middle_is_refused(corpus):
    path = corpus / "manifest.json"
    path.write_bytes(path.read_bytes()[:-50])
    assert "damaged" in mistake(corpus)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda m: m.update(format=2), "format"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(record_bytes=2**62), "expected records of"),
        (lambda m: m.update(sequence_length=9), "expected records of"),
        (lambda m: m.update(vocabulary_size=70_000), "expected records of"),
        (lambda m: m["columns"].update(tokens="int32"), "expected records of"),
        (lambda m: m["shards"][0].update(bytes=1), "rows in 1 bytes"),
        (lambda m: m["shards"][0].update(file="../train-00000-of-00001.tfrecord"), "shards.0.file"),
        (lambda m: m["shards"][0].update(sha256="x"), "shards.0.sha256"),
        (lambda m: m["splits"]["train"].update(rows=3), "train: 3 rows, but"),
        (lambda m: m["shards"].pop(0), "rows, but"),
    ],
)
def test_a_contradiction_is_named(corpus, edit, expected):
    change(corpus, edit)
    assert expected in mistake(corpus)


def test_the_fingerprint_is_of_the_data_alone(tmp_path, make_corpus, corpus):
    manifest = manifests.read(corpus)
    assert manifest.fingerprint == manifest.model_copy(update={"sources": {}}).fingerprint
    first = manifest.shards[0].model_copy(update={"sha256": "0" * 64})
    changed = manifest.model_copy(update={"shards": (first, *manifest.shards[1:])})
    assert changed.fingerprint != manifest.fingerprint


def test_a_settings_hash_ignores_the_order_of_keys():
    assert manifests.settings_hash({"a": 1, "b": 2}) == manifests.settings_hash({"b": 2, "a": 1})
    assert manifests.settings_hash({"a": 1}) != manifests.settings_hash({"a": 2})
