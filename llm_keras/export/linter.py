"""Refuses a SavedModel that stock TensorFlow Serving could not run, or should not.

It reads the file as it lies on disk, so it sees what a server will see.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from llm_keras.errors import LLMKerasError

#: Ops of TF Text 2.20, which the stock server has linked in; newer ones begin with `TFText>`.
_TEXT_OPS = """
CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2
SentencepieceDetokenizeOp SentencepieceIdToStringOp SentencepieceOp
SentencepieceStringToIdOp SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp
SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets TokenizerFromLogits
UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
WordpieceTokenizeWithOffsets
"""
TEXT_OPS = frozenset(_TEXT_OPS.split())

#: Ops of TensorFlow that have no place in a served model, and why.
FORBIDDEN_OPS = {
    "PyFunc": "calls the Python process that made it",
    "PyFuncStateless": "calls the Python process that made it",
    "EagerPyFunc": "calls the Python process that made it",
    "ReadFile": "reads files of the server",
    "WriteFile": "writes files of the server",
    "Print": "writes texts of clients into the log",
    "PrintV2": "writes texts of clients into the log",
}

#: Types that every client and every server can send.
TYPES = {types_pb2.DT_FLOAT, types_pb2.DT_INT32, types_pb2.DT_STRING}
XLA = "_XlaMustCompile"


class UnservableModelError(LLMKerasError):
    """An export holds something that a server cannot run; says each finding on a line."""


def check(folder: Path) -> None:
    """Passes a SavedModel that can be served.

    Raises:
        UnservableModelError: It cannot; the message has a line for each finding.
    """
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found = list(dict.fromkeys(line for graph in model.meta_graphs for line in findings(graph)))
    if found:
        raise UnservableModelError("the exported model cannot be served:\n" + "\n".join(found))


def findings(meta_graph: Any) -> Iterator[str]:
    """What is wrong with a `MetaGraphDef`, a line each."""
    functions = meta_graph.graph_def.library.function
    for function in functions:
        if function.attr[XLA].b:
            yield f"function {function.signature.name}: {XLA}, but the server has no XLA"
    nodes = [*meta_graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    names = {function.signature.name for function in functions}
    for node in nodes:
        yield from _node_findings(node, names)
    for name, signature in sorted(meta_graph.signature_def.items()):
        if name == "__saved_model_init_op":
            continue
        for side, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for alias, info in sorted(tensors.items()):
                yield from _tensor_findings(f"{name}: {side} {alias}", info)


def _node_findings(node: Any, functions: set[str]) -> Iterator[str]:
    if reason := FORBIDDEN_OPS.get(node.op):
        yield f"op {node.op}: {reason}"
    elif not (node.op in functions or _is_known(node.op)):
        yield f"op {node.op}: neither TensorFlow's own nor TF Text's"
    if XLA in node.attr and node.attr[XLA].b:
        yield f"op {node.op}: {XLA}, but the server has no XLA"
    if any(value.type == types_pb2.DT_DOUBLE for value in node.attr.values()):
        yield f"op {node.op}: float64, twice the memory and time of float32"


def _is_known(op: str) -> bool:
    return hasattr(tf.raw_ops, op) or op in TEXT_OPS or op.startswith("TFText>")


def _tensor_findings(name: str, info: Any) -> Iterator[str]:
    if info.dtype not in TYPES:
        yield f"{name}: type {tf.dtypes.as_dtype(info.dtype).name}, not float32, int32 or string"
    if info.tensor_shape.unknown_rank or not info.tensor_shape.dim:
        yield f"{name}: no batch dimension"
    elif info.tensor_shape.dim[0].size != -1:
        yield f"{name}: dimension 0 is {info.tensor_shape.dim[0].size}, not any batch size"
