"""Strings that tokenizers could differ on: odd Unicode, literal control tokens, long runs."""

import random

SYMBOLS = ("<|user|>", "\n\n", "e\u0301")
BY_HAND = [
    *("", " ", "  ", "\n", "\t", "\0", "a\0b", "\r\n", " a", "a ", " \u2047 "),
    *(
        "I'll it's IT'S 'ſ'LL",
        " 'd",
        "1234567 12,5 \u00bd\u2460\u0663",
        "a  b   \n\n  c \n",
        "\n \n",
    ),
    *("<s>", "</s>", "<pad>", "<unk>", "<0x00>", "<0x41>", "<s></s>", *SYMBOLS),
    *(
        "\u2581",
        "a\u2581b",
        "\u2581\u2581",
        "\ufdd0",
        "\ufdd0\ufdd1",
        "\ufdd0\ufdd2",
        "\ufdd0\u2581",
    ),
    *("\ufeff", "\ufffe", "\ufffd", "\u2585", "\u2028", "\u200b", "\U0010ffff", "\ud7ff\ue000"),
    *("\u05e9\u05dc\u05d5\u05dd", "\u202eabc", "\u0645\u0631\u062d\u0628\u0627 1,5"),
    *("e\u0301\u0302\u0303", "\u1100\u1161\u11a8", "\ufb01", "\u00c5\u212b\u0041\u030a"),
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3fd\ufe0f",
    *("long " * 20_000, "x" * 100_000, "\u4e00" * 30_000),
]
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz   ,.'",
    " \t\n\r\v\f\u0085\u00a0\u1680\u2003\u2028\u3000\u200b\ufeff",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "\u0300\u0301\u0327\u0345\u05b0\u064b\u0e31\u3099aeoi\u00e9",
    "\u05d0\u05d1\u0627\u0628\u0660\u200e\u200f\u202a\u202e\u2066\u2069 ",
    "\U0001f468\U0001f469\U0001f3fb\u200d\ufe0f\u20e3\U0001f1e6\U0001f1fa\u2764",
    "\u2581\ufdd0\ufdd1\ufdd201\u2585\u2047\ufffd<>/s ",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|begin_of_text|>", "[CLS]", "[MASK]"]
PIECES = [
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<0x0A>",
    *SPECIAL,
    *SYMBOLS,
    " the",
    "Union",
    "\u2581",
    "\0",
]


def odd_strings(count, seed=0):
    """Strings of every plane, alphabet and length that the list above does not have."""
    rng = random.Random(seed)
    result = []
    for number in range(count):
        length = int(rng.expovariate(1 / 12))
        match number % 4:
            case 0:  # any code point of any plane, each plane as likely
                points = ((rng.randrange(17) << 16) + rng.randrange(1 << 16) for _ in range(length))
                result.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
            case 1:
                result.append("".join(rng.choices(rng.choice(ALPHABETS), k=length)))
            case 2:
                result.append("".join(rng.choice(rng.choice(ALPHABETS)) for _ in range(length)))
            case _:
                result.append("".join(rng.choice([*PIECES, *"ab "]) for _ in range(length)))
    return result
