"""Status and metadata of a model as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # comes without

from serving.errors import Code
from serving.models.status import VersionStatus


def status(versions: Sequence[VersionStatus]) -> str:
    """The body of a status answer, as `GetModelStatusResponse`."""
    return json.dumps({"model_version_status": [_version(item) for item in versions]}, indent=1)


def metadata(name: str, version: int, signature_defs: Mapping[str, Any]) -> str:
    """The body of a metadata answer, as `GetModelMetadataResponse`.

    Args:
        name: The model's name.
        version: The version described.
        signature_defs: A `SignatureDef` for each signature.
    """
    definitions = {key: _definition(signature_defs[key]) for key in sorted(signature_defs)}
    return json.dumps(
        {
            "model_spec": {"name": name, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": definitions}},
        },
        indent=1,
        ensure_ascii=False,
    )


def _version(item: VersionStatus) -> dict[str, Any]:
    code = item.error.code if item.error else Code.OK
    message = item.error.message if item.error else ""
    return {
        "version": str(item.version),
        "state": item.state.value,
        "status": {"error_code": code.name, "error_message": message},
    }


def _definition(signature_def: Any) -> Any:
    return MessageToDict(
        signature_def, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
