"""Llama's forward pass in NumPy, plainly, on the tensors of a GGUF file.

Touvron et al. 2023, section 2.2: RMSNorm before each part, SwiGLU, rotary positions. The file is
read by the `gguf` package alone. llama.cpp turns neighbouring features together, so there is
nothing to be permuted here.
"""

import gguf
import numpy as np


class Llama:
    """A model of a GGUF file, all of it in float32."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.facts = {name: field.contents() for name, field in reader.fields.items()}
        self.weights = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            for tensor in reader.tensors
        }

    def logits(self, tokens):
        """float32 [T, V] of int [T]."""
        weights, facts = self.weights, self.facts
        heads = facts["llama.attention.head_count"]
        shared = heads // facts["llama.attention.head_count_kv"]
        x = weights["token_embd.weight"][tokens]
        later = np.triu(np.full([len(tokens)] * 2, -np.inf, np.float32), 1)
        for block in range(facts["llama.block_count"]):
            here = {
                name.removeprefix(f"blk.{block}.").removesuffix(".weight"): value
                for name, value in weights.items()
                if name.startswith(f"blk.{block}.")
            }
            read = self._normed(x, here["attn_norm"])
            query, key, value = (
                (read @ here[f"attn_{part}"].T).reshape(len(tokens), -1, 64).swapaxes(0, 1)
                for part in "qkv"
            )
            query, key = self._turned(query), self._turned(key)
            key, value = (np.repeat(part, shared, axis=0) for part in (key, value))
            scores = query @ key.swapaxes(1, 2) / np.float32(8) + later
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            seen = shares / shares.sum(axis=-1, keepdims=True) @ value
            x = x + seen.swapaxes(0, 1).reshape(len(tokens), -1) @ here["attn_output"].T
            read = self._normed(x, here["ffn_norm"])
            gate = read @ here["ffn_gate"].T
            up = read @ here["ffn_up"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ here["ffn_down"].T
        return self._normed(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T

    def _normed(self, x, gain):
        epsilon = np.float32(self.facts["llama.attention.layer_norm_rms_epsilon"])
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * gain

    def _turned(self, x):
        """Features (0, 1), (2, 3) .. of each head as complex numbers, turned."""
        pairs = np.ascontiguousarray(x).view(np.complex64)
        speeds = self.facts["llama.rope.freq_base"] ** (-np.arange(32) / 32)
        angles = np.arange(x.shape[1])[:, None] * speeds
        return (pairs * np.exp(1j * angles).astype(np.complex64)).view(np.float32)
