"""Which ids are never generated."""

from types import SimpleNamespace

import numpy as np

from llm_keras.generation import special_ids


def test_those_of_our_tokenizers(tokenizer):
    """Pad, unk and bos are no text; eos ends one."""
    ids = special_ids(tokenizer, tokenizer.vocabulary_size)
    assert (ids.pad, ids.bos, ids.eos) == (0, 2, 3)
    assert np.flatnonzero(np.isinf(ids.only_text(512))).tolist() == [0, 1, 2]


def test_one_id_for_several_things(tokenizer):
    """GPT-2: the end of a text is also everything else that is special, and stays possible."""
    gpt2 = SimpleNamespace(pad_id=9, unk_id=9, bos_id=9, eos_id=9, mask_id=None, vocabulary_size=10)
    assert not np.isinf(special_ids(gpt2, 10).only_text(10)).any()


def test_ids_that_the_tokenizer_lacks_are_never_generated():
    """T5 has 32,128 rows in its matrix and 32,100 pieces; the mask is no text either."""
    t5 = SimpleNamespace(pad_id=0, unk_id=2, bos_id=0, eos_id=1, mask_id=5, vocabulary_size=7)
    assert special_ids(t5, 9).never == (0, 2, 5, 7, 8)
