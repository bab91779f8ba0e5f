"""Trains a small model in plain Python: own data, own optimizer, Keras's `fit` and callbacks.

    python examples/train_in_python.py

The "language" are rows of digits, each the last digit of the sum of the two before it. Less than
half a minute later the model continues such a row.
"""

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.training import Trainer

VOCABULARY, LENGTH, BATCH = 10, 24, 32


def rows(seed: int, count: int) -> tf.data.Dataset:
    """Batches as the trainer wants them: `tokens` [B, T + 1]; T predictions a row."""
    tokens = np.random.default_rng(seed).integers(0, VOCABULARY, (count * BATCH, LENGTH + 1))
    for place in range(2, LENGTH + 1):
        tokens[:, place] = (tokens[:, place - 1] + tokens[:, place - 2]) % VOCABULARY
    data = tf.data.Dataset.from_tensor_slices({"tokens": tokens.astype("int32")})
    return data.batch(BATCH, drop_remainder=True)


shape = config.Model(num_layers=1, hidden_dim=64, intermediate_dim=128, num_query_heads=4)
network = models.build_model(shape, vocabulary_size=VOCABULARY, sequence_length=LENGTH, seed=0)
trainer = Trainer(network, gradient_accumulation_steps=2)
trainer.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.01, global_clipnorm=1.0))
trainer.fit(
    rows(seed=0, count=80),
    epochs=5,
    validation_data=rows(seed=1, count=4),
    callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)],
    shuffle=False,  # `rows` has no order to lose; Keras would warn that it cannot shuffle
    verbose=2,
)

prompt = next(iter(rows(seed=2, count=1)))["tokens"][:1, :8].numpy()
while prompt.shape[1] < LENGTH:
    following = tf.argmax(network({"tokens": prompt})[:, -1], -1, tf.int32)
    prompt = np.concatenate([prompt, following[:, None]], axis=1)
mistakes = sum(prompt[0, 8:] != (prompt[0, 6:-2] + prompt[0, 7:-1]) % VOCABULARY)
print(f"continued: {' '.join(map(str, prompt[0]))}, {mistakes} mistakes")
