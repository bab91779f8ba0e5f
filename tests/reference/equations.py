"""The transformer's layers as their papers write them, in NumPy and with loops where they explain.

Nothing here reads our layers; `w` are weights by path, as `numeric.within` gives them.
B rows, T queries, S keys, N query heads, K key-value heads, H features of a head, E experts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tests.reference.numeric import Weights, within

erf = np.vectorize(math.erf)


def softmax(x):
    """Over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def linear(w: Weights, x):
    """``x W + b``."""
    return x @ w["kernel"] + w.get("bias", 0.0)


def rms_norm(w: Weights, x, epsilon):
    """Zhang and Sennrich 2019, equation 4."""
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * w["scale"]


def layer_norm(w: Weights, x, epsilon):
    """Ba, Kiros and Hinton 2016, equation 4."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * w["gamma"] + w["beta"]


def norm(w: Weights, x, epsilon):
    """Whichever the weights are of."""
    return (layer_norm if "gamma" in w else rms_norm)(w, x, epsilon)


def silu(x):
    """Elfwing et al. 2017, equation 6."""
    return x / (1 + np.exp(-x))


def gelu(x):
    """Hendrycks and Gimpel 2016, section 2."""
    return x * (1 + erf(x / np.sqrt(2))) / 2


def gelu_tanh(x):
    """The approximation of the same section."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


#: Name -> function, and whether it is of a gate (Shazeer 2020, equations 5 and 6).
ACTIVATIONS: dict[str, tuple[Callable, bool]] = {
    "relu": (lambda x: np.maximum(x, 0), False),
    "gelu": (gelu, False),
    "gelu_tanh": (gelu_tanh, False),
    "swiglu": (silu, True),
    "geglu": (gelu, True),
    "geglu_tanh": (gelu_tanh, True),
}


def feed_forward(w: Weights, x, activation):
    """Vaswani et al. 2017, equation 2, with any activation."""
    function, is_gated = ACTIVATIONS[activation]
    up = linear(within(w, "up"), x)
    wide = function(linear(within(w, "gate"), x)) * up if is_gated else function(up)
    return linear(within(w, "down"), wide)


def rotate(x, positions, frequencies, pairing):
    """Su et al. 2021, equation 15: each pair of features by a matrix; x [B, T, N, H]."""
    width, y = x.shape[-1], np.empty_like(x)
    for pair, frequency in enumerate(frequencies):
        first, second = (2 * pair, 2 * pair + 1)
        if pairing == "halves":
            first, second = pair, pair + width // 2
        angle = np.asarray(positions)[..., None] * frequency
        y[..., first] = x[..., first] * np.cos(angle) - x[..., second] * np.sin(angle)
        y[..., second] = x[..., first] * np.sin(angle) + x[..., second] * np.cos(angle)
    return y


def seen_by(length, causal=True, window=None, segments=None):
    """Bool [B or 1, T, T]: which keys a query may see."""
    query, key = np.arange(length)[:, None], np.arange(length)
    seen = np.ones([1, length, length], bool)
    if causal:
        seen = seen & (key <= query)
    if window is not None:
        seen = seen & (abs(key - query) < window)
    if segments is not None:
        seen = seen & (segments[:, :, None] == segments[:, None, :])
    return seen


def dot_product_attention(query, key, value, seen, bias=None, scale=None, cap=None):
    """Vaswani et al. 2017, equation 1, a row and a head at a time.

    query [B, T, N, H]; key and value [B, S, K, H]; seen bool [B or 1, T or 1, S]; bias [N, T, S].
    """
    batch, _, heads, width = query.shape
    seen, mixed = np.broadcast_to(seen, [batch, *seen.shape[1:]]), np.empty_like(query)
    for row in range(batch):
        for head in range(heads):
            shared = head // (heads // key.shape[2])  # Ainslie et al. 2023, section 2.2
            scores = query[row, :, head] @ key[row, :, shared].T
            scores = scores * (width**-0.5 if scale is None else scale)
            if cap is not None:
                scores = cap * np.tanh(scores / cap)
            if bias is not None:
                scores = scores + bias[head]
            weights = softmax(np.where(seen[row], scores, -np.inf))
            mixed[row, :, head] = weights @ value[row, :, shared]
    return mixed


