"""A run folder made of a model from elsewhere."""

from __future__ import annotations

from llm_keras import config, console, models, tokenizers
from llm_keras.errors import UserError
from llm_keras.interop import weights
from llm_keras.interop.source import Source

#: Tokens of a row at first, where the model's positions allow longer ones: what a small machine
#: trains on. `--set records.sequence_length=...` changes it.
SEQUENCE_LENGTH = 1024


def settings_of(source: Source) -> config.Run:
    """The run file of an imported model: its shape and tokenizer, and defaults for training on."""
    model, vocabulary_size, longest = source.description
    # Learned positions are so many vectors; others have no end of their own.
    length = longest if model.positions == "learned" else min(longest, SEQUENCE_LENGTH)
    return config.Run(
        purpose=f"Imported from {source.path.resolve().name}.",
        tokenizer=config.Tokenizer(kind="imported", vocabulary_size=vocabulary_size),
        records=config.Records(sequence_length=length),
        model=model,
        training=config.Training(
            total_steps=1000,
            global_batch_size=8,
            # Of a trained model: far below what a new one begins with.
            optimizer=config.Optimizer(learning_rate=2e-5),
        ),
        generation=config.Generation(
            num_beams=4 if model.kind == "encoder_decoder" else 1,
        ),
        serving=config.Serving(model_name=source.name),
    )


def load_weights(source: Source, run: config.Run) -> models.Transformer:
    """The model of a run with the source's weights; says what of the source is not used.

    Raises:
        UserError: The weights do not fit the run's model.
    """
    network = models.build(run)
    for note in weights.load(network, source.tensors, source.table, str(source.path)):
        console.say(note)
    return network


def check_vocabulary(run: config.Run, tokenizer: tokenizers.Tokenizer, name: str) -> None:
    """Every id of an imported tokenizer must have a row of the embedding.

    Raises:
        UserError: It has more pieces than rows.
    """
    if tokenizer.vocabulary_size > run.tokenizer.vocabulary_size:
        raise UserError(
            f"{name}: has {tokenizer.vocabulary_size} pieces, but tokenizer.vocabulary_size is"
            f" {run.tokenizer.vocabulary_size}; import the model's own tokenizer"
        )
