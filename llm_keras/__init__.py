"""llm-keras: your own large language model, from raw text to a served SavedModel, on Keras 3.

Importing this package is instant: TensorFlow loads when a part that needs it is imported.
"""

import os

# Keras reads its backend once, on first import; ours is TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__version__ = "0.1.0"
