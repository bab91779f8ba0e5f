"""A small tokenized corpus on disk, made without Beam."""

import hashlib

import hypothesis
import numpy as np
import pytest

from llm_keras.data import manifest as manifests
from llm_keras.data import packing, pairs
from llm_keras.data.record_codec import RecordLayout

BOS, EOS = 2, 3

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


def random_documents(count, seed, vocabulary_size=300):
    """Documents of 2 to 40 tokens: bos, some ids, eos."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 39, count)
    return [np.array([BOS, *rng.integers(4, vocabulary_size, size), EOS]) for size in sizes]


@pytest.fixture(scope="session")
def make_corpus():
    """Packs shards of documents into a folder; returns its manifest."""

    def make(folder, train, validation=(), sequence_length=8, vocabulary_size=300):
        layout = RecordLayout(sequence_length, vocabulary_size)
        shards, splits = [], {}
        for split, parts in (("train", train), ("validation", validation)):
            rows = 0
            for number, documents in enumerate(parts):
                content = b"".join(map(layout.encode, packing.pack(documents, sequence_length)))
                name = f"{split}-{number:05d}-of-{len(parts):05d}.tfrecord"
                (folder / name).write_bytes(content)
                count = len(content) // layout.record_bytes
                digest = hashlib.sha256(content).hexdigest()
                shards.append(
                    {
                        "file": name,
                        "split": split,
                        "rows": count,
                        "bytes": len(content),
                        "sha256": digest,
                    }
                )
                rows += count
            tokens = sum(len(document) for documents in parts for document in documents)
            documents = sum(map(len, parts))
            splits[split] = {
                "rows": rows,
                "tokens": tokens,
                "targets": tokens - documents,
                "documents": documents,
                "bytes": 3 * tokens,
                "bytes_per_token": 3.0,
            }
        manifest = manifests.Manifest.model_validate(
            {
                "sequence_length": sequence_length,
                "vocabulary_size": vocabulary_size,
                "columns": layout.columns,
                "record_bytes": layout.record_bytes,
                "tokenizer_sha256": "a" * 64,
                "settings_hash": "b" * 64,
                "splits": splits,
                "shards": shards,
                "sources": {},
            }
        )
        manifests.write(manifest, folder)
        return manifest

    return make


@pytest.fixture
def corpus(tmp_path, make_corpus):
    """Three training shards, one of them empty, and one for validation."""
    train = [random_documents(20, seed=0), [], random_documents(12, seed=1)]
    make_corpus(tmp_path, train, [random_documents(5, seed=2)])
    return tmp_path


@pytest.fixture
def documents():
    """The training documents of `corpus`, in the order of its shards."""
    return random_documents(20, seed=0) + random_documents(12, seed=1)


@pytest.fixture(scope="session")
def make_pair_corpus():
    """Fills shards of pairs, of each bucket two for training and one for validation.

    `counts` has pairs of each length, for both splits. Ids are below 300; the first id of a source
    is the number of its pair.
    """

    def make(folder, counts, validation=None, vocabulary_size=300):
        rng = np.random.default_rng(0)
        shards, splits, buckets, longest = [], {}, [], max(counts)
        for split, sizes, parts in (("train", counts, 2), ("validation", validation or counts, 1)):
            tokens, number = 0, 0
            for length, count in sizes.items():
                layout = RecordLayout(length, vocabulary_size, "pairs")
                for part in range(parts):
                    sources, targets = [], []
                    for _ in range(part, count, parts):
                        size = int(rng.integers(2, length + 1))
                        sources.append(np.array([4 + number % 296, *[9] * (size - 2), EOS]))
                        targets.append(np.array([BOS, *rng.integers(4, 300, size - 1), EOS]))
                        tokens, number = tokens + size + 1, number + 1
                    content = layout.encode(pairs.fill(sources, targets, length))
                    name = f"{split}-b{length:05d}-{part:05d}-of-{parts:05d}.tfrecord"
                    (folder / name).write_bytes(content)
                    shard = {"file": name, "split": split, "rows": len(sources)}
                    digest = hashlib.sha256(content).hexdigest()
                    shards.append(shard | {"bytes": len(content), "sha256": digest})
            splits[split] = {"rows": number, "tokens": tokens, "targets": tokens - number}
            splits[split] |= {"documents": number, "bytes": tokens, "bytes_per_token": 1.0}
        for length, count in counts.items():
            size = RecordLayout(length, vocabulary_size, "pairs").record_bytes
            rows = {"train": count, "validation": (validation or counts)[length]}
            buckets.append({"length": length, "record_bytes": size, "rows": rows})
        layout = RecordLayout(longest, vocabulary_size, "pairs")
        manifest = manifests.Manifest.model_validate(
            {
                "sequence_length": longest,
                "vocabulary_size": vocabulary_size,
                "columns": layout.columns,
                "record_bytes": layout.record_bytes,
                "tokenizer_sha256": "a" * 64,
                "settings_hash": "b" * 64,
                "splits": splits,
                "shards": shards,
                "sources": {},
                "buckets": buckets,
            }
        )
        manifests.write(manifest, folder)
        return manifest

    return make
