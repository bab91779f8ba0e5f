"""Predict, classify and regress: from a request's body to an answer's, in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from serving.errors import invalid
from serving.models.manager import ModelManager
from serving.models.model_spec import ModelSpec
from serving.models.signature import CLASSIFY, DEFAULT_SIGNATURE, REGRESS
from serving.rest import examples, json_text, predictions, results, tensors

Encoder = Callable[[Mapping[str, Any], int], str]


def predict(models: ModelManager, spec: ModelSpec, body: bytes) -> str:
    """Answers a predict request.

    Raises:
        ServingError: Whatever is wrong with the request, or the model's own failure.
    """
    document = json_text.parse(body)
    name = _signature_name(document)
    with models.hold(spec) as servable:
        signature = servable.model.signatures.get(name)
        if signature is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        if not signature.inputs:
            raise invalid(f"Failed to get input map for signature: {name}")
        layout, inputs = tensors.decode(document, signature.inputs)
        return predictions.encode(servable.model.run(signature, inputs), layout)


def classify(models: ModelManager, spec: ModelSpec, body: bytes) -> str:
    """Answers a classify request; raises as `predict`."""
    return _on_examples(models, spec, body, CLASSIFY, results.encode_classes)


def regress(models: ModelManager, spec: ModelSpec, body: bytes) -> str:
    """Answers a regress request; raises as `predict`."""
    return _on_examples(models, spec, body, REGRESS, results.encode_values)


def _on_examples(
    models: ModelManager, spec: ModelSpec, body: bytes, method: str, encode: Encoder
) -> str:
    document = json_text.parse(body)
    name = _signature_name(document)
    serialized = examples.decode(document)
    with models.hold(spec) as servable:
        signature = results.check(servable.model.signatures.get(name), name, method)
        return encode(servable.model.run(signature, {"inputs": serialized}), len(serialized))


def _signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {json_text.show(document)} not formatted correctly."
            " 'signature_name' key must be a string value."
        )
    return name or DEFAULT_SIGNATURE


#: What may be done with a model, by the verb of the path.
ACTIONS = {"predict": predict, "classify": classify, "regress": regress}
