"""Request lines to models and actions; whole requests are in the conformance cases."""

import pytest

from serving.errors import ServingError
from serving.models.model_spec import ModelSpec
from serving.rest import paths


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/v1/models/m", ("status", ModelSpec("m"))),
        ("GET", "/v1/models/m/versions/3/metadata", ("metadata", ModelSpec("m", 3))),
        ("GET", "/v1/models/m/labels/best%2Fone", ("status", ModelSpec("m", label="best/one"))),
        ("GET", "/v1/models/m/METADATA", ("status", ModelSpec("m"))),
        ("GET", "/v1/models/m?x=1", ("status", ModelSpec("m?x=1"))),
        ("POST", "/v1/models/m:classify", ("classify", ModelSpec("m"))),
        ("POST", "/V1/Models/m/LABELS/l:predict", ("predict", ModelSpec("m", label="l"))),
        ("POST", "/v1/models/..%2f..%2fetc:predict", ("predict", ModelSpec("../../etc"))),
        ("POST", "/v1/models/%C3%A9:predict", ("predict", ModelSpec("é"))),
        ("POST", "/v1/models/%FF%zz:predict", ("predict", ModelSpec("\ufffd%zz"))),
        ("POST", "/v1/models/m/versions/9223372036854775807:regress",
         ("regress", ModelSpec("m", 2**63 - 1))),
    ],
)  # fmt: skip
def test_parse_reads(method, target, expected):
    """Names are decoded once, numbers are whole, and only the parts of the path vary in case."""
    assert paths.parse(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        ("POST", "/v1/models/a/b:predict", "Malformed request: POST /v1/models/a/b:predict"),
        ("POST", "/v1/models/../x:predict", "Malformed request: POST /v1/models/../x:predict"),
        ("POST", "/v1/models/m:predict:predict", "Malformed request"),
        ("POST", "/v1/models/m/versions/-1:predict", "Malformed request"),
        ("POST", "/v1/models/m/versions/١:predict", "Malformed request"),
        ("DELETE", "/v1/models/m", "Malformed request: DELETE /v1/models/m"),
        ("GET", "/v1/models/versions/1", "Missing model name in request."),
        ("GET", "/v1/models/m/versions/9223372036854775808", "Failed to convert version: 92233"),
        ("GET", "/v1/models/m/versions/" + "9" * 9000, "Failed to convert version: 99"),
    ],
)
def test_parse_refuses(method, target, message):
    """What is no action of the API is malformed, with the request line as it came."""
    with pytest.raises(ServingError) as caught:
        paths.parse(method, target)
    assert caught.value.message.startswith(message)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("spec", "text"), [(ModelSpec("m"), "Latest(m)"), (ModelSpec("m", 7), "Specific(m, 7)")]
)
def test_a_spec_reads_as_tensorflow_serving_writes_it(spec, text):
    """The form appears in error messages that clients match on."""
    assert str(spec) == text
