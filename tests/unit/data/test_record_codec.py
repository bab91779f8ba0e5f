"""Records written without TensorFlow are the very bytes that TensorFlow writes and reads."""

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from llm_keras.data.record_codec import RecordLayout, masked_crc

SHAPES = [(2, 300), (8, 300), (255, 65_536), (256, 65_537), (1_023, 100_000), (65_535, 1_000)]


def make_rows(layout, vocabulary_size, count=3):
    rng = np.random.default_rng(0)
    shape = (count, layout.row_tokens)
    return {
        "tokens": rng.integers(0, vocabulary_size, shape),
        "segments": rng.integers(0, 2**16, shape),
        "positions": rng.integers(0, 2**16, shape),
    }


@pytest.fixture(params=SHAPES, ids=lambda shape: f"T{shape[0]}-V{shape[1]}")
def written(request, tmp_path):
    sequence_length, vocabulary_size = request.param
    layout = RecordLayout(sequence_length, vocabulary_size)
    rows = make_rows(layout, vocabulary_size)
    path = tmp_path / "rows.tfrecord"
    path.write_bytes(layout.encode(rows))
    return layout, rows, path


def test_tensorflow_reads_the_file(written):
    layout, rows, path = written
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in layout.columns}
    count = 0
    for number, record in enumerate(tf.data.TFRecordDataset(str(path))):
        example = tf.io.parse_single_example(record, features)
        for name, kind in layout.columns.items():
            values = tf.io.decode_raw(example[name], tf.as_dtype(kind)).numpy()
            np.testing.assert_array_equal(values, rows[name][number])
        count += 1
    assert count == len(rows["tokens"])


def test_the_bytes_are_those_of_tensorflow(written, tmp_path):
    layout, rows, path = written
    oracle = tmp_path / "oracle.tfrecord"
    with tf.io.TFRecordWriter(str(oracle)) as writer:
        for number in range(len(rows["tokens"])):
            features = {
                name: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[rows[name][number].astype(kind).tobytes()])
                )
                for name, kind in layout.columns.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))
    assert path.read_bytes() == oracle.read_bytes()


def test_every_record_has_the_size_that_the_layout_says(written):
    layout, rows, path = written
    assert path.stat().st_size == layout.record_bytes * len(rows["tokens"])


def test_decoding_gives_the_rows_back(written):
    layout, rows, path = written
    records = np.frombuffer(path.read_bytes(), layout.dtype)
    assert layout.is_header(records).all()
    assert layout.is_example(records).all()
    assert (layout.payload_crcs(records) == records["crc"]).all()
    for name, column in layout.decode(records).items():
        assert column.dtype == np.int32
        np.testing.assert_array_equal(column, rows[name])


@pytest.mark.parametrize(("vocabulary_size", "kind"), [(65_536, "uint16"), (65_537, "int32")])
def test_ids_take_two_bytes_for_as_long_as_they_fit(vocabulary_size, kind):
    assert RecordLayout(8, vocabulary_size).columns["tokens"] == kind


def test_the_checksum_is_crc32c():
    """RFC 3720, appendix B.4: the CRC-32C of 32 zero bytes is 0x8A9136AA."""
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA
    rotated = (0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8
    assert masked_crc(bytes(32)) == rotated % 2**32


def test_the_checksum_is_computed_by_native_code():
    """The pure Python implementation would be about a thousand times slower."""
    assert google_crc32c.implementation == "c"
