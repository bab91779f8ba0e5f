"""An exported model: what can be asked of it, read from its file without running it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_keras.errors import UserError
from llm_keras.inspection.window import Window, shown
from llm_keras.pages.markup import size

MODEL = "saved_model.pb"
#: Written by `llm_keras.export`, beside the warm-up requests.
METADATA = Path("assets.extra") / "llm_keras.json"


def is_version(path: Path) -> bool:
    """A folder with a SavedModel in it."""
    return (path / MODEL).is_file()


def is_export(path: Path) -> bool:
    """A folder of versions."""
    return path.is_dir() and bool(_versions(path))


def show_all(path: Path, window: Window) -> Iterator[str]:
    """The versions, newest first."""
    versions = _versions(path)
    yield window.told(len(versions), "versions")
    for _, version in window.of(versions):
        yield f"  {version.name}: {size(_bytes(version))}"


def show(path: Path, window: Window) -> Iterator[str]:
    """Size and metadata, then each signature with its inputs and outputs."""
    yield f"exported model {path}: {size(_bytes(path))}"
    for key, value in _metadata(path / METADATA).items():
        yield f"  {key}: {shown(value if isinstance(value, str) else json.dumps(value))}"
    signatures = _signatures(path / MODEL)
    yield window.told(len(signatures), "signatures")
    for _, (name, signature) in window.of(sorted(signatures.items())):
        yield f"  {name}"
        yield f"    in:  {_tensors(signature.inputs)}"
        yield f"    out: {_tensors(signature.outputs)}"


def _signatures(path: Path) -> dict[str, Any]:
    """The SignatureDefs of the graph; `__saved_model_init_op` is no signature to call."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise UserError(f"{path}: no SavedModel, or a damaged one; export it again") from None
    return {
        name: signature
        for graph in model.meta_graphs
        for name, signature in graph.signature_def.items()
        if not name.startswith("__")
    }


def _tensors(tensors: Mapping[str, Any]) -> str:
    from tensorflow.core.framework import types_pb2

    def told(name: str, info: Any) -> str:
        kind = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
        sizes = ["?" if axis.size < 0 else str(axis.size) for axis in info.tensor_shape.dim]
        return f"{name} {kind}[{', '.join(sizes)}]"

    return ", ".join(told(name, info) for name, info in sorted(tensors.items())) or "nothing"


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError(f"{path}: not JSON; export the model again") from None


def _versions(path: Path) -> list[Path]:
    found = [child for child in path.iterdir() if child.name.isdecimal() and is_version(child)]
    return sorted(found, key=lambda child: int(child.name), reverse=True)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
