"""MinHash, against exact Jaccard similarities and the formula of its curve."""

import hashlib
import math
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.minhash import band_digests, estimate, signatures

NEAR = config.Near()
VOCABULARY = [f"w{i:x}" for i in range(20_000)]


def jaccard(one, other, n=5):
    """The exact similarity of two lists of words."""
    first, second = (
        {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))}
        for words in (one, other)
    )
    return len(first & second) / len(first | second)


def pair(rng, length, edits):
    """A list of words, and the same with some words replaced."""
    one = rng.choices(VOCABULARY, k=length)
    other = list(one)
    for place in rng.sample(range(length), edits):
        other[place] = rng.choice(VOCABULARY)
    return one, other


def planted(seed, count, length, edits):
    """Pairs and their exact similarities; `length` and `edits` are ranges."""
    rng = random.Random(seed)
    pairs = [pair(rng, rng.randint(*length), rng.randint(*edits)) for _ in range(count)]
    return pairs, np.array([jaccard(*each) for each in pairs])


def sign(pairs, near=NEAR):
    """Signatures of both sides, each [n, places]."""
    texts = [" ".join(words) for each in pairs for words in each]
    found = signatures(texts, near)
    return found[::2], found[1::2]


def share_a_band(first, second, near=NEAR):
    """Which pairs would meet in a bucket: bool [n]."""
    same = band_digests(first, near) == band_digests(second, near)
    return same.all(axis=2).any(axis=1)


@pytest.mark.parametrize(
    "near",
    [NEAR, config.Near(bands=20, rows=13, unit="characters", ngram=24)],
    ids=["words", "characters"],
)
def test_estimates_are_those_of_independent_orders(near):
    """No bias, and the spread that the formula gives: the places are as good as independent."""
    pairs, exact = planted(1, 1_500, (30, 120), (1, 6))
    if near.unit == "characters":
        exact = np.array([jaccard(" ".join(a), " ".join(b), 24) for a, b in pairs])
    places = near.bands * near.rows
    guessed = np.array([estimate(a, b) for a, b in zip(*sign(pairs, near), strict=True)])
    errors = (guessed - exact) / np.sqrt(exact * (1 - exact) / places)
    assert abs(errors.mean()) < 4 / math.sqrt(len(pairs))
    assert 0.9 < errors.std() < 1.1


@pytest.mark.parametrize(
    ("bands", "rows", "limits"),
    [(14, 8, (0.565, 0.924, 1.0)), (25, 10, (0.51, 0.94, 1.0)), (20, 13, (0.18, 0.68, 1.0))],
)
def test_the_curve_is_that_of_the_formula(bands, rows, limits):
    near = config.Near(bands=bands, rows=rows)
    for similarity, published in zip((0.7, 0.8, 0.9), limits, strict=True):
        assert near.probability(similarity) == pytest.approx(published, abs=0.006)
    pairs, exact = planted(2, 3_000, (60, 140), (1, 5))
    met = share_a_band(*sign(pairs, near), near)
    expected = np.array([near.probability(each) for each in exact])
    for low in np.arange(0.5, 1.0, 0.1):
        group = (exact >= low) & (exact < low + 0.1)
        spread = math.sqrt((expected[group] * (1 - expected[group])).sum())
        assert group.sum() > 30
        assert abs(met[group].sum() - expected[group].sum()) < 4 * spread + 1


def test_no_pair_of_similarity_above_nine_tenths_is_missed():
    """10,000 pairs of 110 to 300 words, one of them another word: at most 5 shingles change."""
    rng = random.Random(3)
    pairs = [pair(rng, rng.randint(110, 300), 1) for _ in range(10_000)]
    assert min(jaccard(*each) for each in pairs[:500]) >= (106 - 5) / (106 + 5) > 0.9
    assert share_a_band(*sign(pairs)).all()


def test_unlike_texts_meet_in_no_bucket():
    rng = random.Random(4)
    texts = [" ".join(rng.choices(VOCABULARY, k=60)) for _ in range(5_000)]
    digests = band_digests(signatures(texts, NEAR), NEAR)
    for band in range(NEAR.bands):
        assert len(np.unique(digests[:, band], axis=0)) == len(texts)


def test_shapes_and_kinds_are_as_promised():
    found = signatures(["one text of some words here", ""], NEAR)
    assert found.shape == (2, 112)
    assert found.dtype == np.uint64
    digests = band_digests(found, NEAR)
    assert digests.shape == (2, 14, 16)
    assert digests.dtype == np.uint8
    none = signatures([], NEAR)
    assert none.shape == (0, 112)
    assert band_digests(none, NEAR).shape == (0, 14, 16)


@given(st.lists(st.text(max_size=80), max_size=6))
@settings(max_examples=60)
def test_a_row_does_not_depend_on_the_other_texts(texts):
    together = signatures(texts, NEAR)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(signatures([text], NEAR)[0], row)


def test_equal_words_have_equal_signatures_and_wordless_texts_have_not():
    same = signatures(["A text, in five words.", "a TEXT in five\nwords", "!!!", "???"], NEAR)
    assert estimate(same[0], same[1]) == 1
    assert estimate(same[2], same[3]) == 0


def test_a_digest_is_of_its_band_alone():
    first = signatures(["one text of some words here"], NEAR)
    second = first.copy()
    second[0, 8] += np.uint64(1)
    same = (band_digests(first, NEAR) == band_digests(second, NEAR)).all(axis=2)[0]
    assert same.tolist() == [True, False, *[True] * 12]


def test_a_digest_is_blake2b_of_little_endian_numbers():
    row = signatures(["one text of some words here"], NEAR)
    raw = b"".join(int(each).to_bytes(8, "little") for each in row[0, 8:16])
    assert band_digests(row, NEAR)[0, 1].tobytes() == hashlib.blake2b(raw, digest_size=16).digest()


def test_signatures_are_those_of_every_release():
    """An index of earlier runs holds their digests."""
    found = signatures(["We hold these truths to be self-evident, that all men are"], NEAR)
    assert hashlib.sha256(found.tobytes()).hexdigest() == PINNED


def test_a_core_signs_more_than_two_megabytes_a_second():
    """6 GB a core-hour is 1.7 MB/s, with everything else that a document needs."""
    rng = random.Random(5)
    texts = [" ".join(rng.choices(VOCABULARY, k=500)) for _ in range(400)]
    size = sum(map(len, texts))
    signatures(texts[:5], NEAR)
    times = []
    for _ in range(3):
        start = time.process_time()
        band_digests(signatures(texts, NEAR), NEAR)
        times.append(time.process_time() - start)
    assert size / min(times) > 2e6


PINNED = "9137926f1453c579ae071714ae4580163fd34d31f88f2eb1b56316a133b4a149"
