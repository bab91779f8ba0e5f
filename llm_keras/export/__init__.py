"""The trained model as a SavedModel: text in, text out, for any TensorFlow server."""

from llm_keras.export.linter import UnservableModelError
from llm_keras.export.saved_model import export_saved_model
from llm_keras.export.signatures import Servable

__all__ = ["Servable", "UnservableModelError", "export_saved_model"]
