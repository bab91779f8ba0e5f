"""What to ask, and what TensorFlow Serving answers, as its source and its own tests have it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field

NAME = "half_plus_two"
VERSION = 123
LABEL = "Version_Label"

_MODEL = f"/v1/models/{NAME}"
_PREDICT = f"{_MODEL}:predict"


@dataclass(frozen=True)
class Case:
    """One request and its answer.

    Args:
        name: What it shows.
        method: HTTP method.
        path: As sent.
        body: Request body, or None.
        status: Expected HTTP status.
        says: For an error: part of its message.
        answer: For a success: JSON that equals the answer.
        as_written: Compare numbers as text, not by value.
        headers: Further request headers.
    """

    name: str
    method: str
    path: str
    body: str | bytes | None = None
    status: int = 200
    says: str = ""
    answer: str = ""
    as_written: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def _malformed(name: str, method: str, path: str) -> Case:
    return Case(f"malformed: {name}", method, path, "{}", 400, says="Malformed request")


def _refused(name: str, body: str, says: str, path: str = _PREDICT) -> Case:
    return Case(f"refused: {name}", "POST", path, body, 400, says=says)


def _same(name: str, signature: str, value: str, written: str | None = None) -> Case:
    """A signature that gives back what it gets, in both layouts' common form."""
    body = f'{{"signature_name": "{signature}", "instances": {value}}}'
    answer = f'{{"predictions": {written or value}}}'
    return Case(f"value: {name}", "POST", _PREDICT, body, answer=answer, as_written=True)


def _ask(name: str, path: str, body: str, answer: str) -> Case:
    return Case(name, "POST", path, body, answer=answer)


PATHS: tuple[Case, ...] = (
    Case("no model name", "GET", "/v1/models", status=400, says="Missing model name"),
    _malformed("GET of nothing", "GET", "/v1/foo"),
    _malformed("POST of nothing", "POST", "/v1/foo"),
    _malformed("a level too deep", "GET", "/v1/models/debug/model_name"),
    _malformed("POST without verb", "POST", "/v1/models"),
    _malformed("GET with verb", "GET", "/v1/models/foo:predict"),
    _malformed("version, not versions", "POST", "/v1/models/foo/version/50:regress"),
    _malformed("version in letters", "POST", "/v1/models/foo/versions/HELLO:regress"),
    _malformed("label, not labels", "POST", "/v1/models/foo/label/some_label:regress"),
    _malformed("version and label", "POST", "/v1/models/foo/versions/50/labels/x:regress"),
    _malformed("POST of metadata", "POST", "/v1/models/foo/metadata"),
    _malformed("verb in capitals", "POST", f"{_MODEL}:PREDICT"),
    _malformed("query after the verb", "POST", f"{_PREDICT}?x=1"),
    _malformed("other method", "PUT", _PREDICT),
    Case(
        "version beyond 64 bits",
        "POST",
        "/v1/models/foo/versions/18446744073709551615:regress",
        "{}",
        400,
        says="Failed to convert version",
    ),
    Case("outside the API", "GET", "/statuspage", status=404),
    Case("prefix without slash", "GET", "/v1", status=404),
    Case(
        "unknown model",
        "POST",
        "/v1/models/foo:predict",
        '{"instances": [1]}',
        404,
        says="Servable not found for request: Latest(foo)",
    ),
    Case(
        "unknown version",
        "POST",
        f"{_MODEL}/versions/99:predict",
        '{"instances": [1]}',
        404,
        says=f"Servable not found for request: Specific({NAME}, 99)",
    ),
    Case(
        "unknown label",
        "POST",
        f"{_MODEL}/labels/Version_Nonexistent:predict",
        '{"instances": [1]}',
        400,
        says="Unrecognized servable version label: Version_Nonexistent",
    ),
    Case("status of an unknown model", "GET", "/v1/models/foo", status=404, says="any versions"),
    Case(
        "status of an unknown version", "GET", f"{_MODEL}/versions/7", status=404, says="version 7"
    ),
    _ask(
        "any case of the path",
        f"/V1/MODELS/{NAME}:predict",
        '{"instances": [1]}',
        '{"predictions": [2.5]}',
    ),
    _ask(
        "encoded name",
        f"/v1/models/{NAME.replace('_', '%5F')}:predict",
        '{"instances": [1]}',
        '{"predictions": [2.5]}',
    ),
    _ask(
        "version with zeros",
        f"{_MODEL}/versions/000{VERSION}:predict",
        '{"instances": [1.0, 2.0]}',
        '{"predictions": [2.5, 3.0]}',
    ),
    _ask(
        "label",
        f"{_MODEL}/labels/{LABEL}:predict",
        '{"instances": [1.0, 2.0]}',
        '{"predictions": [2.5, 3.0]}',
    ),
)

