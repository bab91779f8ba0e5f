"""Reading rows: right for any rows in any order, one clear line for each kind of damage."""

import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

from llm_keras.data import packing
from llm_keras.data.record_codec import FOOTER_BYTES, HEADER_BYTES, masked_crc
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError

FIRST, EMPTY, LAST = (f"train-0000{number}-of-00003.tfrecord" for number in range(3))


def mistake(action):
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def overwrite(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def reseal(store, path, row):
    """Makes the payload's checksum right again: what is wrong must be found by its content."""
    size = store.layout.record_bytes
    record = path.read_bytes()[row * size : (row + 1) * size]
    crc = masked_crc(record[HEADER_BYTES:-FOOTER_BYTES])
    overwrite(path, (row + 1) * size - FOOTER_BYTES, struct.pack("<I", crc))


def test_rows_in_any_order_are_the_packed_documents(corpus, documents):
    store = RecordStore(corpus, "train")
    parts = [documents[:20], documents[20:]]
    blocks = [block for part in parts for block in packing.pack(part, 8)]
    indices = np.random.default_rng(0).integers(0, store.num_rows, 200)
    rows = store.rows(indices)
    assert store.num_rows == sum(len(block["tokens"]) for block in blocks)
    for name, column in rows.items():
        expected = np.concatenate([block[name] for block in blocks])
        assert column.dtype == np.int32
        np.testing.assert_array_equal(column, expected[indices])


def test_no_rows_have_their_shape(corpus):
    assert RecordStore(corpus, "train").rows(np.array([], np.int64))["tokens"].shape == (0, 9)


def test_documents_come_back_whole_and_in_order(corpus, documents, monkeypatch):
    monkeypatch.setattr("llm_keras.data.records.BLOCK_ROWS", 5)
    found = list(RecordStore(corpus, "train").documents())
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in documents]


def test_a_row_that_is_not_there_is_a_programming_error(corpus):
    store = RecordStore(corpus, "train")
    for index in (-1, store.num_rows):
        with pytest.raises(IndexError):
            store.rows(np.array([index]))


def test_a_good_corpus_passes_every_check(corpus):
    assert RecordStore(corpus, "train", "a" * 64, verify=True).num_rows > 50
    assert RecordStore(corpus, "validation", verify=True).num_rows > 5


def test_it_travels_and_keeps_reading(corpus):
    store = RecordStore(corpus, "train")
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.rows([3])["tokens"], store.rows([3])["tokens"])


def test_another_tokenizer_is_refused_with_both_hashes(corpus):
    message = mistake(lambda: RecordStore(corpus, "train", "c" * 64))
    assert "a" * 64 in message
    assert "c" * 64 in message


def test_a_missing_shard_is_named(corpus):
    size = (corpus / FIRST).stat().st_size
    (corpus / FIRST).unlink()
    message = mistake(lambda: RecordStore(corpus, "train"))
    assert f"{corpus / FIRST}: missing, expected {size} bytes" in message


@pytest.mark.parametrize("cut", ["at a record boundary", "in a record", "empty", "longer"])
def test_a_shard_of_another_size_is_named_with_both_sizes(corpus, cut):
    """TensorFlow reads a file that was cut between two records as if it were complete."""
    store = RecordStore(corpus, "train")
    path, size = corpus / FIRST, (corpus / FIRST).stat().st_size
    left = {
        "at a record boundary": size - store.layout.record_bytes,
        "in a record": size - 5,
        "empty": 0,
        "longer": size + store.layout.record_bytes,
    }[cut]
    os.truncate(path, left)
    for action in (lambda: RecordStore(corpus, "train"), lambda: store.rows([0])):
        assert f"{path}: expected {size} bytes" in mistake(action)
        assert f"found {left}" in mistake(action)


def test_a_shard_that_no_manifest_lists_is_named(corpus):
    stale = corpus / "train-00003-of-00004.tfrecord"
    shutil.copy(corpus / FIRST, stale)
    assert f"{stale}: not in manifest.json" in mistake(lambda: RecordStore(corpus, "train"))
    assert RecordStore(corpus, "validation").num_rows


