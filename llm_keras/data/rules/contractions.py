"""English words that are cut where no sign stands, or not cut where one stands.

References:
    spaCy 3.8, special cases of its English tokenizer; benchmarks/rule_parity.py compares the list.
"""

from __future__ import annotations

from collections.abc import Iterator

Case = tuple[str, ...]


def _listed(words: str) -> Case:
    return tuple(words.split())


_PRONOUNS = _listed("i you he she it we they")
_QUESTIONS = _listed("who what when where why how there")
_POINTERS = _listed("that this these those")
_NEGATED = _listed("ca could do does did had may might must need ought sha should wo would")
_NEGATED_BE = _listed("ai are is was were have has dare")
_WITH_HAVE = _listed("could might must should would")
#: Words of their own, whatever the patterns make of them.
_WORDS = frozenset(_listed("ill its hell shell shed were well whore lets howdy"))

#: Where a full stop belongs to the word.
_ABBREVIATIONS = _listed("""
    Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind.
    Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y.
    Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis.
    a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd.
    Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s.
    a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä. ö. ü.
""")
#: Each also with the apostrophe that typographers use.
_WITH_APOSTROPHE = _listed("""
    'S 's 're 'd 'll 'em 'nuff 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock
    O'clock lovin' Lovin' havin' Havin' doin' Doin' goin' Goin' ol' Ol' nothin' Nothin' nuthin'
    Nuthin' somethin' Somethin' ' '' :') :'-) :'( :'-(
""")
_WHOLE = _listed("""
    ‘S ‘s and/or w/o lovin Lovin havin Havin doin Doin goin Goin em ll nuff ol Ol nothin Nothin
    nuthin Nuthin somethin Somethin \\") \\n \\t <space> C++ —
""")
_FACES = _listed(r"""
    :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-)
    (; (-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O
    :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD
    8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0
    o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ
    (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
""")


def special_cases() -> dict[str, Case]:
    """Each special case with the words that it becomes.

    >>> special_cases()["can't"], special_cases()["cannot"], special_cases()["Mr."]
    (('ca', "n't"), ('can', 'not'), ('Mr.',))
    """
    whole = (*_FACES, *_WHOLE, *_ABBREVIATIONS, *_WITH_APOSTROPHE)
    cases: dict[str, Case] = {word: (word,) for word in whole}
    cases |= {curly: (curly,) for word in _WITH_APOSTROPHE for curly in [_curly(word)]}
    for parts in _contractions():
        for words in (parts, (parts[0].title(), *parts[1:])):
            bare = tuple(word.replace("'", "") for word in words)
            for form in (words, tuple(map(_curly, words)), bare):
                if "".join(form).lower() not in _WORDS:
                    cases["".join(form)] = form
    for mark in ("'", "’"):
        cases[f"y{mark}all"] = (f"y{mark}", "all")
        cases |= {f"{c}{mark}mon": (f"{c}{mark}m", "on") for c in "cC"}
    cases["yall"] = ("y", "all")
    for hour in range(1, 13):
        for half in ("a.m.", "am", "p.m.", "pm"):
            cases[f"{hour}{half}"] = (str(hour), half)
    return cases | {f"°{scale}.": ("°", scale, ".") for scale in "CcFfKk"}


def _curly(word: str) -> str:
    return word.replace("'", "’")


def _contractions() -> Iterator[Case]:
    """The words of each contraction, the first in small letters, with typewriter apostrophes."""
    yield from (("i", "'m"), ("i", "'m", "a"))
    for word in (*_PRONOUNS, *_QUESTIONS, *_POINTERS):
        yield from ((word, "'ll"), (word, "'ll", "'ve"), (word, "'d"), (word, "'d", "'ve"))
    for word in ("i", "you", "we", "they", *_QUESTIONS, "these", "those"):
        yield word, "'ve"
    for word in ("you", "we", "they", *_QUESTIONS, "these", "those"):
        yield word, "'re"
    for word in ("he", "she", "it", *_QUESTIONS, "that", "this"):
        yield word, "'s"
    for word in _NEGATED:
        yield from ((word, "n't"), (word, "n't", "'ve"))
    for word in _NEGATED_BE:
        yield word, "n't"
    for word in _WITH_HAVE:
        yield word, "'ve"
    yield from (("can", "not"), ("gon", "na"), ("got", "ta"), ("let", "'s"), ("not", "'ve"))
    yield "how", "'d", "'y"
