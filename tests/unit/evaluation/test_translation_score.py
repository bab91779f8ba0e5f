"""BLEU and chrF are sacrebleu's, signed, by subset, and need no network."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import sacrebleu

from llm_keras.evaluation import translation_score

HYPOTHESES = ["En el principio creó Dios los cielos.", "Y la tierra estaba vacía", "Luz."]
REFERENCES = [
    "EN el principio crió Dios los cielos y la tierra.",
    "Y la tierra estaba desordenada y vacía,",
    "Luz.",
]


def test_scores_are_those_of_sacrebleu() -> None:
    """The functions that its README shows give the same figures."""
    found = translation_score.score(HYPOTHESES, REFERENCES)
    assert found == {
        "bleu": pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score, abs=1e-4),
        "chrf": pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score, abs=1e-4),
    }
    assert 0 < found["bleu"] < found["chrf"] < 100


def test_signatures_name_settings_and_version() -> None:
    """What Post 2018 asks to be printed with every figure."""
    version = sacrebleu.__version__
    assert translation_score.signatures() == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
    }


def test_subsets_are_scored_on_their_own() -> None:
    """Each subset as if there were no other, alphabetically."""
    found = translation_score.by_subset(HYPOTHESES, REFERENCES, ["Ruth", "Jonah", "Ruth"])
    assert list(found) == ["Jonah", "Ruth"]
    jonah = translation_score.score(HYPOTHESES[1:2], REFERENCES[1:2])
    ruth = translation_score.score(HYPOTHESES[::2], REFERENCES[::2])
    assert found == {"Jonah": {"pairs": 1, **jonah}, "Ruth": {"pairs": 2, **ruth}}


def test_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """sacrebleu can download test sets and tokenizers; scoring texts at hand does neither."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    translation_score.score(HYPOTHESES, REFERENCES)
    translation_score.signatures()


def test_is_imported_only_where_it_is_used() -> None:
    """The report and the other kinds of models do without it."""
    code = (
        "import sys, llm_keras.evaluation, llm_keras.evaluation.report,"
        " llm_keras.evaluation.translation_score;"
        "print('sacrebleu' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
