"""Translations of held-out pairs, scored beside two baselines that have learnt no language."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from llm_keras import console
from llm_keras.data.document import Document, Split, document_files, read_documents
from llm_keras.errors import UserError
from llm_keras.evaluation import translation_score
from llm_keras.evaluation.given import Given
from llm_keras.evaluation.next_tokens import evaluate_next_tokens
from llm_keras.evaluation.translation_memory import TranslationMemory
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import Tokenizer

#: Most training pairs that the translation memory knows; the first ones, which are a sample.
MEMORY_PAIRS = 200_000
#: Pairs of each subset that are shown, and most of all.
SAMPLES_OF_SUBSET, SAMPLES = 2, 12


def evaluate_translation(given: Given) -> dict[str, Any]:
    """The fields of evaluation.json that an encoder_decoder has.

    The cost of the targets, beside n-gram models that never see a source, and the section
    `translation`.

    Raises:
        UserError: A shard is damaged, no pairs are held out, or none fits the model.
    """
    return {**evaluate_next_tokens(given), "translation": translation_section(given)}


def translation_section(given: Given) -> dict[str, Any]:
    """Translates held-out pairs as `run.generation` says, and scores that and the baselines.

    Raises:
        UserError: No pairs are held out, or none fits the model.
    """
    from llm_keras.generation import generate_text

    run, folder, tokenizer = given.run, given.folder, given.tokenizer
    held_out = list(pairs_of(folder, "validation"))
    usable = fitting(held_out, tokenizer, run.records.sequence_length)
    chosen = spread(usable, run.evaluation.translation_pairs)
    sources = [pair.text for pair in chosen]
    console.say(f"evaluate: translates {len(chosen)} of {len(held_out)} held-out pairs")
    said = generate_text(
        given.network, tokenizer, sources, run.generation, run.seed, run.evaluation.batch_size
    )
    translations = [completion.text for completion in said]
    known = list(itertools.islice(pairs_of(folder, "train"), MEMORY_PAIRS))
    remembered = remember(known).translate(sources)
    judge = judge_of(chosen)
    section = {
        "pairs": len(chosen),
        "held_out": len(held_out),
        "too_long": len(held_out) - len(usable),
        "known_pairs": len(known),
        "num_beams": run.generation.num_beams,
        "length_penalty": run.generation.length_penalty,
        "signatures": translation_score.signatures(),
        **judge(translations),
        "baselines": {"copy": judge(sources), "translation memory": judge(remembered)},
        "samples": _samples(chosen, translations, remembered),
    }
    console.say(
        f"evaluate: BLEU {section['bleu']:.2f} ({section['signatures']['bleu']}),"
        f" chrF {section['chrf']:.2f} ({section['signatures']['chrf']})"
    )
    return section


def spread(pairs: Sequence[Document], most: int) -> list[Document]:
    """At most `most` pairs, evenly over the subsets, the same ones every time.

    Within a subset they come in the order of their ids, which are hashes.
    """
    ordered = sorted(pairs, key=lambda pair: (pair.subset or "", pair.id))
    count = min(most, len(ordered))
    return [ordered[place * len(ordered) // count] for place in range(count)]


def remember(pairs: Sequence[Document]) -> TranslationMemory:
    """The translation memory of training pairs."""
    return TranslationMemory([pair.text for pair in pairs], [_target(pair) for pair in pairs])


def judge_of(pairs: Sequence[Document]) -> Callable[[Sequence[str]], dict[str, Any]]:
    """Makes what scores translations of these pairs, all and by subset."""
    references = [_target(pair) for pair in pairs]
    subsets = [pair.subset or pair.source for pair in pairs]

    def judge(translations: Sequence[str]) -> dict[str, Any]:
        return {
            **translation_score.score(translations, references),
            "subsets": translation_score.by_subset(translations, references, subsets),
        }

    return judge


def _samples(
    pairs: Sequence[Document], translations: Sequence[str], remembered: Sequence[str]
) -> list[dict[str, str]]:
    """The first pairs of each subset, not picked by hand."""
    samples: list[dict[str, str]] = []
    shown: dict[str, int] = {}
    for pair, translation, memory in zip(pairs, translations, remembered, strict=True):
        subset = pair.subset or pair.source
        shown[subset] = shown.get(subset, 0) + 1
        if shown[subset] <= SAMPLES_OF_SUBSET and len(samples) < SAMPLES:
            samples.append(
                {
                    "subset": subset,
                    "source": pair.text,
                    "reference": _target(pair),
                    "translation": translation,
                    "memory": memory,
                }
            )
    return samples


def pairs_of(folder: RunFolder, split: Split) -> itertools.chain[Document]:
    """The curated pairs of a split, one file after another."""
    found = (read_documents(path) for path in document_files(folder.documents, split))
    return itertools.chain.from_iterable(found)


def fitting(pairs: Sequence[Document], tokenizer: Tokenizer, length: int) -> list[Document]:
    """Those whose source has room for eos as well."""
    if not pairs:
        raise UserError("no pairs are held out; raise corpus.validation_fraction")
    sizes = map(len, tokenizer.encode_batch(pair.text for pair in pairs))
    found = [pair for pair, size in zip(pairs, sizes, strict=True) if size < length]
    if not found:
        raise UserError(f"no held-out source fits {length} tokens; raise records.sequence_length")
    return found


def _target(pair: Document) -> str:
    assert pair.target is not None, pair.id
    return pair.target
