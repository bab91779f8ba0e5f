"""Models from elsewhere, in and out: Hugging Face folders, GGUF files, Model Garden checkpoints.

In: `open_source` says what a file holds, `settings_of` makes a run of it, `load_weights` its model.
Out: `export_folder` and `export_gguf`. What a weight is called elsewhere, and how it lies there,
are tables: `names`, `forms` and `layouts`.
"""

from llm_keras.interop.exports import export_folder, export_gguf
from llm_keras.interop.runs import check_vocabulary, load_weights, settings_of
from llm_keras.interop.source import Source, open_source

__all__ = [
    "Source",
    "check_vocabulary",
    "export_folder",
    "export_gguf",
    "load_weights",
    "open_source",
    "settings_of",
]
