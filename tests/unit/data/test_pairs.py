"""Rows of pairs: filled, stored, read, and refused where they are damaged."""

import itertools
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from llm_keras.data import manifest as manifests
from llm_keras.data import packing, pairs
from llm_keras.data.record_codec import FOOTER_BYTES, HEADER_BYTES, RecordLayout, masked_crc
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError

COUNTS = {8: 21, 16: 13, 24: 5}


@pytest.fixture
def corpus(tmp_path, make_pair_corpus):
    make_pair_corpus(tmp_path, COUNTS)
    return tmp_path


@given(st.integers(2, 65_535))
def test_buckets_rise_by_half_at_most_to_the_sequence_length(length):
    lengths = pairs.bucket_lengths(length)
    assert lengths[-1] == length
    assert all(each % 8 == 0 for each in lengths[:-1])
    assert all(a < b <= 1.5 * a + 8 for a, b in itertools.pairwise(lengths))


@given(st.integers(1, 140), st.integers(2, 140))
def test_a_pair_goes_where_it_fits_and_nothing_shorter_does(source, target):
    lengths = pairs.bucket_lengths(128)
    found = pairs.bucket_of(source, target, lengths)
    fitting = [each for each in lengths if source <= each and target <= each + 1]
    assert found == (fitting[0] if fitting else None)


def test_a_filled_row_has_both_sides_and_where_they_end():
    rows = pairs.with_segments(
        pairs.fill([np.array([7, 3]), np.array([3])], [np.array([2, 5, 6, 3]), np.array([2, 3])], 4)
    )
    assert rows["source"].tolist() == [[7, 3, 0, 0], [3, 0, 0, 0]]
    assert rows["source_segments"].tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert rows["tokens"].tolist() == [[2, 5, 6, 3, 0], [2, 3, 0, 0, 0]]
    assert rows["segments"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]


@pytest.mark.parametrize("vocabulary_size", [300, 70_000])
@pytest.mark.parametrize("kind", ["pairs", "answers"])
def test_tensorflow_reads_what_is_written(tmp_path, vocabulary_size, kind):
    """Framing, checksums and Example of every kind are those of TensorFlow's own reader."""
    layout = RecordLayout(16, vocabulary_size, kind)
    rng = np.random.default_rng(0)
    rows = {
        name: rng.integers(0, 2 if name == "answers" else 300, (3, width))
        for name, width in layout.widths.items()
    }
    (tmp_path / "a.tfrecord").write_bytes(layout.encode(rows))
    for number, record in enumerate(tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord"))):
        example = tf.train.Example.FromString(record.numpy())
        assert example.SerializeToString(deterministic=True) == record.numpy()
        for name, column in rows.items():
            raw = example.features.feature[name].bytes_list.value[0]
            found = tf.io.decode_raw(raw, layout.columns[name]).numpy()
            np.testing.assert_array_equal(found, column[number])
    np.testing.assert_equal(layout.decode(np.frombuffer(layout.encode(rows), layout.dtype)), rows)


def test_answers_are_marked_after_what_is_given():
    documents = [np.array([2, 5, 6, 7, 3]), np.array([2, 8, 3])]
    (block,) = packing.pack(documents, 3, given=[3, 1])
    assert block["tokens"].tolist() == [[2, 5, 6, 7], [7, 3, 2, 8], [8, 3, 0, 0]]
    assert block["answers"].tolist() == [[0, 0, 0, 1], [1, 1, 0, 1], [1, 1, 0, 0]]


def test_rows_of_a_bucket_come_back(corpus):
    store = RecordStore(corpus, "train", "a" * 64, verify=True)
    assert [(each.length, each.num_rows) for each in store.buckets] == list(COUNTS.items())
    assert store.num_rows == sum(COUNTS.values())
    for bucket in store.buckets:
        rows = store.rows(bucket.first + np.arange(bucket.num_rows)[::-1])
        assert rows["source"].shape == (bucket.num_rows, bucket.length)
        assert rows["tokens"].shape == (bucket.num_rows, bucket.length + 1)
        assert all(column.dtype == np.int32 for column in rows.values())
        for source, real in zip(rows["source"], rows["source_segments"], strict=True):
            assert source[real.sum() - 1] == 3
            assert not source[real.sum() :].any()


def test_documents_are_the_target_side(corpus):
    store = RecordStore(corpus, "train")
    found = list(store.documents())
    assert len(found) == store.num_rows
    assert all(ids[0] == 2 and ids[-1] == 3 for ids in found)
    assert sum(map(len, found)) == store.manifest.splits["train"].tokens


def test_rows_of_two_buckets_have_no_common_shape(corpus):
    store = RecordStore(corpus, "train")
    with pytest.raises(ValueError, match=r"buckets \['16', '8'\] have no common shape"):
        store.rows(np.array([0, store.buckets[1].first]))


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("source", 300, "a token id is not in the vocabulary of 300"),
        ("tokens", 65_535, "a token id is not in the vocabulary of 300"),
        ("lengths", 0, "a length does not fit its row"),
        ("lengths", 17, "a length does not fit its row"),
        ("lengths", -1, "a length does not fit its row"),
    ],
)
def test_damage_with_a_right_checksum_is_found(corpus, column, value, problem):
    path = corpus / "train-b00016-00001-of-00002.tfrecord"
    layout = RecordLayout(16, 300, "pairs")
    content = bytearray(path.read_bytes())
    records = np.frombuffer(content, layout.dtype).copy()
    records[column][2, 0] = value
    content = bytearray(records.tobytes())
    end, size = 3 * layout.record_bytes, layout.record_bytes
    crc = masked_crc(bytes(content[end - size + HEADER_BYTES : end - FOOTER_BYTES]))
    struct.pack_into("<I", content, end - FOOTER_BYTES, crc)
    path.write_bytes(content)
    store = RecordStore(corpus, "train")
    with pytest.raises(UserError) as caught:
        store.rows(store.buckets[1].first + np.arange(13))
    assert f"{path}: record 2 at byte {2 * size}: {problem}" in str(caught.value)


def test_a_manifest_says_what_its_pairs_are(corpus):
    manifest = manifests.read(corpus)
    assert manifest.kind == "pairs"
    assert [shard.bucket for shard in manifest.shards][:3] == [8, 8, 16]
    assert manifest.layout.widths == {"lengths": 2, "source": 24, "tokens": 25}


def test_a_manifest_whose_bucket_contradicts_itself_is_damaged(corpus):
    path = corpus / "manifest.json"
    size = RecordLayout(16, 300, "pairs").record_bytes
    path.write_text(path.read_text().replace(f'"record_bytes": {size}', '"record_bytes": 99'))
    with pytest.raises(UserError, match="bucket 16: 99 bytes a row"):
        manifests.read(corpus)
