"""Captions as running text: SubRip (.srt), WebVTT (.vtt) and SubViewer as YouTube has it (.sbv).

Times, numbers, positions, styles, tags, notes and the dashes before speakers go; what one cue
breaks off and the next goes on with is one sentence again. A line ends where another speaker
begins, and where a sentence ended before a pause.

Captions made by a machine roll: each cue repeats the lines of the one before, and adds words. A
file is taken for one of these if a quarter of its cues begin with the last line of the cue before
them, at once after it, and go on; then what is repeated is left out. In other files a refrain
stays, and only a cue that is shown twice at the same time, as some do for a shadow, counts once.

A file is decoded by its byte order mark, else in the source's encoding: none is guessed.

References:
    W3C, WebVTT: The Web Video Text Tracks Format, sections 4 and 6 (blocks, cues, tags).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from llm_keras import config
from llm_keras.data.document import unify_newlines
from pipelines.sources import decoding
from pipelines.sources.record import Text, Unreadable

SUFFIXES = (".srt", ".vtt", ".sbv")

#: Cues less apart than the first are one stream of speech; after the second a new line begins.
JOINED_SECONDS, PAUSE_SECONDS = 0.1, 3.0
#: Share of cues that repeat the line before from which on a file counts as rolling.
ROLLING_SHARE = 0.25
#: Words compared between two cues; those of a machine have some twenty.
_COMPARED_WORDS = 200

_MOMENT = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_MOMENT}\s*-->\s*{_MOMENT}(?:\s.*)?")
_SBV_TIMES = re.compile(rf"\s*{_MOMENT},{_MOMENT}\s*")
_LANGUAGE = re.compile(r"Language:\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*)\s*")

#: Tags with nothing to read in them; `<3` and `a < b` are no tags.
_RUBY = re.compile(r"<rt\b[^<>]*>[^<>]*</rt>")
_TAG = re.compile(
    r"</?(?:i|b|u|s|c|v|ruby|rt|lang|font|span|p)(?:[\s.][^<>\n]*)?>|<\d[\d:.]*>|\{\\[^{}\n]*\}",
    re.IGNORECASE,
)
_BREAK = re.compile(r"\\[Nn]|\[br\]|<br\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(amp|lt|gt|nbsp|quot|apos|#39|lrm|rlm);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "nbsp": " ", "quot": '"', "apos": "'", "#39": "'"}
#: What is to be heard but not said.
_SOUND = re.compile(r"\[[^\[\]\n]{1,80}\]|[♪♫♩♬]+")
_SPEAKER = re.compile(r"\s*(?:>{2,3}\s*|[-–—‐]{1,2}\s*(?=[^\W\d]|[\"'“¿¡(…]))")
_VOICE = re.compile(r"<v[\s.][^<>\n]*>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*$")


class Cue(NamedTuple):
    """What is shown from one moment to another.

    Args:
        start: Seconds.
        end: Seconds.
        lines: What is read, line by line, and whether another speaker begins with it.
    """

    start: float
    end: float
    lines: tuple[tuple[str, bool], ...]

    @property
    def words(self) -> list[str]:
        """All its words."""
        return [word for line, _ in self.lines for word in line.split()]


def read(path: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads one file as one text; a cue whose times are no times costs only itself."""
    data = decoding.read_bytes(path)
    text = data if isinstance(data, Unreadable) else decoding.decode(data, source.encoding)
    if isinstance(text, Unreadable):
        yield text
        return
    cues, broken = parse(text)
    yield from (Unreadable("a cue whose times cannot be read", line=line) for line in broken)
    if not cues:
        yield Unreadable(
            "holds no captions: expected a line of times such as 00:01.000 --> 00:02.0"
        )
        return
    yield Text(running_text(cues), language=_language(text))


def _language(text: str) -> str | None:
    """The language that the header of a WebVTT file names."""
    header = unify_newlines(text[:2000]).split("\n\n", 1)[0]
    lines = header.split("\n") if header.startswith("WEBVTT") else []
    return next((found[1] for line in lines if (found := _LANGUAGE.fullmatch(line))), None)