def attention(w: Weights, x, memory, seen, *, heads, shared, turn=None, epsilon=1e-6, **scoring):
    """Vaswani et al. 2017, section 3.2.2; `turn` acts on heads of queries and keys."""

    def project(name, of, number):
        parts = linear(within(w, name), of)
        return parts.reshape(*parts.shape[:2], number, -1)

    query, key = project("query", x, heads), project("key", memory, shared)
    if "query_norm/scale" in w:
        query = rms_norm(within(w, "query_norm"), query, epsilon)
        key = rms_norm(within(w, "key_norm"), key, epsilon)
    if turn is not None:
        query, key = turn(query), turn(key)
    value = project("value", memory, shared)
    mixed = dot_product_attention(query, key, value, seen, **scoring)
    return linear(within(w, "output"), mixed.reshape(*x.shape[:2], -1))


def alibi_slopes(heads):
    """The published recipe: a geometric series that starts at its ratio, for powers of two."""
    if heads & (heads - 1) == 0:
        ratio = 2.0 ** -(8 / heads)
        return [ratio ** (head + 1) for head in range(heads)]
    lower = 1 << (heads.bit_length() - 1)
    return alibi_slopes(lower) + alibi_slopes(2 * lower)[::2][: heads - lower]


def relative_bucket(distance, causal, buckets=32, most=128):
    """T5's rule for one distance, key minus query; logarithms in float32 as its code takes them."""
    first = 0
    if causal:
        distance = max(-distance, 0)
    else:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    grown = np.log(np.float32(distance) / np.float32(exact)) / np.float32(math.log(most / exact))
    return first + min(exact + int(grown * np.float32(buckets - exact)), buckets - 1)


def by_distance(bias, length):
    """[N, 2 T - 1], a bias for each distance from 1 - T on, to [N, T, T]."""
    at = np.arange(length)[None, :] - np.arange(length)[:, None] + length - 1
    return bias[:, at]


def experts(w: Weights, x, k, activation, factor=None, real=None):
    """A mixture of experts a token at a time, and its three sums; `factor` None: no limit.

    Shazeer et al. 2017, equation 1; capacity: Fedus et al. 2022, equation 3, in each row; order of
    choices: Lepikhin et al. 2021, algorithm 1; balance: Fedus et al. 2022, equations 4 to 6; z:
    Zoph et al. 2022, equation 5.
    """
    batch, length, _ = x.shape
    logits = linear(within(w, "router"), x)
    number = logits.shape[-1]
    real = np.ones([batch, length], bool) if real is None else real
    exact = length * k if factor is None else Fraction(str(factor)) * k * length / number
    room = math.ceil(exact)
    y, sums = np.zeros_like(x), np.zeros(3)
    for row in range(batch):
        order = np.argsort(-logits[row], axis=-1)[:, :k]
        left = [room] * number
        for choice in range(k):
            for token in np.flatnonzero(real[row]):
                expert = order[token, choice]
                if not left[expert]:
                    sums[2] += 1
                    continue
                left[expert] -= 1
                gates = softmax(logits[row, token, order[token]])
                y[row, token] += gates[choice] * _expert(w, expert, x[row, token], activation)
        mean = softmax(logits[row])[real[row]].mean(0)
        chosen = order[real[row]].ravel()
        share = np.array([(chosen == expert).mean() for expert in range(number)])
        sums[0] += number * (share @ mean) * real[row].sum()
        sums[1] += (np.log(np.exp(logits[row]).sum(-1)) ** 2)[real[row]].sum()
    return y, sums


def _expert(w: Weights, expert, x, activation):
    parts = {}
    for name in ("up", "gate", "down"):
        if name in w:
            parts[f"{name}/kernel"] = w[name][expert]
        if f"{name}_bias" in w:
            parts[f"{name}/bias"] = w[f"{name}_bias"][expert]
    return feed_forward(parts, x, activation)


def residual(w: Weights, x, name, sublayer, placement, epsilon, drop=lambda y: y):
    """Post-norm: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020, table 1."""
    inner, of_norm = within(w, name), within(w, f"{name}_norm")
    if placement == "post":
        return norm(of_norm, x + drop(sublayer(inner, x)), epsilon)
    return x + drop(sublayer(inner, norm(of_norm, x, epsilon)))


def keep_mask(key, salt, rate, shape):
    """`KeyedDropout`'s hash in Python's integers: bool [B, *shape], True where x is kept."""

    def mix(x):  # Steele et al. 2014, figure 17
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            x = (x ^ x >> shift) * factor % 2**64
        return x

    rows = []
    for step, row in key:
        seed = mix(mix(step << 32 ^ salt) ^ row)
        numbers = []
        for word in range(-(-math.prod(shape) // 4)):
            hashed = mix((seed + word * 0x9E3779B97F4A7C15) % 2**64)
            numbers += [hashed >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
        rows.append(numbers[: math.prod(shape)])
    return (np.array(rows) >= round(rate * 2**16)).reshape(len(key), *shape)
