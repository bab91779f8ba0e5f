"""Draws the pictures of docs/guide.md and docs/parallelism.md.

.venv/bin/python docs/pictures/draw.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import parallelism
import transformer
from svg import BLUE, GREEN, GREY, RED, YELLOW, Picture

#: A text as the tokenizer of the guide's run cuts it, with the ids; test_guide.py compares.
TEXT = "Our commerce with foreign nations"
PIECES = {"O": 1015, "ur": 306, "▁commerce": 791, "▁with": 336, "▁foreign": 760, "▁nations": 916}


def recipe() -> Picture:
    """The six steps, with the command of each."""
    picture = Picture(880, 200, "The recipe, from purpose to use")
    steps = (
        ("1 Purpose", "what is it for,", "how big", "plan"),
        ("2 Architecture", "which", "transformer", "section model"),
        ("3 Curation", "from text to", "rows of tokens", "curate, tokenize"),
        ("4 Training", "guess, compare,", "adjust", "train"),
        ("5 Assessment", "measure on text", "held out", "evaluate"),
        ("6 Use", "one folder,", "one server", "export, serve"),
    )
    for index, (name, first, second, command) in enumerate(steps):
        x = 12 + index * 145
        picture.box(x, 24, 126, 76, (name, first, second), (YELLOW, BLUE, GREEN)[index % 3])
        picture.text(x + 63, 116, command, code=True)
        if index:
            picture.arrow((x - 19, 62), (x, 62))
    picture.arrow((800, 130), (800, 156), (365, 156), (365, 130), dashed=True)
    picture.text(582, 176, "knowledge changes: curate and train again", faint=True)
    return picture


def purpose() -> Picture:
    """What follows from the use case."""
    picture = Picture(880, 150, "The use case sets the size; the size sets data, compute, memory")
    chain = (
        ("use case", "how hard is it?"),
        ("parameters", "weights to learn"),
        ("tokens", "20 for each weight"),
        ("computation", "tokens x weights x 6"),
        ("hours", "computation / speed"),
    )
    for index, lines in enumerate(chain):
        x = 12 + index * 176
        picture.box(x, 24, 152, 58, lines, YELLOW if index == 0 else BLUE)
        if index:
            picture.arrow((x - 24, 53), (x, 53))
    picture.arrow((264, 82), (264, 116), (292, 116))
    words = "memory: weights, their gradients, the optimizer's slots, activations, logits"
    picture.text(298, 116, words, anchor="start")
    return picture


def curation() -> Picture:
    """Where a document can go."""
    picture = Picture(880, 270, "Curation: read, deduplicate, rules, split, tokenize, pack")
    stages = (
        ("read", "text, jsonl, pairs"),
        ("deduplicate", "exact copies"),
        ("rules", "language, length,", "repetition"),
        ("split", "by hash of the id"),
        ("tokenize, pack", "rows of equal", "length"),
    )
    for index, lines in enumerate(stages):
        x = 12 + index * 176
        picture.box(x, 24, 140, 76, lines, GREEN)
        if index:
            picture.arrow((x - 36, 62), (x, 62))
    ends = (
        (12, ("dead letters", "cannot be read")),
        (276, ("rejected", "with the reason")),
        (540, ("held out", "for assessment")),
        (716, ("training rows", "TFRecord shards")),
    )
    for x, lines in ends:
        picture.box(x, 176, 140, 54, lines, RED if x < 500 else BLUE)
    picture.arrow((82, 100), (82, 176))
    picture.arrow((258, 100), (258, 138), (346, 138), (346, 176))
    picture.arrow((434, 100), (434, 138), (346, 138), tip=False)
    picture.arrow((610, 100), (610, 176))
    picture.arrow((786, 100), (786, 176))
    picture.text(
        440, 252, "every document that was read is counted once: kept, rejected or dead", faint=True
    )
    return picture


def tokens() -> Picture:
    """From text to vectors, with the pieces and ids of the guide's tokenizer."""
    picture = Picture(880, 250, "A text, its pieces, their ids, their vectors")
    for y, name in ((40, "text"), (96, "pieces"), (150, "ids"), (206, "vectors")):
        picture.text(12, y, name, bold=True, anchor="start")
    picture.box(100, 22, 6 * 128 - 10, 36, (), GREY)
    picture.text(479, 40, TEXT)
    for index, (piece, number) in enumerate(PIECES.items()):
        x = 100 + index * 128
        picture.box(x, 78, 118, 36, (), YELLOW)
        picture.text(x + 59, 96, piece)
        picture.box(x, 132, 118, 36, (), GREEN)
        picture.text(x + 59, 150, str(number))
        picture.box(x, 186, 118, 40, (), BLUE)
        picture.text(x + 59, 206, f"row {number} of E", code=True)
        for top in (58, 114, 168):
            picture.arrow((x + 59, top), (x + 59, top + (20 if top == 58 else 18)))
    return picture


