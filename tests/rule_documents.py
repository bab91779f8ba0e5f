"""Documents on which rules are compared with another implementation: real ones and odd ones.

The odd ones are made of sentences of the real ones, by a seed, so that each rule has documents on
both sides of its threshold and close to it.
"""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

#: datatrove's decisions on `frozen_documents`, written by benchmarks/rule_parity.py.
FROZEN = Path(__file__).parent / "unit" / "data" / "datatrove_decisions.json"
EXAMPLES = Path(__file__).parents[1] / "examples" / "data" / "state_of_the_union"
#: Words and lines as the web has them.
_ODD_WORDS = """
    don't it's we'll I'm they've can't won't ain't John's dogs' y'all cannot gonna 'tis o'clock e.g.
    i.e. U.S. U.K. Mr. Dr. St. a.m. 5pm 10km 3.5kg 20% $5.00 US$7 £3 1,000,000 3-4 10-12-2020 -5 +5
    well-known state-of-the-art and/or w/o www.example.org http://a.org/b?c=d#e foo.bar@mail.org =5
    :-) :) ;) <3 xD :D ^_^ -- --- — – … .. ... .... !! ?! ?? *** ### ~~ ||| // \\ @user #tag C++
    C# .NET node.js file.txt snake_case camelCase <b> </b> {x} [y] (z) "quoted" 'single' “curly”
    ‘curly’ «angles» a,b x=y 1+1 2^3 5*6 50°C 98.6°F. ½ ² № © ™ ® • ◦ ▪ → ✓ 😀 ❤ naïve café Ünder
    straße Ελλάδα Москва 東京 日本語。 한국어 العربية עברית हिन्दी ไทย U.S.A. Ph.D. vs. etc.
    No. 1st 2nd 12:30 12/25/1999 192.168.0.1 v1.2.3 +1-555-0100 (555) --flag -x /usr/bin C:/dir 100%
"""
ODD_WORDS = tuple(_ODD_WORDS.split())
ODD_LINES = (
    "Please enable JavaScript to view the comments.",
    "By using this site you agree to our terms of use and privacy policy.",
    "This website uses cookies to improve your experience.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    "function() { return 1; }",
    "Read more...",
    "Click here",
    "Home | About | Contact",
    "Posted by admin on May 5, 2010 at 3:45 pm",
    'He said "yes"',
    "He wrote 'no'",
    "It was built in 1901.[12] [edit]",
    "[3] [4] Yes.",
    "- an item",
    "• another item",
    "* a third item",
    "1. First.",
    "What?! No... Well.",
    "...",
    "!!!",
    "\t tabs\tand  blanks \t.",
    "a" * 1001 + ".",
    "b" * 1000 + " is one word of two.",
)


def sentences_of(text: str) -> list[str]:
    """The text cut behind full stops."""
    return [each for each in re.split(r"(?<=[.?!])\s+", text) if each]


