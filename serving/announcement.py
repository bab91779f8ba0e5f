"""What is printed when the server is ready: where it is, and a request to try."""

from __future__ import annotations

import json
from typing import Any

from serving.models.servable import Servable
from serving.models.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_VALUES: dict[str, Any] = {
    "string": "Once upon a time",
    "bool": True,
    "float": 1.0,
    "double": 1.0,
}


def announcement(name: str, servable: Servable, url: str, key_variable: str | None) -> str:
    """Two lines: the model's address, and a command that asks it something.

    Args:
        name: The model's name.
        servable: The version that is served.
        url: Where the server listens.
        key_variable: Environment variable of the API key, if one is needed.
    """
    address = f"{url}/v1/models/{name}"
    lines = [f"serving {name} version {servable.version} at {address}"]
    signature = servable.model.signatures.get(DEFAULT_SIGNATURE)
    if signature and signature.inputs:
        header = f' -H "Authorization: Bearer ${key_variable}"' if key_variable else ""
        body = json.dumps({"instances": [_instance(signature)]})
        lines.append(f"try: curl{header} -d '{body}' {address}:predict")
    return "\n".join(lines)


def _instance(signature: Signature) -> Any:
    values = {alias: _value(spec) for alias, spec in signature.inputs.items()}
    return values if len(values) > 1 else next(iter(values.values()))


def _value(spec: TensorSpec) -> Any:
    """A value of the right type and shape, where the free dimensions are 1 and the batch is off."""
    value = _VALUES.get(spec.dtype, 1)
    for size in reversed((spec.shape or ())[1:]):
        value = [value] * min(max(size, 1), 8)
    return value
