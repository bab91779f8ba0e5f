"""Trains on a mesh of 2 x 2 devices: each has half of every batch, and a quarter of every matrix.

python examples/train_on_a_mesh.py
"""

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.parallel import devices, engines
from llm_keras.training import Trainer


def rows(seed: int, count: int) -> tf.data.Dataset:
    """Digits that rise by the same number, from 9 to 0 again; 8 rows of 16 predictions a batch."""
    first, rise = np.random.default_rng(seed).integers(0, 10, (2, count * 8, 1))
    tokens = (first + rise * np.arange(17)) % 10
    return tf.data.Dataset.from_tensor_slices({"tokens": tokens.astype("int32")}).batch(8)


devices.split_cpu(4)  # to try it without GPUs
mesh = config.Parallelism(strategy="dtensor", data=2, model=2, shard_weights="all")
engine = engines.from_config(mesh)
shape = config.Model(num_layers=2, hidden_dim=32, intermediate_dim=64, num_query_heads=4)
network = models.build_model(shape, vocabulary_size=10, sequence_length=16, seed=0)
trainer = Trainer(network, engine=engine)
trainer.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.01, global_clipnorm=1.0))
stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
history = trainer.fit(
    rows(0, 40), epochs=3, validation_data=rows(1, 2), callbacks=[stop], shuffle=False, verbose=2
)
print("losses", *(f"{loss:.3f}" for loss in history.history["val_loss"]))
for path, axes in engine.layouts(network.variables).items():
    print(f"{path:45} {axes}")
print("bytes of weights on each device", engine.held(network.variables))