def shipped_texts() -> list[str]:
    """The addresses that come with the examples."""
    return [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.txt"))]


def frozen_documents() -> list[str]:
    """Documents that come with the repository, and odd ones made of them."""
    texts = shipped_texts()
    return [*(text[:5000] for text in texts), *odd_documents(texts, 420, seed=7)]


def odd_documents(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Makes documents of the sentences of `texts`."""
    rng = random.Random(seed)
    pools = [sentences_of(text) for text in texts]
    makers = list(MAKERS)
    made = []
    for number in range(count):
        pool = rng.choice(pools)
        start = rng.randrange(len(pool))
        made.append(makers[number % len(makers)](rng, pool[start : start + rng.randint(1, 40)]))
    return made


def _plain(rng: random.Random, sentences: list[str]) -> str:
    """Paragraphs of sentences."""
    paragraphs, text = rng.choice(["\n", "\n\n", " \n \n", "\r\n"]), ""
    for sentence in sentences:
        text += sentence + (paragraphs if rng.random() < 0.2 else " ")
    return text


def _line_each(rng: random.Random, sentences: list[str]) -> str:
    return "\n".join(sentences)


def _short_lines(rng: random.Random, sentences: list[str]) -> str:
    """Many lines near thirty characters, some with a full stop."""
    words = " ".join(sentences).split()
    lines, stop = [], rng.random() * 0.3
    while words:
        size = rng.randint(1, 9)
        lines.append(" ".join(words[:size]).rstrip(".") + ("." if rng.random() < stop else ""))
        words = words[size:]
    return "\n".join(lines)


def _bullets(rng: random.Random, sentences: list[str]) -> str:
    share, bullet = rng.uniform(0.8, 1), rng.choice(["•", "-", "  • ", "* ", "●"])
    return "\n".join(bullet + " " + s if rng.random() < share else s for s in sentences)


def _ellipses(rng: random.Random, sentences: list[str]) -> str:
    share, dots = rng.uniform(0.1, 0.5), rng.choice(["...", "…", " ... ", "...."])
    return "\n".join(s + dots if rng.random() < share else s for s in sentences)


def _repeated_lines(rng: random.Random, sentences: list[str]) -> str:
    """Lines of which a part stood before, around the thresholds."""
    share, lines = rng.choice([0.02, 0.2, 0.3, 0.35]), list(sentences)
    for place in range(1, len(lines)):
        if rng.random() < share:
            lines[place] = lines[rng.randrange(place)]
    return rng.choice(["\n", "\n\n", "\n \n"]).join(lines)


def _repeated_words(rng: random.Random, sentences: list[str]) -> str:
    """Running text into which a phrase comes again and again."""
    words = " ".join(sentences).split()
    phrase = words[: rng.randint(1, 12)]
    share = rng.uniform(0.0, 0.08)
    out: list[str] = []
    for word in words:
        out += [word, *(phrase if rng.random() < share else ())]
    return " ".join(out)


def _odd_words(rng: random.Random, sentences: list[str]) -> str:
    share = rng.choice([0.02, 0.1, 0.3, 0.8])
    words = " ".join(sentences).split()
    changed = [rng.choice(ODD_WORDS) if rng.random() < share else word for word in words]
    glue = [rng.choice([" ", " ", " ", " ", "  ", "\n", ", ", ". "]) for _ in changed]
    return "".join(word + after for word, after in zip(changed, glue, strict=True))


def _odd_lines(rng: random.Random, sentences: list[str]) -> str:
    share = rng.choice([0.02, 0.1, 0.5])
    lines = [rng.choice(ODD_LINES) if rng.random() < share else each for each in sentences]
    return "\n".join(lines)


def _signs(rng: random.Random, sentences: list[str]) -> str:
    """Words with signs and numbers between them, around the thresholds."""
    share, sign = (
        rng.uniform(0.05, 0.5),
        rng.choice(["#", "...", "1234", "%", "…", "-", "2.5", "|"]),
    )
    words = " ".join(sentences).split()
    return " ".join(w + " " + sign if rng.random() < share else w for w in words)


def _word_lengths(rng: random.Random, sentences: list[str]) -> str:
    """Words shorter or longer than usual."""
    shorter, size = rng.random() < 0.5, rng.randint(2, 4)
    words = " ".join(sentences).split()
    return " ".join(w[:size] if shorter else w + rng.choice(words) for w in words)


def _about_fifty_words(rng: random.Random, sentences: list[str]) -> str:
    words = (" ".join(sentences) + " ").split() * 50
    return " ".join(words[: rng.randint(40, 60)])


def _capitals(rng: random.Random, sentences: list[str]) -> str:
    return " ".join(sentences).upper()


def _no_stop_words(rng: random.Random, sentences: list[str]) -> str:
    words = " ".join(sentences).split()
    gone = set(("the", "be", "to", "of", "and", "that", "have", "with")[: rng.randint(5, 8)])
    return " ".join(word for word in words if word.lower() not in gone)


MAKERS: tuple[Callable[[random.Random, list[str]], str], ...] = (
    _plain,
    _line_each,
    _short_lines,
    _bullets,
    _ellipses,
    _repeated_lines,
    _repeated_words,
    _odd_words,
    _odd_lines,
    _signs,
    _word_lengths,
    _about_fifty_words,
    _capitals,
    _no_stop_words,
)
