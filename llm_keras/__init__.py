"""llm-keras: your own large language model, from raw text to a served SavedModel, on Keras 3.

Importing this package is instant: TensorFlow loads when a part that needs it is imported.
"""

import os

# Keras reads its backend once, on first import; ours is TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# TensorFlow reads this once too. It turns oneDNN's kernels on by itself only on processors with
# AVX-512; with AVX2 they were worth 1.5x in training (docs/decisions/0005-onednn-everywhere.md).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"