_AVAILABLE = (
    f'{{"model_version_status": [{{"version": "{VERSION}", "state": "AVAILABLE",'
    ' "status": {"error_code": "OK", "error_message": ""}}]}'
)

STATUS: tuple[Case, ...] = tuple(
    Case(f"status of {what}", "GET", path, answer=_AVAILABLE)
    for what, path in (
        ("all versions", _MODEL),
        ("one version", f"{_MODEL}/versions/{VERSION}"),
        ("a label", f"{_MODEL}/labels/{LABEL}"),
    )
)

REQUESTS: tuple[Case, ...] = (
    Case("empty body", "POST", _PREDICT, "", 400, says="JSON Parse error: The document is empty"),
    _refused("blank body", "  ", "JSON Parse error: The document is empty"),
    _refused("not JSON", "instances = [1, 2]", "JSON Parse error: Invalid value"),
    _refused(
        "more than one value", '{"instances": [1]} {}', "must not be followed by other values"
    ),
    _refused("no object", "[1, 2]", "Is not object"),
    _refused("no inputs", "{}", "Missing 'inputs' or 'instances' key"),
    _refused("both layouts", '{"instances": [1], "inputs": [1]}', "Not formatted correctly"),
    _refused("instances not a list", '{"instances": 1}', "to be an list/array"),
    _refused("no instances", '{"instances": []}', "No values in 'instances' array"),
    _refused("text for a float", '{"instances": ["x", "y"]}', "not of expected type: float"),
    _refused(
        "null for a float", '{"instances": [null]}', "Type: Null is not of expected type: float"
    ),
    _refused(
        "bool for a float", '{"instances": [true]}', "Type: True is not of expected type: float"
    ),
    _refused(
        "signature name not text",
        '{"signature_name": 100}',
        "'signature_name' key must be a string value.",
    ),
    _refused(
        "unknown signature",
        '{"signature_name": "x", "instances": [1]}',
        'Serving signature name: "x" not found in signature def',
    ),
    _refused(
        "rows of other size",
        '{"instances": [[1,2],[3,4],[5,6,7]]}',
        "Expecting tensor size: 2 but got: 3",
    ),
    _refused(
        "rows of other shape",
        '{"instances": [[1,2],[3,4],[[5,6]]]}',
        "Expecting shape [2] but got: [1,2]",
    ),
    _refused("scalar and list", '{"instances": [1, [1]]}', "Expecting shape [] but got: [1]"),
    _refused(
        "uneven columns",
        '{"inputs": [[1,2],[3,4],[5,6,7]]}',
        "unexpected size: 3 at level: 1 expected size: 2",
    ),
    _refused("list beside numbers", '{"inputs": [1, [2]]}', "Encountered list at unexpected level"),
    _refused("number beside lists", '{"inputs": [[1], 2]}', "found at incorrect level"),
    _refused(
        "list, then record", '{"instances": [1, {"x": 1}]}', "Expecting value/list but got object"
    ),
    _refused("record, then list", '{"instances": [{"x": 1}, 1]}', "Expecting object but got list"),
    _refused("unknown input", '{"instances": [{"z": 1}]}', "does not have named input: z"),
    _refused("extra input", '{"instances": [{"x": 1, "y": 2}]}', "does not have named input: y"),
    _refused(
        "missing column", '{"inputs": {"z": 1}}', "Missing named input: x in 'inputs' object."
    ),
    _refused(
        "plain rows for several inputs",
        '{"signature_name": "all_types", "instances": [1]}',
        "instances is a plain list, but expecting list of objects",
    ),
    _refused(
        "a plain column for several inputs",
        '{"signature_name": "all_types", "inputs": [1]}',
        "inputs is a plain value/list, but expecting an object",
    ),
    _refused(
        "a row without an input",
        '{"signature_name": "all_types", "instances": [{"int_tensor": 1}]}',
        "keys must be equal to: bool_tensor,dbl_tensor",
    ),
    _refused(
        "a real number for an integer",
        '{"signature_name": "int_tensor", "instances": [1.0]}',
        "JSON Value: 1.0 Type: Number is not of expected type: int32",
    ),
    _refused(
        "an integer beyond its type",
        '{"signature_name": "int_tensor", "instances": [2147483648]}',
        "is not of expected type: int32",
    ),
    _refused(
        "a number for a text",
        '{"signature_name": "str_tensor", "instances": [1]}',
        "is not of expected type: string",
    ),
    _refused(
        "base64 that is none",
        '{"signature_name": "str_tensor", "instances": [{"b64": "*"}]}',
        "Unable to base64 decode",
    ),
    _refused(
        "base64 for a number",
        '{"signature_name": "int_tensor", "inputs": {"b64": "AAAA"}}',
        "is not of expected type: int32",
    ),
    _refused(
        "the model's own check",
        '{"signature_name": "positive", "instances": [1.0, -1.0]}',
        "x must be positive",
    ),
    _refused(
        "outputs of other batch sizes",
        '{"signature_name": "uneven", "instances": [1.0, 2.0]}',
        "inconsistent batch size: 1 expecting: 2",
    ),
    _refused(
        "nested half a million deep",
        f'{{"signature_name": {"[" * 500_000}{"]" * 500_000}}}',
        "",
    ),
)