def test_swapped_shards_are_found_by_their_hashes(corpus):
    path = corpus / FIRST
    content = bytearray(path.read_bytes())
    size = RecordStore(corpus, "train").layout.record_bytes
    path.write_bytes(content[size:] + content[:size])  # every record is still right
    message = mistake(lambda: RecordStore(corpus, "train", verify=True))
    assert f"{path}: expected SHA-256" in message
    assert RecordStore(corpus, "train").num_rows  # sizes alone do not show it


@pytest.mark.parametrize("place", ["length", "length crc", "key", "tokens", "payload crc"])
def test_a_flipped_bit_is_found_with_file_and_byte(corpus, place):
    store, path, row = RecordStore(corpus, "train"), corpus / FIRST, 4
    start = row * store.layout.record_bytes
    offset = {
        "length": 0,
        "length crc": 9,
        "key": HEADER_BYTES + 10,
        "tokens": store.layout.record_bytes - 10,
        "payload crc": store.layout.record_bytes - 1,
    }[place]
    overwrite(path, start + offset, bytes([path.read_bytes()[start + offset] ^ 0x10]))
    message = mistake(lambda: store.rows([2, row, 5]))
    assert f"{path}: record {row} at byte {start}: " in message
    assert ("length" if "length" in place else "checksum") in message
    assert store.rows([row - 1, row + 1])["tokens"].shape == (2, 9)  # neighbours are good


def test_a_length_of_2_to_the_62_is_never_allocated(corpus):
    """With a valid checksum of its own; TensorFlow's reader ends the process on such a file."""
    path, length = corpus / FIRST, struct.pack("<Q", 2**62)
    store = RecordStore(corpus, "train")
    overwrite(path, 0, length + struct.pack("<I", masked_crc(length)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "record 0 at byte 0: its length is damaged" in mistake(lambda: store.rows([0]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_an_id_outside_the_vocabulary_is_found(corpus):
    store, path, row = RecordStore(corpus, "train"), corpus / FIRST, 2
    tokens = store.layout.dtype.fields["tokens"][1]
    offset = row * store.layout.record_bytes + tokens
    overwrite(path, offset, struct.pack("<H", 300))
    assert "checksum" in mistake(lambda: store.rows([row]))  # the fault is there
    reseal(store, path, row)
    message = mistake(lambda: store.rows([row]))
    assert f"record {row} at byte" in message
    assert "a token id is not in the vocabulary of 300" in message
    overwrite(path, offset, struct.pack("<H", 299))
    reseal(store, path, row)
    assert store.rows([row])["tokens"][0, 0] == 299


def test_a_negative_id_is_found(tmp_path, make_corpus):
    """Only ids of a large vocabulary have a sign."""
    make_corpus(tmp_path, [[np.array([2, 99_999, 3])] * 9], vocabulary_size=100_000)
    store, path = RecordStore(tmp_path, "train"), tmp_path / "train-00000-of-00001.tfrecord"
    assert store.rows([0])["tokens"][0, 1] == 99_999
    overwrite(path, store.layout.dtype.fields["tokens"][1], struct.pack("<i", -1))
    reseal(store, path, 0)
    assert "not in the vocabulary of 100000" in mistake(lambda: store.rows([0]))


def test_a_record_with_another_feature_is_found(corpus):
    store, path = RecordStore(corpus, "train"), corpus / FIRST
    name = path.read_bytes().index(b"tokens")
    overwrite(path, name, b"tokenz")
    reseal(store, path, 0)
    assert "no record of this corpus's layout" in mistake(lambda: store.rows([0]))


def test_a_shard_that_vanishes_is_named_and_others_are_still_read(corpus):
    store = RecordStore(corpus, "train")
    last = store.num_rows - 1
    assert store.rows([0, last])["tokens"].shape == (2, 9)
    (corpus / LAST).unlink()
    assert f"{corpus / LAST}: cannot be read any more" in mistake(lambda: store.rows([0, last]))
    assert store.rows([0])["tokens"].shape == (1, 9)


def test_a_split_without_rows_is_refused(tmp_path, make_corpus):
    make_corpus(tmp_path, [[np.array([2, 5, 3])]], [[]])
    message = mistake(lambda: RecordStore(tmp_path, "validation"))
    assert "no validation rows" in message


def test_reading_records_needs_no_tensorflow():
    code = "import sys, llm_keras.data.records; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
