"""Random requests: an answer or a clear refusal, never a crash.

Documents grow from a seed rather than from nested strategies, which take most of the time that the
machine has to build them; a failure is found again by its seed.
"""

import json
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.models.signature import TensorSpec
from serving.rest import examples, json_text, predictions, tensors

DTYPES = ["float", "double", "int8", "int32", "int64", "uint8", "uint64", "bool", "string"]
LEAVES = [
    None, True, False, 0, -1, 7, 255, 256, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400,
    0.0, -0.5, 1e-40, 1e39, 1e300, float("nan"), float("inf"), "", "x", "é\0\n", "\ud800", "😀",
    {"b64": "AP8="}, {"b64": "x"}, {"b64": 1}, {"b64": "", "x": 1}, {}, [],
]  # fmt: skip
KEYS = ["instances", "inputs", "examples", "context", "signature_name", "x"]
SEEDS = st.integers(0, 2**64)
FUZZ = settings(max_examples=2000, deadline=None, database=None)
FUZZ_LESS = settings(FUZZ, max_examples=500)


def grow(source, depth=0):
    """A JSON value; lists are mostly even, as tensors are."""
    kind = source.random()
    if depth > 3 or kind < 0.3:
        return source.choice(LEAVES)
    if kind < 0.6:
        leaf = source.choice([1, 0.5, True, "x", source.choice(LEAVES)])
        return [[leaf] * source.randrange(4)] * source.randrange(4)
    if kind < 0.8:
        return [grow(source, depth + 1) for _ in range(source.randrange(4))]
    return {source.choice(["a", "b", "b64"]): grow(source, depth + 1) for _ in range(2)}


def request(source):
    """A body with one or two of the keys that mean something."""
    return {source.choice(KEYS): grow(source) for _ in range(source.randint(1, 2))}


def outcome(call):
    """What `call` returns, or how it refused; any other exception is the crash looked for."""
    try:
        return call(), None
    except ServingError as refused:
        return None, refused


def decode(seed):
    """A random request against a random signature."""
    source = random.Random(seed)
    document = request(source)
    aliases = source.choice(["a", "ab"])
    inputs = {alias: TensorSpec(f"{alias}:0", source.choice(DTYPES)) for alias in aliases}
    body = json.dumps(document).encode()
    return document, inputs, outcome(lambda: tensors.decode(json_text.parse(body), inputs))


@FUZZ
@given(SEEDS)
def test_a_request_is_decoded_or_refused(seed):
    """What is decoded has the signature's types, and can be written and read again."""
    document, inputs, (decoded, refused) = decode(seed)
    if refused:
        assert refused.http_status == 400
        assert len(refused.message) < 2000
        return
    layout, arrays = decoded
    assert set(arrays) == set(inputs)
    if layout == "row":
        assert {len(array) for array in arrays.values()} == {len(document["instances"])}
    written = json.loads(predictions.encode(arrays, "columnar"))["outputs"]
    again = tensors.decode({"inputs": written}, inputs)[1]
    for alias, array in arrays.items():
        if array.size and b"\0\xff" not in array.reshape(-1).tolist():  # bytes become U+FFFD
            np.testing.assert_array_equal(again[alias], array)


def test_the_fuzzer_reaches_both_ends():
    """Random requests that were all refused would show nothing about decoding."""
    refusals = [refused is not None for _, _, (_, refused) in map(decode, range(500))]
    assert 20 < sum(refusals) < 480


@FUZZ_LESS
@given(st.binary(max_size=200) | st.text('{}[]",:0123456789.eE-+tfnNaI\\u ', max_size=60))
def test_any_bytes_are_parsed_or_refused(body):
    """Arbitrary bytes, and text near JSON."""
    body = body.encode() if isinstance(body, str) else body
    document, refused = outcome(lambda: json_text.parse(body))
    assert refused.http_status == 400 if refused else isinstance(document, dict)


@FUZZ_LESS
@given(SEEDS)
def test_examples_are_decoded_or_refused(seed):
    """The same for classify and regress."""
    source = random.Random(seed)
    document = {**request(source), "examples": [grow(source) for _ in range(source.randint(1, 2))]}
    body = json.dumps(document).encode()
    serialized, refused = outcome(lambda: examples.decode(json_text.parse(body)))
    assert refused.http_status == 400 if refused else len(serialized) == len(document["examples"])