PREDICTIONS: tuple[Case, ...] = (
    _ask(
        "rows",
        _PREDICT,
        '{"instances": [[1.0, 2.0], [3.0, 4.0]]}',
        '{"predictions": [[2.5, 3.0], [3.5, 4.0]]}',
    ),
    _ask(
        "rows of records",
        _PREDICT,
        '{"instances": [{"x": [1.0]}, {"x": [2]}]}',
        '{"predictions": [[2.5], [3.0]]}',
    ),
    _ask(
        "columns",
        _PREDICT,
        '{"signature_name": "serving_default", "inputs": [3.0, 4.0]}',
        '{"outputs": [3.5, 4.0]}',
    ),
    _ask(
        "named columns, one too many",
        _PREDICT,
        '{"inputs": {"x": [[3]], "z": "?"}}',
        '{"outputs": [[3.5]]}',
    ),
    _ask("a scalar", _PREDICT, '{"inputs": 3}', '{"outputs": 3.5}'),
    _ask(
        "empty signature name",
        _PREDICT,
        '{"signature_name": "", "inputs": [3]}',
        '{"outputs": [3.5]}',
    ),
    _ask(
        "first of repeated keys", _PREDICT, '{"inputs": [3], "inputs": [4]}', '{"outputs": [3.5]}'
    ),
    _ask(
        "no rows left",
        _PREDICT,
        '{"signature_name": "no_rows", "instances": [1.0]}',
        '{"predictions": []}',
    ),
    _ask(
        "bytes under a name that says so",
        _PREDICT,
        '{"signature_name": "bytes", "inputs": {"x": ["hello", {"b64": "//4="}]}}',
        '{"outputs": [{"b64": "aGVsbG8="}, {"b64": "//4="}]}',
    ),
    _ask(
        "every type by rows",
        _PREDICT,
        """{"signature_name": "all_types", "instances": [
            {"int_tensor": 1, "long_tensor": 9007199254740993, "bool_tensor": true,
             "float_tensor": [0.5], "dbl_tensor": 0.1, "str_tensor": "foo"},
            {"int_tensor": 2, "long_tensor": -1, "bool_tensor": false,
             "float_tensor": [2], "dbl_tensor": 1e300, "str_tensor": {"b64": "YmFy"}}]}""",
        """{"predictions": [
            {"bool_tensor": true, "dbl_tensor": 0.1, "float_tensor": [0.5], "int_tensor": 1,
             "long_tensor": 9007199254740993, "str_tensor": "foo",
             "str_tensor_bytes": {"b64": "Zm9v"}},
            {"bool_tensor": false, "dbl_tensor": 1e300, "float_tensor": [2.0], "int_tensor": 2,
             "long_tensor": -1, "str_tensor": "bar", "str_tensor_bytes": {"b64": "YmFy"}}]}""",
    ),
    _ask(
        "every type by columns",
        _PREDICT,
        """{"signature_name": "all_types", "inputs": {
            "int_tensor": [[1, 2]], "long_tensor": 7, "bool_tensor": [], "float_tensor": [1, 2.5],
            "dbl_tensor": [[]], "str_tensor": ["a", "b"]}}""",
        """{"outputs": {"bool_tensor": [], "dbl_tensor": [[]], "float_tensor": [1.0, 2.5],
            "int_tensor": [[1, 2]], "long_tensor": 7, "str_tensor": ["a", "b"],
            "str_tensor_bytes": [{"b64": "YQ=="}, {"b64": "Yg=="}]}}""",
    ),
    Case(
        "gzip body, any content type",
        "POST",
        _PREDICT,
        gzip.compress(b'{"instances": [1]}', mtime=0),
        answer='{"predictions": [2.5]}',
        headers={"Content-Encoding": "gzip", "Content-Type": "text/html"},
    ),
)

