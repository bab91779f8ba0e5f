"""What TeX's commands come to in running text: tables for `tex_text`."""

from __future__ import annotations

import re
import unicodedata

#: Commands of one sign.
SIGNS = {
    **{sign: sign for sign in "%&$#_{}"},
    **dict.fromkeys(" \n\t,;:>", " "),
    **dict.fromkeys("!-/@<+*", ""),
}

SYMBOLS = {
    **{"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł"},
    **{"L": "Ł", "aa": "å", "AA": "Å", "i": "ı", "j": "ȷ", "dh": "ð", "DH": "Ð", "th": "þ"},
    **{"TH": "Þ", "dj": "đ", "DJ": "Đ", "ng": "ŋ", "NG": "Ŋ", "S": "§", "P": "¶"},
    **{"copyright": "©", "pounds": "£", "euro": "€", "texteuro": "€", "textdegree": "°"},
    **{
        "dag": "†",
        "ddag": "‡",
        "textdagger": "†",
        "ldots": "...",
        "dots": "...",
        "textellipsis": "...",
    },
    **{"textendash": "–", "textemdash": "—", "textquoteleft": "‘", "textquoteright": "’"},
    **{"textquotedblleft": "“", "textquotedblright": "”", "guillemotleft": "«"},
    **{
        "guillemotright": "»",
        "og": "« ",
        "fg": " »",
        "lq": "‘",
        "rq": "’",
        "glqq": "„",
        "grqq": "“",
    },
    **{"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textbar": "|"},
    **{"textless": "<", "textgreater": ">", "textunderscore": "_", "textbraceleft": "{"},
    **{"textbraceright": "}", "textdollar": "$", "textbullet": "•", "textmu": "µ"},
    **{"textregistered": "®", "texttrademark": "™", "textperiodcentered": "·", "lbrack": "["},
    **{"rbrack": "]", "slash": "/", "TeX": "TeX", "LaTeX": "LaTeX", "LaTeXe": "LaTeX2e"},
    **{
        "BibTeX": "BibTeX",
        "space": " ",
        "quad": " ",
        "qquad": " ",
        "enspace": " ",
        "thinspace": " ",
    },
    **{"nobreakspace": " ", "hfill": " ", "hfil": " ", "and": " ", "AND": " "},
}

#: Combining characters that accents put on the letter that follows.
ACCENTS = {
    **{"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304"},
    **{".": "\u0307", "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328"},
    **{"r": "\u030a", "d": "\u0323", "b": "\u0331", "t": "\u0361"},
}

#: Their title is a line of its own, with a blank line around it.
SECTIONS = frozenset(
    ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
)

#: What the text is made of; a source that defines one of these anew keeps its meaning here.
STRUCTURE = SECTIONS | frozenset(
    (
        *("begin", "end", "item", "caption", "footnote", "footnotetext", "title", "par", "input"),
        *("include", "usepackage", "label", "verb", "url", "href", "else", "fi", "or"),
    )
)

#: Commands that are left out with so many arguments, those in square brackets beside.
DROPPED = {
    **dict.fromkeys(
        (
            *("label", "index", "vspace", "hspace", "includegraphics", "bibliography", "pagestyle"),
            *(
                "bibliographystyle",
                "usepackage",
                "RequirePackage",
                "documentclass",
                "documentstyle",
            ),
            *(
                "thispagestyle",
                "pagenumbering",
                "hypersetup",
                "color",
                "parbox",
                "scalebox",
                "cline",
            ),
            *("rotatebox", "raisebox", "phantom", "hphantom", "vphantom", "todo", "marginpar"),
            *("author", "address", "affil", "affiliation", "email", "institute", "institution"),
            *("thanks", "date", "pacs", "PACS", "preprint", "keywords", "subjclass", "pagecolor"),
            *("newcounter", "newlength", "newsavebox", "theoremstyle", "graphicspath", "epsfig"),
            *("epsfbox", "psfig", "special", "markright", "textcolor", "colorbox", "stepcounter"),
            *(
                "addbibresource",
                "nobibliography",
                "noalign",
                "homepage",
                "altaffiliation",
                "titlerunning",
            ),
            *("authorrunning", "runninghead", "linespread", "hyphenation", "lstset", "tikzset"),
            *("usetikzlibrary", "captionsetup", "geometry", "bibitem", "orcid", "ead", "corref"),
            *(
                "fnref",
                "received",
                "accepted",
                "volume",
                "journal",
                "doi",
                "authornote",
                "selectlanguage",
            ),
            *("excludecomment", "includecomment", "ccsdesc", "copyrightyear"),
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *("setlength", "addtolength", "setcounter", "addtocounter", "markboth", "resizebox"),
            *(
                "rule",
                "fontsize",
                "numberwithin",
                "multicolumn",
                "multirow",
                "fcolorbox",
                "newfont",
            ),
            *("settowidth", "addtocontents", "href", "hyperlink", "DeclareGraphicsExtensions"),
        ),
        2,
    ),
    **dict.fromkeys(("definecolor", "addcontentsline", "DeclareMathSymbol"), 3),
    **{"DeclarePairedDelimiter": 3, "titleformat": 5, "titlespacing": 4, "ifthenelse": 3},
}
# The last argument of these is text.
DROPPED |= {"href": 1, "multicolumn": 2, "multirow": 2, "hyperlink": 1}

