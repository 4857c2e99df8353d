"""Normalization with the way back: what the model reads, and where each character of it stands in the raw text.

A page arrives in Traditional or Simplified characters, with full-width digits, half-width commas, names spaced out to
align columns, and sometimes with the pinyin that a careless converter left behind (``協(xié)會``). The model should see
one form of all that, and the user should get exact positions in the text they sent. `normalize` gives both:

1. *removals*: control, format and zero-width characters;
2. *character for character* (a translation table; offsets do not move): Traditional → Simplified by OpenCC's tables,
   full-width letters and digits → ASCII, radicals and compatibility ideographs → the ideographs they stand for, every
   line break → ``\\n``, other white space → a space, a lone surrogate → U+FFFD (tokenizers refuse surrogates);
3. *character references* that a scraper left (``&middot;``, ``&#12289;``): the character, in the same form, which keeps
   the whole reference as its raw text. ASCII letters and digits and what is invisible stay as they are written;
4. *removals*: bracketed pinyin after an ideograph, then spaces between two ideographs of one line; but of those that part
   the names of a roster one is left, as the 、 or ， of running text (`renshi.rosters`). Then line breaks inside of
   sentences (`renshi.lines`), of which a space is left between Latin words;
5. *character for character*: a half-width ``,:;!?()`` that touches Chinese text becomes full-width, which is what clean
   Chinese news has and what Chinese encoders were trained on. ``3,000`` and ``10:30`` stay.

Nothing is cut or expanded beyond that, so normalizing twice changes nothing more.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from renshi.lines import broken_lines
from renshi.rosters import separators

__all__ = ["HAN", "Normalized", "is_pinyin", "normalize", "space_width"]

# The ideographs, written as the inside of a regular expression's class: 〇 and the unified blocks with their extensions.
HAN = "〇㐀-䶿一-鿿\U00020000-\U000323af"
_HAN_RANGES = ((0x3007, 0x3008), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x323B0))

# Where NFKC maps one character to one character. Elsewhere it is not applied: character by character it differs from
# the whole string (half-width katakana, combining marks), and an expansion (㈱, ½) has no offsets of its own.
_NFKC_RANGES = (
    (0x2E80, 0x2FE0),  # CJK and Kangxi radicals, which PDF extractors leave in place of ideographs
    (0xF900, 0xFB00),  # compatibility ideographs
    (0x2F800, 0x2FA20),  # their supplement
    (0xFF01, 0xFF5F),  # full-width ASCII
    (0xFFE0, 0xFFE7),  # full-width signs
)
_NARROW, _WIDE = ",:;!?()", "，：；！？（）"  # the punctuation of step 5
_LINE_BREAKS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_MIDDLE_DOTS = "•‧∙⋅・･"  # all stand between the parts of a transliterated name; one form: ·

_VARIATION_SELECTORS = "\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_INVISIBLE = re.compile(
    "\r(?=\n)"  # CRLF is one line break
    f"|(?P<attached>[{_VARIATION_SELECTORS}]+)"
    "|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e00ff]+"
)
# References to & before it are read at once, so that reading twice finds no more.
_REFERENCE = re.compile(
    "&(?P<ands>(?:amp|#0{0,5}38|#[xX]0{0,5}26);)*(?P<name>#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
)
_BRACKETED_LATIN = re.compile("[(（]([A-Za-z\u00c0-\u024f\u0251\u0261\u0300-\u036f\u1e00-\u1eff]{1,12})[)）]")
_STRAY_SPACES = re.compile(f"(?<=[{HAN}]) +(?=[{HAN}])")
# Begins with a whole word, or the spaces before it, so that a long one is looked at once.
_SPACED_WORDS = re.compile("(?:(?<! ) +|(?<![{0}· ])){1}(?:[ \n]+{1})+".format(HAN, f"[{HAN}]+(?:·[{HAN}]+)*"))
_WIDE_SPACES = "\t\u2003\u3000"
_CHINESE = HAN + "\u3000-\u3006\u3008-\u303f\uff01-\uffee“”‘’…—·"  # ideographs and the punctuation among them
# The second alternative looks behind itself so as to begin with a run only: from each of its characters anew, a run of n
# commas in English would take n² steps.
_NARROW_IN_CHINESE = re.compile("(?<=[{0}])[{1}]+|(?<![{1}])[{1}]+(?=[{0}])".format(_CHINESE, re.escape(_NARROW)))
_WIDEN = str.maketrans(_NARROW, _WIDE)

# Every syllable of Standard Mandarin without its tone: the initial, then the finals it takes.
_FINALS = """
-:a o e ai ei ao ou an en ang eng er
b:a o ai ei ao an en ang eng i ie iao ian in ing u
p:a o ai ei ao ou an en ang eng i ie iao ian in ing u
m:a o e ai ei ao ou an en ang eng i ie iao iu ian in ing u
f:a o ei ou an en ang eng u
d:a e ai ei ao ou an en ang eng ong i ia ie iao iu ian ing u uo ui uan un
t:a e ai ao ou an ang eng ong i ie iao ian ing u uo ui uan un
n:a e ai ei ao ou an en ang eng ong i ie iao iu ian in iang ing u uo uan un ü üe
l:a o e ai ei ao ou an ang eng ong i ia ie iao iu ian in iang ing u uo uan un ü üe
g:a e ai ei ao ou an en ang eng ong u ua uo uai ui uan un uang
k:a e ai ei ao ou an en ang eng ong u ua uo uai ui uan un uang
h:a e ai ei ao ou an en ang eng ong u ua uo uai ui uan un uang
j:i ia ie iao iu ian in iang ing iong u ue uan un
q:i ia ie iao iu ian in iang ing iong u ue uan un
x:i ia ie iao iu ian in iang ing iong u ue uan un
zh:a e i ai ei ao ou an en ang eng ong u ua uo uai ui uan un uang
ch:a e i ai ao ou an en ang eng ong u ua uo uai ui uan un uang
sh:a e i ai ei ao ou an en ang eng u ua uo uai ui uan un uang
r:e i ao ou an en ang eng ong u ua uo ui uan un
z:a e i ai ei ao ou an en ang eng ong u uo ui uan un
c:a e i ai ao ou an en ang eng ong u uo ui uan un
s:a e i ai ao ou an en ang eng ong u uo ui uan un
y:a o e ai ao ou an ang i in ing ong u ue uan un
w:a o ai ei an en ang eng u
"""
_SYLLABLES = frozenset(
    initial.strip("-") + final
    for initial, finals in (row.split(":") for row in _FINALS.split("\n") if row)
    for final in finals.split()
)
_TONES = "\u0304\u0301\u030c\u0300\u0306"  # macron, acute, caron, grave; a breve where a font had no caron


def is_pinyin(word: str) -> bool:
    """Whether `word` is one Mandarin syllable with its tone mark: ``xié`` is, ``CACA``, ``xx`` and ``xie`` are not."""
    letters = unicodedata.normalize("NFD", word.lower()).translate({0x251: "a", 0x261: "g"})  # ɑ ɡ in some converters
    bare = letters.translate(dict.fromkeys(map(ord, _TONES)))
    return len(letters) - len(bare) == 1 and unicodedata.normalize("NFC", bare) in _SYLLABLES


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """A normalized text with the map to the raw text it was made from.

    Attributes:
        text: What the model reads.
        raw: The text as it came, untouched.
        starts: For each character of `text`, where its raw characters begin (int32, strictly increasing).
        ends: For each character of `text`, where they end. ``raw[starts[i]:ends[i]]`` is the character with what belongs
            to it (its bracketed pinyin, a variation selector); ranges never overlap.
    """

    text: str
    raw: str
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def to_raw(self, start: int, end: int) -> tuple[int, int]:
        """The raw span of the normalized span ``[start, end)``, which must not be empty."""
        return int(self.starts[start]), int(self.ends[end - 1])

    def from_raw(self, start: int, end: int) -> tuple[int, int]:
        """The smallest normalized span that covers raw ``[start, end)``; empty where all of it was removed."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        return first, max(first, last)