VALUES: tuple[Case, ...] = (
    _same("integers as floats", "float_tensor", "[1, 2.0, 5.003, 0]", "[1.0, 2.0, 5.003, 0.0]"),
    _same("the nearest float", "float_tensor", "[1435774380]", "[1.43577434e+09]"),
    _same(
        "six digits",
        "float_tensor",
        "[9000000, 999999, 0.5, 0.0003]",
        "[9e+06, 999999.0, 0.5, 0.0003]",
    ),
    _same("small and odd", "float_tensor", "[0.00003, 555557.5]", "[3e-05, 555557.5]"),
    _same("double", "dbl_tensor", "[0.1, 0.30000000000000004]", "[0.1, 0.30000000000000004]"),
    _same(
        "not finite",
        "float_tensor",
        "[NaN, Infinity, 3, -Infinity]",
        "[NaN, Infinity, 3.0, -Infinity]",
    ),
    _same("exponents", "dbl_tensor", "[1e5, 2E-3]", "[100000.0, 0.002]"),
    _same("large integers", "long_tensor", "[9223372036854775807, -9223372036854775808]"),
    _same("booleans", "bool_tensor", "[[true], [false]]"),
    _same("text", "str_tensor", '["h\\u00e9llo\\n\\"", "\\ud83d\\ude00", "\\u0000"]'),
    _same(
        "base64 text",
        "str_tensor",
        '[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]',
        '["hello", "world"]',
    ),
    _same("nested text", "str_tensor", '[[{"b64": "aGVsbG8="}], ["x"]]', '[["hello"], ["x"]]'),
)

_REGRESS = f"{_MODEL}:regress"
_CLASSIFY = f"{_MODEL}:classify"

EXAMPLES: tuple[Case, ...] = (
    _ask(
        "regress",
        _REGRESS,
        '{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}',
        '{"results": [42]}',
    ),
    _ask(
        "regress by label",
        f"{_MODEL}/labels/{LABEL}:regress",
        '{"signature_name": "regress_x_to_y", "examples": [{"x": [80.0]}, {"x": 2.0}]}',
        '{"results": [42, 3]}',
    ),
    _ask(
        "regress with context",
        _REGRESS,
        '{"signature_name": "regress_x_to_y", "context": {"x": 80.0}, "examples": [{"z": 1}]}',
        '{"results": [42]}',
    ),
    _ask(
        "classify",
        _CLASSIFY,
        '{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}',
        '{"results": [[["", 12]]]}',
    ),
    _refused(
        "examples missing",
        '{"signature_name": "regress_x_to_y"}',
        "'examples' is expected",
        _REGRESS,
    ),
    _refused("examples not a list", '{"examples": {"x": 1.0}}', "list/array", _REGRESS),
    _refused("no examples", '{"examples": []}', "is an empty array", _REGRESS),
    _refused(
        "example not an object",
        '{"examples": [[{"x": 1.0}]]}',
        "Example must be JSON object",
        _REGRESS,
    ),
    _refused(
        "context not an object",
        '{"context": [1], "examples": [{}]}',
        "Example must be JSON object",
        _CLASSIFY,
    ),
    _refused(
        "null in a feature",
        '{"examples": [{"n": [10, null]}]}',
        "unexpected JSON type: Null",
        _REGRESS,
    ),
    _refused(
        "list in a feature",
        '{"examples": [{"n": [[10], 20]}]}',
        "unexpected JSON type: Array",
        _REGRESS,
    ),
    _refused(
        "mixed feature",
        '{"examples": [{"n": [10, 10.0]}]}',
        "feature: n expecting type: int64",
        _REGRESS,
    ),
    _refused(
        "feature beyond int64",
        '{"examples": [{"n": 18446744073709551603}]}',
        "Only int64 is supported",
        _REGRESS,
    ),
    _refused(
        "regress of a predict signature",
        '{"examples": [{"x": 1.0}]}',
        "Expected regression signature method_name to be tensorflow/serving/regress. Was:",
        _REGRESS,
    ),
    _refused(
        "classify of a regress signature",
        '{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}',
        "Expected classification signature method_name to be tensorflow/serving/classify. Was:",
        _CLASSIFY,
    ),
    _refused(
        "unknown signature of examples",
        '{"signature_name": "x", "examples": [{"x": 1.0}]}',
        "No signature was found with the name: x",
        _REGRESS,
    ),
)


def all_cases() -> Iterable[Case]:
    """Every case; all are independent of each other."""
    return (*PATHS, *STATUS, *REQUESTS, *PREDICTIONS, *VALUES, *EXAMPLES)
