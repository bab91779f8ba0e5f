"""The rules' decisions beside datatrove's, frozen by benchmarks/rule_parity.py."""

import hashlib
import json
from collections import Counter

import pytest

from llm_keras import config
from llm_keras.data.rules import TextView, rules
from tests.rule_documents import FROZEN, frozen_documents

#: Filter of datatrove 0.10.1 -> the rules that do the same.
SAME = {
    "gopher_quality": config.Rules(preset="gopher", repetition=None),
    "gopher_repetition": config.Rules(preset="gopher", length=None, symbols=None),
    "c4_paper": config.Rules(preset="none", c4={"maximum_characters": None}),
    "c4_fineweb": config.Rules(preset="none", c4=config.Rules(preset="fineweb").c4),
    "fineweb": config.Rules(preset="none", lines={}),
}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def frozen():
    """The documents, and for each filter a reason, or none and a digest of what is left."""
    documents, frozen = frozen_documents(), json.loads(FROZEN.read_text())
    assert digest("\0".join(documents)) == frozen["documents"], "other documents: freeze again"
    return documents, frozen["rules"]


def occurs_once(words, theirs):
    """The one difference that is wanted: datatrove counts an n-gram that nothing repeats."""
    if not theirs.startswith("top_"):
        return False
    n = int(theirs[4])
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(ngrams)) == len(ngrams)


@pytest.mark.parametrize("name", SAME)
def test_every_decision_is_datatroves(frozen, name):
    chosen, differ, reasons = rules(SAME[name])[1:], [], Counter()
    once = 0
    for number, (text, answers) in enumerate(zip(*frozen, strict=True)):
        theirs, left = answers[name]
        view = TextView(text)
        reason = next((v.reason for rule in chosen if not (v := rule.judge(view)).keep), "")
        reasons[theirs] += 1
        if not reason and occurs_once(view.words, theirs):
            once += 1
        elif bool(theirs) != bool(reason) or (not reason and digest(view.text) != left):
            differ.append((number, theirs, reason))
    assert not differ
    assert once == (3 if name == "gopher_repetition" else 0)
    assert len(reasons) > 2
    assert reasons[""] > 100
    assert reasons.total() - reasons[""] > 20