def normalize(raw: str, *, fold: bool = True) -> Normalized:
    """Normalize `raw`, keeping for every character the raw ``[start, end)`` it stands for. Any `str` is accepted.

    Args:
        raw: The text as it came.
        fold: Whether Traditional characters become Simplified. Extraction always folds; an encoder that is to read
            Traditional text by itself is trained on some that is not.
    """
    starts = np.arange(len(raw), dtype=np.int32)
    text, starts, ends = raw, starts, starts + 1
    text, starts, ends = _remove(
        text, starts, ends, ((*match.span(), match["attached"] is not None) for match in _INVISIBLE.finditer(text))
    )
    text = text.translate(_table(fold))
    if "&" in text:
        references = list(_references(text, fold))
        text = _replace(text, ((start, char) for start, _, char in references))
        text, starts, ends = _remove(text, starts, ends, ((start + 1, end, True) for start, end, _ in references))
    text, starts, ends = _remove(text, starts, ends, ((a, b, True) for a, b in _pinyin(text)))
    stray = [match.span() for match in _STRAY_SPACES.finditer(text)]
    parting = _parting(raw, text, starts) if stray else {}
    text, starts, ends = _close_up(text, starts, ends, stray, parting)
    while "\n" in text and (broken := list(broken_lines(text, HAN))):  # seldom more than once
        latin = {start: " " for start, end in broken if text[start - 1].isascii() and text[end].isascii()}
        text, starts, ends = _close_up(text, starts, ends, broken, latin)
    text = _NARROW_IN_CHINESE.sub(lambda match: match[0].translate(_WIDEN), text)
    return Normalized(text, raw, starts, ends)


def space_width(spaces: str) -> int:
    """How wide white space is, in characters of half width; a tab is two, the least that is meant by one."""
    return len(spaces) + sum(map(spaces.count, _WIDE_SPACES))


