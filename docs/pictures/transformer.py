"""The whole transformer: the encoder's 8 steps, the decoder's 11, and what joins them."""

from __future__ import annotations

from svg import BLUE, GREEN, GREY, RED, YELLOW, Picture

WIDTH, HEIGHT = 250, 44
#: Step -> its row on the sheet, what it is, and the layer's name in the code.
Steps = dict[int, tuple[float, str, str]]

ENCODER: Steps = {
    1: (70, "embedding", "encoder_embedding"),
    2: (136, "positions, added", "encoder_positions"),
    3: (224, "residual: keep x", "x +"),
    4: (276, "self-attention", "attention"),
    5: (342, "add and normalize", "attention_norm"),
    6: (408, "residual: keep x", "x +"),
    7: (460, "feed-forward", "feed_forward"),
    8: (526, "add and normalize", "feed_forward_norm"),
}
DECODER: Steps = {
    1: (70, "embedding", "decoder_embedding"),
    2: (136, "positions, added", "decoder_positions"),
    3: (224, "residual: keep x", "x +"),
    4: (276, "masked self-attention", "attention"),
    5: (342, "add and normalize", "attention_norm"),
    6: (408, "residual: keep x", "x +"),
    7: (460, "encoder-decoder attention", "cross_attention"),
    8: (526, "add and normalize", "cross_attention_norm"),
    9: (592, "residual: keep x", "x +"),
    10: (644, "feed-forward", "feed_forward"),
    11: (710, "add and normalize", "feed_forward_norm"),
}
LEFT, RIGHT = 70, 540


def transformer() -> Picture:
    """Both stacks, step by step from top to bottom."""
    picture = Picture(880, 890, "The transformer: encoder in 8 steps, decoder in 11 steps")
    for x, steps, name, start in (
        (LEFT, ENCODER, "Encoder: reads the source", "source tokens"),
        (RIGHT, DECODER, "Decoder: writes the target", "target tokens so far"),
    ):
        picture.text(x + WIDTH / 2, 16, name, bold=True)
        picture.text(x + WIDTH / 2, 42, start)
        picture.arrow((x + WIDTH / 2, 52), (x + WIDTH / 2, 70))
        _stack(picture, x, steps)
    _memory(picture)
    _head(picture)
    return picture


def _stack(picture: Picture, x: float, steps: Steps) -> None:
    middle, last = x + WIDTH / 2, max(steps)
    picture.frame(x - 52, 196, WIDTH + 76, steps[last][0] + HEIGHT - 182)
    picture.text(x - 44, 210, "6 times", anchor="start", faint=True)
    for number, (top, words, layer) in steps.items():
        if words.startswith("residual"):
            picture.number(x - 24, top + 10, number)
            picture.text(middle - 18, top + 10, words, anchor="end", faint=True)
            _residual(picture, x, top + 10, steps[number + 2][0])
            continue
        picture.number(x - 24, top + HEIGHT / 2, number)
        picture.box(x, top, WIDTH, HEIGHT, (), _colour(words))
        picture.text(middle, top + 14, words, bold=True)
        picture.text(middle, top + 32, layer, code=True)
        if number != last:
            below = steps[number + 1]
            bottom = steps[number + 2][0] if below[1].startswith("residual") else below[0]
            picture.arrow((middle, top + HEIGHT), (middle, bottom))


def _residual(picture: Picture, x: float, start: float, add: float) -> None:
    """The way around a sublayer, from its input to the normalization after it."""
    side = x + WIDTH + 14
    picture.arrow((x + WIDTH / 2, start), (side, start), (side, add + 22), (x + WIDTH, add + 22))


def _memory(picture: Picture) -> None:
    """The encoder's output, the keys and values of step 7 of every decoder block."""
    bottom, middle = ENCODER[8][0] + HEIGHT, LEFT + WIDTH / 2
    top = DECODER[7][0] + HEIGHT / 2
    picture.arrow((middle, bottom), (middle, 620), (440, 620), (440, top + 34), tip=False)
    picture.arrow((440, top + 34), (440, top), (RIGHT - 38, top))
    picture.text(middle + 10, 640, "what the source says: keys and values", anchor="start")


def _head(picture: Picture) -> None:
    top, middle = DECODER[11][0] + HEIGHT, RIGHT + WIDTH / 2
    picture.arrow((middle, top), (middle, 786))
    picture.box(RIGHT, 786, WIDTH, HEIGHT, (), GREY)
    picture.text(middle, 800, "a score for each token", bold=True)
    picture.text(middle, 818, "embedding, transposed", code=True)
    picture.arrow((middle, 830), (middle, 852))
    picture.text(middle, 866, "softmax: how probable each next token is")


def _colour(words: str) -> str:
    if "attention" in words:
        return RED
    if words == "feed-forward":
        return BLUE
    return YELLOW if "normalize" in words else GREEN