def attention() -> Picture:
    """Which position sees which, in the three attentions."""
    picture = Picture(880, 300, "Who sees whom: encoder, decoder, encoder-decoder attention")
    kinds: tuple[tuple[str, str, str, Callable[[int, int], bool]], ...] = (
        ("encoder self-attention", "source", "source", lambda _, key: key < 5),
        ("masked self-attention", "target", "target", lambda query, key: key <= query),
        ("encoder-decoder attention", "target", "source", lambda _, key: key < 5),
    )
    for index, (name, rows, columns, sees) in enumerate(kinds):
        left, top, side = 70 + index * 285, 70, 28
        picture.text(left + 3 * side, 20, name, bold=True)
        picture.text(left + 3 * side, 50, f"keys: {columns}")
        picture.text(left - 10, top + 3 * side, rows, anchor="end")
        for query in range(6):
            for key in range(6):
                fill = BLUE if sees(query, key) else GREY
                picture.box(left + key * side, top + query * side, side, side, (), fill)
    picture.box(230, 264, 20, 20, (), BLUE)
    picture.text(258, 274, "seen", anchor="start")
    picture.box(330, 264, 20, 20, (), GREY)
    picture.text(358, 274, "hidden: a later token, or filling (last source column)", anchor="start")
    return picture


def techniques() -> Picture:
    """Three ways to make a step fit."""
    picture = Picture(880, 330, "Data parallel, accumulation, rematerialization")
    for x, name in ((145, "data parallel"), (440, "accumulation"), (735, "rematerialization")):
        picture.text(x, 20, name, bold=True)
    for x in (20, 160):
        picture.box(x, 44, 110, 40, ("half the rows",), YELLOW)
        picture.box(x, 112, 110, 58, ("device", "all weights"), BLUE)
        picture.arrow((x + 55, 84), (x + 55, 112))
        picture.arrow((x + 55, 170), (x + 55, 204), (145, 204), (145, 228))
    picture.box(70, 228, 150, 40, ("gradients summed",), GREEN)
    for index in range(3):
        picture.box(320 + index * 84, 44, 72, 40, (f"part {index + 1}",), YELLOW)
        picture.box(320 + index * 84, 112, 72, 58, ("gradients",), BLUE)
        picture.arrow((356 + index * 84, 84), (356 + index * 84, 112))
        picture.arrow((356 + index * 84, 170), (356 + index * 84, 204), (440, 204), (440, 228))
    picture.box(365, 228, 150, 40, ("one step",), GREEN)
    for index in range(3):
        x = 620 + index * 84
        picture.box(x, 44, 62, 58, ("block", str(index + 1)), BLUE)
        picture.arrow((x - 22, 73), (x, 73))
        picture.box(x, 196, 62, 58, ("again", str(index + 1)), GREEN)
        picture.arrow((x + 84, 225), (x + 62, 225))
    picture.text(735, 132, "kept: what goes into each block")
    picture.text(735, 160, "thrown away: all inside, made again")
    for x, words in (
        (145, "speed: more rows at once"),
        (440, "memory: fewer rows at once"),
        (735, "memory: backwards, once more"),
    ):
        picture.text(x, 306, words, faint=True)
    return picture


def export() -> Picture:
    """What is inside the exported folder, and who reads it."""
    picture = Picture(880, 210, "The SavedModel: text in, text out")
    picture.frame(190, 20, 500, 126)
    picture.text(440, 40, "export/1: one SavedModel")
    for x, lines in (
        (206, ("tokenizer", "text to ids")),
        (368, ("model", "weights, cache")),
        (530, ("decode loop", "sampling, beams")),
    ):
        picture.box(x, 62, 144, 62, lines, BLUE)
    picture.arrow((350, 93), (368, 93))
    picture.arrow((512, 93), (530, 93))
    picture.box(12, 66, 120, 54, ("prompt", "over HTTP"), YELLOW)
    picture.box(748, 66, 120, 54, ("answer", "over HTTP"), GREEN)
    picture.arrow((132, 93), (206, 93))
    picture.arrow((674, 93), (748, 93))
    words = "read by llm-keras serve and by stock TensorFlow Serving; this package is not needed"
    picture.text(440, 178, words, faint=True)
    return picture


PICTURES = {
    "recipe": recipe,
    "purpose": purpose,
    "transformer": transformer.transformer,
    "curation": curation,
    "tokens": tokens,
    "attention": attention,
    "techniques": techniques,
    "export": export,
    "parallelism": parallelism.parallelism,
}


def main() -> None:
    """Writes every picture into the folder named, or beside this file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, draw in PICTURES.items():
        draw().write(folder / f"{name}.svg")


if __name__ == "__main__":
    main()
