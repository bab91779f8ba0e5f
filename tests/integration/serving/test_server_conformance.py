"""The embedded server answers as TensorFlow Serving does."""

import pytest

from serving.conformance.cases import NAME, all_cases
from serving.conformance.runner import difference
from serving.models.saved_model import SavedModel

GOOD = {"instances": [1.0]}


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_case(reference_server, ask, case):
    """The case, and after a refusal the next request is served."""
    assert difference(reference_server, case) is None
    if case.status >= 400:
        assert ask(reference_server, f"/v1/models/{NAME}:predict", GOOD).status == 200


def test_metadata_describes_every_signature(reference_server, reference_folder, ask):
    """The SignatureDefs of the file are the oracle, in the JSON form of protobuf."""
    answer = ask(reference_server, f"/v1/models/{NAME}/metadata").json
    assert answer["model_spec"] == {"name": NAME, "signature_name": "", "version": "123"}
    described = answer["metadata"]["signature_def"]["signature_def"]
    model = SavedModel(reference_folder / "00000123", timeout_seconds=1)
    model.close()
    assert set(described) == set(model.signature_defs)
    tensor = model.signature_defs["serving_default"].inputs["x"]
    assert described["serving_default"] == {
        "inputs": {
            "x": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
                    "unknown_rank": False,
                },
                "name": tensor.name,
            }
        },
        "outputs": described["serving_default"]["outputs"],
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    assert described["float_tensor"]["inputs"]["x"]["tensor_shape"] == {
        "dim": [],
        "unknown_rank": True,
    }
    assert described["classify_x_to_y"]["method_name"] == "tensorflow/serving/classify"


@pytest.mark.parametrize("path", ["/versions/123/metadata", "/labels/Version_Label/metadata"])
def test_metadata_of_a_version(reference_server, ask, path):
    """By number and by label."""
    answer = ask(reference_server, f"/v1/models/{NAME}{path}").json
    assert answer["model_spec"]["version"] == "123"


def test_head_and_options_are_no_methods_of_the_api(reference_server, ask):
    """TensorFlow Serving calls them malformed; HEAD's answer has no body."""
    assert ask(reference_server, f"/v1/models/{NAME}", method="HEAD").status == 400
    options = ask(reference_server, f"/v1/models/{NAME}", method="OPTIONS")
    assert options.error == f"Malformed request: OPTIONS /v1/models/{NAME}"


def test_the_answer_can_be_read_by_a_person(reference_server, ask):
    """curl prints it as it comes."""
    answer = ask(reference_server, f"/v1/models/{NAME}:predict", {"instances": [1.0, 2.0]})
    assert answer.text == '{\n    "predictions": [2.5, 3.0]\n}'
    assert answer.headers["content-type"] == "application/json"


def test_path_tricks_reach_no_file(reference_server, ask):
    """An encoded path is a name that does not exist, and the answer shows no folder."""
    answer = ask(reference_server, "/v1/models/..%2f..%2fetc%2fpasswd:predict", GOOD)
    assert (answer.status, answer.error) == (
        404,
        "Servable not found for request: Latest(../../etc/passwd)",
    )
    assert ask(reference_server, "/v1/models/../../etc/passwd").status == 400