#: References to what is not there any more: other works, numbers, pages.
REFERENCE = re.compile(
    r"[a-zA-Z]*[cC]ite[a-zA-Z]*|(?:eq|page|auto|[cC]|[cC]page|v|name|sub|label[cC]|f|F|th)?ref"
)

#: Followed by a number or a length without braces.
LENGTHS = frozenset(
    (
        *(
            "vskip",
            "hskip",
            "kern",
            "parindent",
            "parskip",
            "baselineskip",
            "textwidth",
            "textheight",
        ),
        *("oddsidemargin", "evensidemargin", "topmargin", "headheight", "headsep", "footskip"),
        *("hsize", "vsize", "hoffset", "voffset", "penalty", "tolerance", "looseness", "leftskip"),
        *(
            "rightskip",
            "hangindent",
            "hangafter",
            "baselinestretch",
            "abovedisplayskip",
            "tabcolsep",
        ),
        *(
            "belowdisplayskip",
            "pageno",
            "magnification",
            "widowpenalty",
            "clubpenalty",
            "columnsep",
        ),
        *("lineskip", "footnotesep", "pretolerance", "emergencystretch", "hbadness", "vbadness"),
        *(
            "raise",
            "lower",
            "moveleft",
            "moveright",
            "hrule",
            "vrule",
            "arraystretch",
            "mathsurround",
        ),
    )
)
LENGTH = re.compile(
    r"[ \t]*=?[ \t]*(?:[-+]?[ \t]*(?:\d{1,9}(?:[.,]\d{0,9})?|[.,]\d{1,9})?[ \t]*"
    r"(?:true[ \t]*)?(?:(?:pt|pc|in|bp|cm|mm|dd|cc|sp|em|ex|mu|fill?l?)(?![a-z])[ \t]*)?"
    r"(?:(?:plus|minus|width|height|depth)[ \t]*)?){0,4}"
)

#: Environments of equations.
MATHEMATICS = frozenset(
    (
        *(
            "equation",
            "eqnarray",
            "align",
            "gather",
            "multline",
            "flalign",
            "alignat",
            "displaymath",
        ),
        *(
            "math",
            "dmath",
            "dgroup",
            "xalignat",
            "xxalignat",
            "eqnarray*",
            "IEEEeqnarray",
            "empheq",
        ),
    )
)
#: Environments of which only the caption is read.
FLOATS = frozenset(
    (
        *(
            "figure",
            "table",
            "wrapfigure",
            "wraptable",
            "sidewaysfigure",
            "sidewaystable",
            "SCfigure",
        ),
        *("subfigure", "subtable", "floatingfigure", "deluxetable", "algorithm", "longtable"),
    )
)
#: Environments that are left out whole.
LEFT_OUT = frozenset(
    (
        *("thebibliography", "references", "biblist", "tabular", "tabularx", "tabulary", "tabbing"),
        *("supertabular", "array", "tikzpicture", "picture", "pspicture", "CCSXML", "algorithmic"),
        *("feynmandiagram", "fmffile", "tikzcd", "xy", "psfrags"),
    )
)
#: Arguments of environments, which are not text.
ENVIRONMENT_ARGUMENTS = {
    **{"minipage": 1, "multicols": 1, "list": 2, "adjustwidth": 2, "spacing": 1, "wrapfigure": 2},
    **{"wraptable": 2, "alignat": 1, "subfigure": 1, "longtable": 1, "deluxetable": 1},
    **{"otherlanguage": 1, "addmargin": 1, "scope": 0, "IEEEeqnarray": 1, "floatingfigure": 1},
}
#: Environments that begin with a word of their own.
HEADED = {"abstract": "Abstract", "proof": "Proof.", "acknowledgments": "Acknowledgments"}
HEADED |= {"acknowledgements": "Acknowledgements", "keywords": "Keywords:"}


def accented(letter: str, accent: str) -> str:
    r"""A letter with an accent, as one character where there is one.

    >>> accented("e", "'"), accented("\\i", '"')
    ('é', 'ï')
    """
    letter = {"\\i": "i", "\\j": "j", "ı": "i", "ȷ": "j"}.get(letter, letter)
    return unicodedata.normalize("NFC", letter[:1] + ACCENTS[accent] + letter[1:])
