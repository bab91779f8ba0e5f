"""The settings of one run: one YAML file, validated whole before anything starts.

A run file has a section for each stage of the path. Every section is frozen; a key that is not
known is an error. Nothing here imports TensorFlow, so that planning and `--help` stay instant.
Reading a file, overriding fields and reporting mistakes is `llm_keras.run_file`.
"""

from llm_keras.config.cleaning import (
    Decontamination,
    Deduplication,
    Mixture,
    Near,
    Redaction,
    Screening,
)
from llm_keras.config.corpus import BYTE_PIECES, RESERVED_PIECES, Corpus, Records, Tokenizer
from llm_keras.config.divergence import Divergence
from llm_keras.config.model import GATED_ACTIVATIONS, Experts, Model, RopeScaling
from llm_keras.config.rules import (
    C4,
    CodeQuality,
    Language,
    Length,
    LineQuality,
    Repetition,
    Rules,
    Symbols,
)
from llm_keras.config.run import Run
from llm_keras.config.sources import Code, Columns, Fetch, Latex, Source
from llm_keras.config.training import (
    Lora,
    Masking,
    Optimizer,
    Parallelism,
    Schedule,
    Training,
)
from llm_keras.config.use import Evaluation, Generation, Serving

__all__ = [
    "BYTE_PIECES",
    "C4",
    "GATED_ACTIVATIONS",
    "RESERVED_PIECES",
    "Code",
    "CodeQuality",
    "Columns",
    "Corpus",
    "Decontamination",
    "Deduplication",
    "Divergence",
    "Evaluation",
    "Experts",
    "Fetch",
    "Generation",
    "Language",
    "Latex",
    "Length",
    "LineQuality",
    "Lora",
    "Masking",
    "Mixture",
    "Model",
    "Near",
    "Optimizer",
    "Parallelism",
    "Records",
    "Redaction",
    "Repetition",
    "RopeScaling",
    "Rules",
    "Run",
    "Schedule",
    "Screening",
    "Serving",
    "Source",
    "Symbols",
    "Tokenizer",
    "Training",
]