def _parting(raw: str, text: str, starts: NDArray[np.int32]) -> dict[int, str]:
    """Where spaces part names, and what stands for them."""

    def width(start: int, end: int) -> int:
        return space_width("".join(raw[at] for at in starts[start:end].tolist()))

    return separators(text, _SPACED_WORDS, width)


def _replace(text: str, characters: Iterable[tuple[int, str]]) -> str:
    """The text with other characters at some places."""
    parts, last = list[str](), 0
    for place, character in characters:
        parts += text[last:place], character
        last = place + 1
    return "".join([*parts, text[last:]])


def _close_up(
    text: str,
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    spaces: Sequence[tuple[int, int]],
    left: Mapping[int, str],
) -> tuple[str, NDArray[np.int32], NDArray[np.int32]]:
    """Take out spans of white space; of those that begin at a key of `left` one character stays, as its value."""
    text = _replace(text, sorted(left.items()))
    return _remove(text, starts, ends, ((start + (start in left), end, False) for start, end in spaces))


def _remove(
    text: str, starts: NDArray[np.int32], ends: NDArray[np.int32], removals: Iterable[tuple[int, int, bool]]
) -> tuple[str, NDArray[np.int32], NDArray[np.int32]]:
    """Take out the spans ``(start, end, attached)``; an attached one goes on belonging to the character before it."""
    spans = list(removals)
    if not spans:
        return text, starts, ends
    keep = np.ones(len(text), dtype=bool)
    parts, last = [], 0
    for start, end, _ in spans:
        keep[start:end] = False
        parts.append(text[last:start])
        last = end
    parts.append(text[last:])
    kept = np.flatnonzero(keep)
    attached = np.array([(start, end) for start, end, is_attached in spans if is_attached], dtype=np.int64).reshape(
        -1, 2
    )
    before = np.searchsorted(kept, attached[:, 0]) - 1  # the kept character that each one follows
    kept_ends = ends[kept]
    np.maximum.at(kept_ends, before[before >= 0], ends[attached[before >= 0, 1] - 1])
    return "".join(parts), starts[kept], kept_ends


def _references(text: str, fold: bool) -> Iterator[tuple[int, int, str]]:
    """Spans of character references, and the character that each stands for, as step 2 has it."""
    for match in _REFERENCE.finditer(text):
        meant = html.unescape(f"&{match['name']};")
        char = meant.translate(_table(fold))
        # What could become a part of another reference is left, and what step 1 would have taken away.
        joins = char.isascii() and (char.isalnum() or char in "#;" or char == "&" != meant)
        if len(char) == 1 and not joins and not _INVISIBLE.match(char):
            yield *match.span(), char
        elif match["ands"]:
            yield match.start(), match.start("name"), "&"


def _pinyin(text: str) -> Iterable[tuple[int, int]]:
    """Spans of bracketed pinyin that follows an ideograph, or follows such pinyin."""
    last = -1
    for match in _BRACKETED_LATIN.finditer(text):
        start, end = match.span()
        if start and (start == last or _is_han(text[start - 1])) and is_pinyin(match[1]):
            yield start, end
            last = end


def _is_han(char: str) -> bool:
    code = ord(char)
    return any(first <= code < last for first, last in _HAN_RANGES)


def _simplified() -> dict[int, str]:
    """The Simplified form of every character that has another one."""
    from opencc import OpenCC  # here, so that importing renshi loads nothing

    han = [chr(code) for first, last in _HAN_RANGES for code in range(first, last)]
    # One ideograph a line: OpenCC's phrase tables find no neighbour to match, so this is its character table.
    # hk2s is t2s with Hong Kong's variants (衞 → 卫); Taiwan's tables are left out, for they turn 著名 into 着名.
    simplified = OpenCC("hk2s").convert("\n".join(han)).split("\n")
    return {ord(a): b for a, b in zip(han, simplified, strict=True) if a != b and len(b) == 1}


@cache
def _table(fold: bool) -> dict[int, str]:
    """The table of step 2, made once from OpenCC's and Unicode's own data (about 60 ms)."""
    table = _simplified() if fold else {}
    for first, last in _NFKC_RANGES:
        for code in range(first, last):
            folded = unicodedata.normalize("NFKC", chr(code))
            if len(folded) == 1 and chr(code) not in _WIDE:
                table[code] = table.get(ord(folded), folded)  # a compatibility form of a Traditional ideograph: both
    table |= {code: " " for code in range(0x3001) if chr(code).isspace() and chr(code) not in "\n " + _LINE_BREAKS}
    table |= dict.fromkeys(map(ord, _LINE_BREAKS), "\n")
    table |= dict.fromkeys(map(ord, _MIDDLE_DOTS), "·")
    table |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    # Every chain ends here (㚶 → … → its last form), so that normalizing twice changes nothing more.
    return {code: table.get(ord(char), char) for code, char in table.items()}