def parse(text: str) -> tuple[list[Cue], list[int]]:
    """Finds the cues of a file of any of the three formats.

    Returns:
        The cues in their order, and the numbers of lines that should hold times but do not.
    """
    lines = unify_newlines(text).split("\n")
    ends_at_blank = text.startswith("WEBVTT")
    cues: list[Cue] = []
    broken: list[int] = []
    times: tuple[float, float] | None = None
    held: list[str] = []
    for number, line in enumerate(lines, 1):
        found = _TIMES.fullmatch(line) or _SBV_TIMES.fullmatch(line)
        if found or "-->" in line:
            _close(cues, times, _without_number(held, ends_at_blank))
            times, held = _times(found) if found else None, []
            if not found:
                broken.append(number)
        elif ends_at_blank and not line:
            _close(cues, times, held)
            times, held = None, []
        elif times is not None:
            held.append(line)
    _close(cues, times, held)
    return cues, broken


def _close(cues: list[Cue], times: tuple[float, float] | None, lines: list[str]) -> None:
    if times is not None and (said := tuple(_said("\n".join(lines)))):
        cues.append(Cue(*times, said))


def _times(found: re.Match[str]) -> tuple[float, float]:
    numbers = [part or "0" for part in found.groups()]
    start, end = (
        int(h) * 3600 + int(m) * 60 + int(s) + int(f.ljust(3, "0")) / 1000
        for h, m, s, f in (numbers[:4], numbers[4:])
    )
    return start, end


def _without_number(lines: list[str], is_vtt: bool) -> list[str]:
    """Leaves out the number of the next cue, which stands right before its times."""
    last = len(lines) - 1
    if is_vtt or last < 0 or not lines[last].strip().isdecimal():
        return lines
    # A number that a blank line does not set off may be the last thing that is said.
    set_off = last == 0 or not lines[last - 1].strip()
    return lines[:last] if set_off else lines


def _said(text: str) -> Iterator[tuple[str, bool]]:
    """The lines of a cue without what is not read, and whether a speaker begins with them."""
    text = _BREAK.sub("\n", _RUBY.sub("", text)).replace("\\h", " ")
    for line in text.split("\n"):
        voice = _VOICE.search(line) is not None
        plain = _ENTITY.sub(lambda found: _ENTITIES.get(found[1], ""), _TAG.sub("", line))
        plain = " ".join(_SOUND.sub(" ", plain).split())
        speaker = _SPEAKER.match(plain)
        plain = plain[speaker.end() :] if speaker else plain
        if plain.strip("-–—> "):
            yield plain, voice or speaker is not None


def running_text(cues: list[Cue]) -> str:
    """Joins what is said in all cues, once each."""
    rolling = _is_rolling(cues)
    parts: list[str] = []
    before: Cue | None = None
    for cue in cues:
        known = _repeated(before, cue, rolling) if before else 0
        gap = cue.start - before.end if before else 0.0
        for line, speaker in cue.lines:
            words = line.split()
            new, known = words[known:], max(0, known - len(words))
            if new:
                fresh = speaker and len(new) == len(words)
                parts.append(_joint(parts, fresh, gap) + " ".join(new))
                gap = 0.0
        before = cue
    return "".join(parts)


def _joint(parts: list[str], speaker: bool, gap: float) -> str:
    """What comes between what was said and what is said next."""
    if not parts:
        return ""
    ended = gap >= PAUSE_SECONDS and _SENTENCE_END.search(parts[-1][-8:])
    return "\n" if speaker or ended else " "


def _is_rolling(cues: list[Cue]) -> bool:
    pairs = list(itertools.pairwise(cues))
    # A cue that only says the same again may be a refrain; one that goes on from it rolls.
    repeats = sum(before.lines != cue.lines and _overlap(before, cue) > 0 for before, cue in pairs)
    return len(pairs) > 1 and repeats >= ROLLING_SHARE * len(pairs)


def _repeated(before: Cue, cue: Cue, rolling: bool) -> int:
    """How many words of a cue were in the one before already."""
    if rolling:
        return _overlap(before, cue)
    same = cue.lines == before.lines and cue.start < before.end
    return len(cue.words) if same else 0


def _overlap(before: Cue, cue: Cue) -> int:
    """The words that end one cue and begin the next, if they hold the whole last line, or all."""
    if not before.start <= cue.start <= before.end + JOINED_SECONDS:
        return 0
    old, new = before.words[-_COMPARED_WORDS:], cue.words[:_COMPARED_WORDS]
    least = min(len(before.lines[-1][0].split()), len(new))
    for count in range(min(len(old), len(new)), max(least, 1) - 1, -1):
        if old[-count:] == new[:count]:
            return count
    return 0
