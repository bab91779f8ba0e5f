"""The trained model as a SavedModel: text in, text or vectors out, for any TensorFlow server."""

from llm_keras.export.linter import UnservableModelError
from llm_keras.export.saved_model import export_saved_model
from llm_keras.export.servable import Servable

__all__ = ["Servable", "UnservableModelError", "export_saved_model"]
