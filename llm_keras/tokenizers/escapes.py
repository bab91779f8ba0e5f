r"""Lets U+2581 stand in text, although SentencePiece writes a space as that character.

Inside a SentencePiece model a space is U+2581, so a real U+2581 would come back as a space. The
model file has room for a rule on the way in (normaliser) and one on the way out (denormaliser):

    U+2581 -> U+FDD0 U+FDD1        U+FDD0 -> U+FDD0 U+FDD2        and back

These are noncharacters, kept by Unicode for uses like this one. Since U+FDD0 is escaped itself,
every text comes back whole. As the rules are part of the model file, they hold in Python and in
TF Text.
"""

from __future__ import annotations

from pathlib import Path

ESCAPE = "\ufdd0"
#: Text -> what the pieces spell. Reading it backwards undoes it.
RULES = {"\u2581": ESCAPE + "\ufdd1", ESCAPE: ESCAPE + "\ufdd2"}


def write_rules(folder: Path) -> tuple[Path, Path]:
    """Writes both rule files for the trainer; returns the paths of normaliser and denormaliser."""
    normalise, denormalise = folder / "normalise.tsv", folder / "denormalise.tsv"
    normalise.write_text("".join(_line(text, spelt) for text, spelt in RULES.items()))
    denormalise.write_text("".join(_line(spelt, text) for text, spelt in RULES.items()))
    return normalise, denormalise


def _line(before: str, after: str) -> str:
    """One rule as SentencePiece reads it: hexadecimal code points, a tab between the sides."""
    return "\t".join(" ".join(f"{ord(c):X}" for c in side) for side in (before, after)) + "\n"
