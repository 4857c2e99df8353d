"""Input that fights back, as a table: what a file holds, and what must become of it. Large cases are made by code.

Of every document in a case either the exact text is stated that its record must bear, or the sentence of its failure.
"""

from __future__ import annotations

import codecs
import json
import random
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["CASES", "FORMULAS", "GOOD", "HOSTILE_IDS", "LARGE_CASES", "NEWS", "TRADITIONAL", "Case"]

GOOD = "省学会会长王进龙出席成立大会并致辞，白敏、李毅等12名同志任副主任委员。"
"""The document before and behind every case."""

NEWS = (
    "1月24日上午，省学会肺转移瘤专业委员会成立大会在省城举行。省学会会长王进龙出席成立大会并致辞，选举产生了第一届委员会，"
    "省人民医院白敏教授当选为主任委员，李毅等12名同志任副主任委员。会议由学会秘书长主持，来自全省各地的专家学者二百余人参加。"
)
TRADITIONAL = (
    "市長今日上午出席市立圖書館新館啟用典禮，他表示，新館歷經三年興建終於完工，感謝議會與各局處的支持，"
    "未來將結合學校與社區資源，為市民提供更好的閱讀環境。文化局長隨後說明，新館藏書超過三十萬冊，週末並將舉辦說故事活動。"
)


Expected = str | re.Pattern[str] | None


@dataclass(frozen=True)
class Case:
    """A file and what must become of it.

    Attributes:
        name: What it is, as pytest shows it.
        content: Its bytes, or what makes them.
        documents: For each document in it the text that the record bears, or a pattern that the failure's message matches,
            or None where the library that reads it decides.
        suffix: Of the file.
    """

    name: str
    content: bytes | Callable[[], bytes]
    documents: Sequence[Expected] | Callable[[], Sequence[Expected]]
    suffix: str = ".txt"

    def data(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content()

    def expected(self) -> Sequence[Expected]:
        return self.documents() if callable(self.documents) else self.documents


def text(name: str, content: str) -> Case:
    """A UTF-8 file, whose record bears it as it is."""
    return Case(name, content.encode("utf-8"), [content])


def large(name: str, make: Callable[[], str]) -> Case:
    return Case(name, lambda: make().encode("utf-8"), lambda: [make()])


def lines(name: str, *rows: tuple[str, Expected]) -> Case:
    """JSON lines, each with the text of its record or its failure's message."""
    content = "\n".join(row for row, _ in rows).encode("utf-8")
    return Case(name, content, [expected for _, expected in rows], ".jsonl")


def page(name: str, content: str, shown: Expected) -> Case:
    return Case(name, content.encode("utf-8", "surrogatepass"), [shown], ".html")


def refused(name: str, content: bytes, message: str, suffix: str = ".txt") -> Case:
    return Case(name, content, [re.compile(message)], suffix)


def one_of_each_plane(number: int) -> str:
    """Characters of every Unicode plane, a few hundred of each: assigned, unassigned, private and noncharacters alike, but
    no surrogates, which are no text."""
    chance = random.Random(number)
    planes = (chance.sample(range(plane << 16, (plane + 1) << 16), 200) for plane in range(17))
    return "".join(chr(code) for plane in planes for code in plane if not 0xD800 <= code < 0xE000)


def of_category(*categories: str, most: int = 3000) -> str:
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in categories]
    return "".join(map(chr, codes[:: max(1, len(codes) // most)]))


def mixed(number: int, length: int) -> str:
    """Nonsense of the pieces that the package's rules are about."""
    pieces = [
        *"会长王进龙，。、；：（）(),:;\n\r \t　…”》的任兼等12名０Ａa", "\r\n", "會(huì)", "（zhǎng）", "\u200d", "\ufe0f", "\u0301", "\x00",
        "\x1b[31m", "\u202e", "省学会", "副主任委员", "{", "|", "}", "\\", "ROLE ", "-DOCSTART-", "<b>", "&amp;", "=1+1", "\ufffd", "👨‍👩‍👧",
    ]  # fmt: skip
    return "".join(random.Random(number).choices(pieces, k=length))


PINYIN = "會(huì)長(zhǎng)王(wáng)進(jìn)龍(lóng)"
SCRIPT = (
    "<!DOCTYPE html><script>alert('会长王进龙')</script><b onclick=\"x()\">会长</b><?php system('ls') ?>{{7*7}}${7*7}"
)

CASES: tuple[Case, ...] = (
    # ---- texts ----
    text("empty", ""),
    text("a space", " "),
    text("white space only", " \t\n\r\n\u3000\u00a0\u2003\v\f\x85\u2028" * 50),
    text("one character", "会"),
    text("one full stop", "。"),
    text("one combining mark", "\u0301"),
    text("one zero-width joiner", "\u200d"),
    text("one astral character", "\U00020000"),
    text("spaces without end", "会" + " " * 1_000 + "长"),
    text("no punctuation", "省学会会长王进龙出席" * 100),
    text("1,000 of one character", "会" * 1_000),
    text("1,000 of one letter", "a" * 1_000),
    text("1,000 full stops", "。" * 1_000),
    text("1,000 commas, half-width", "," * 1_000),
    text("1,000 line breaks", "\n" * 1_000),
    text("1,000 CR LF", "会\r\n" * 1000),
    text("every plane", one_of_each_plane(1)),
    text("unassigned", of_category("Cn")),
    text("private use", of_category("Co")),
    text("control and format", of_category("Cc", "Cf") * 3),
    text("control among words", "\x00".join(GOOD) + "\x1b]0;title\x07\x1b[2J\x08\x7f"),
    text("combining marks", "".join(c + "\u0301\u0300\u20dd" for c in GOOD)),
    text("one letter under 1,000 marks", "a" + "\u0301" * 1_000 + GOOD),
    text("Zalgo", "".join(c + of_category("Mn", most=60) for c in "会长王进龙")),
    text("U+FFFD", "\ufffd" * 300 + GOOD + "\ufffd"),
    text("noncharacters", "\ufffe\uffff\U0001ffff\ufdd0" * 50 + GOOD),
    text("emoji of several", "👨‍👩‍👧‍👦👩🏽‍⚕️🏳️‍🌈🇨🇳" * 20 + GOOD),
    text("variation selectors", "".join(c + "\ufe00\U000e0100" for c in GOOD)),
    text("right to left", "\u202e" + GOOD + "\u202c שלום عليكم " + "\u2067" * 100 + GOOD),
    text("scripts mixed", "王Jinlong龍вася🅰ｶﾞ한글각นิปปอนทमहा" * 50 + GOOD),
    text("decomposed Hangul", unicodedata.normalize("NFD", "각하는한국어" * 500)),
    text("compatibility forms", "㈱㍿½ﬁ①㋿龍金兀嗀" * 100 + GOOD),
    text("Greek and Turkish case", "İıẞßΣςŉ" * 200 + GOOD),
    text("digits of all scripts", of_category("Nd", most=700) + "等一百零百十百〇名同志任会长" + "等" + "9" * 5000 + "名同志任会长"),
    text("pinyin", PINYIN * 100),
    text("pinyin, one behind another", "會" + "(huì)" * 5000 + GOOD),
    text("brackets, 500 deep", "會" + "(" * 500 + "huì" + ")" * 500),
    text("full-width brackets around pinyin around brackets", "會（huì（zhǎng（huì））(huì)）" * 100),
    text("brackets that never close", "会长（王进龙（" * 150),
    text("mixed nonsense", mixed(2, 1000)),
    text("script as text", SCRIPT * 20),
    text("markup of our own", "{省学会|ORG}{会长|TITLE}\nROLE 王 || 会长 || -\nROLE a\n"),
    text("lines of our formats", "-DOCSTART-\t-X-\tO\nT1\tPER 0 3\tx\nR1\tat Arg1:T1 Arg2:T2\n[{\"text\": 1}]"),
    text("a formula", "=cmd|' /C calc'!A0会长王进龙"),
    # ---- bytes ----
    Case("byte order mark, UTF-8", codecs.BOM_UTF8 + GOOD.encode(), [GOOD]),
    Case("two byte order marks", codecs.BOM_UTF8 * 2 + GOOD.encode(), ["\ufeff" + GOOD]),
    *(
        Case(f"{script} in {encoding} without a mark", content.encode(encoding), [content])
        for script, content in (("Simplified", NEWS), ("Traditional", TRADITIONAL))
        for encoding in ("gb18030", "big5hkscs", "utf-16-le", "utf-16-be")
        if encoding != "big5hkscs" or content is TRADITIONAL
    ),
    *(
        Case(f"byte order mark, {encoding}", ("\ufeff" + GOOD).encode(encoding), [GOOD])
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "gb18030")
    ),
    refused("two characters in GB18030", "会长".encode("gb18030"), "not valid utf-8, and no other encoding is sure .*会长"),
    refused("Russian in KOI8-R", "новости о людях".encode("koi8-r"), "is not valid utf-8"),
    Case("a byte order mark alone", codecs.BOM_UTF8, [""]),
    text("CR LF", GOOD.replace("，", "，\r\n") + "\r\n"),
    refused("cut inside a character", GOOD.encode()[:-1], "not valid utf-8"),
    refused("surrogates in UTF-8 (CESU-8)", "\ud83d\ude00".encode("utf-8", "surrogatepass"), "byte 0 .* is not valid utf-8"),
    refused("overlong UTF-8", b"\xc0\xaf" * 30, "byte 0 .* is not valid utf-8"),
    refused("beyond Unicode", b"\xf4\x90\x80\x80" * 30, "byte 0 .* is not valid utf-8"),
    refused("random bytes", random.Random(3).randbytes(4000), "not valid utf-8"),
    refused("a picture called .txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + random.Random(4).randbytes(3000), "not valid utf-8"),
    # ---- JSON lines ----
    lines(
        "lone surrogates",
        ('{"text": "\\ud800"}', "\ud800"),
        (json.dumps({"text": "\udfff\ud800会长\ud83d" + GOOD + "\ude00"}), "\udfff\ud800会长\ud83d" + GOOD + "\ude00"),
        ('{"text": "\\ud83d\\ude00"}', "😀"),
        ('{"id": "\\udc80", "text": "会长"}', "会长"),
    ),
    lines(
        "wrong lines among right ones",
        ("{", re.compile(r":1: is not JSON")),
        ('{"text": "会长"}', "会长"),
        ("[" * 100_000, re.compile(r":3: is not JSON \(nested too deeply")),
        ('{"a":' * 100_000, re.compile(r":4: is not JSON \(nested too deeply")),
        ('{"text": "会长", "n": ' + "9" * 100_000 + "}", re.compile(r":5: is not JSON \(nested too deeply or a number too long")),
        ('{"text": "会长", "n": 1e999, "m": NaN}', "会长"),
        ('{"text": ["会长"]}', re.compile(r":7: its text is a JSON array; a text is a string")),
        ('"会长"', re.compile(r":8: is a JSON string; a line is an object")),
        ('{"text": "会长"} {"text": "会长"}', re.compile(r":9: is not JSON \(Extra data")),
        ('{"text": "\x01"}', re.compile(r":10: is not JSON \(Invalid control character")),
        ('{"text": "a", "text": "会长"}', "会长"),
        ("\x00", re.compile(r":12: is not JSON")),
        ("{'text': '会长'}", re.compile(r":13: is not JSON")),
    ),
    lines("a long key", ('{"' + "k" * 1_000_000 + '": 1, "text": "会长"}', "会长")),
    lines("a long key and no text", ('{"' + "k" * 1_000_000 + '": 1}', re.compile(r'has no "text"'))),
    lines("half a megabyte beside the text", (json.dumps({"html": "x" * 500_000, "text": "会长"}), "会长")),
    Case("JSON lines with a byte order mark", codecs.BOM_UTF8 + b'{"text": "\xe4\xbc\x9a"}\r\n', ["会"], ".jsonl"),
    Case("blank JSON lines", b"\n\r\n \t \n" * 1000 + b'{"text": "x"}', ["x"], ".jsonl"),
    Case("no JSON lines", b"", [], ".jsonl"),
    Case("JSON lines in GB18030", '{"text": "会长"}'.encode("gb18030"), [re.compile("JSON lines are UTF-8, whatever")], ".jsonl"),
    Case("JSON lines in UTF-16", '{"text": "会长"}'.encode("utf-16"), [re.compile("JSON lines are UTF-8, whatever")], ".jsonl"),
    # ---- pages ----
    page("empty HTML", "", ""),
    page("scripts in HTML", f"<p>{GOOD}</p>" + SCRIPT, GOOD + "\n会长{{7*7}}${7*7}\n"),
    page("HTML, 2,000 deep", "<div>" * 2000 + GOOD, GOOD + "\n"),
    page("text at each of 1,000 depths", "<div>会" * 1000, "会\n" * 1000),
    page("tags that never end", "<p>" + GOOD + "<a b='" * 5000, GOOD + "\n"),
    page("comments that never end", "<!-- x>" * 101, re.compile(r"is no HTML that can be read \(101 comments or sections that never end\)")),
    page("control characters in HTML", "<p>会\x00长&#0;&#xd800;&#x110000;&#9999999999;</p>", None),
    refused("a .docx that is none", b"PK\x03\x04" + random.Random(5).randbytes(500), "is no .docx that can be read", ".docx"),
    refused("a .pdf that is none", b"%PDF-1.7\n" + random.Random(6).randbytes(500), "is no PDF that can be read", ".pdf"),
    refused("an empty .docx", b"", "is no .docx that can be read", ".docx"),
    refused("an empty .pdf", b"", "is no PDF that can be read", ".pdf"),
)  # fmt: skip

LARGE_CASES: tuple[Case, ...] = (
    large("a megabyte without a punctuation mark", lambda: "省学会会长王进龙出席成立大会" * 24_000),
    large("ten megabytes of one character", lambda: "会" * 3_333_333),
    large("three megabytes of one letter", lambda: "a" * 3_000_000),
    large("ten megabytes of blanks", lambda: " " * 10_000_000),
    large("three megabytes of line breaks", lambda: "\r\n" * 1_500_000),
    large("100,000 line breaks", lambda: ("会长\n" + "\n" * 9) * 10_000),
    large("a million commas, half-width", lambda: "," * 1_000_000),
    large("a megabyte of nonsense", lambda: mixed(7, 300_000)),
    large("100,000 brackets with pinyin", lambda: "會(huì)" * 100_000),
    large("emoji without end", lambda: "👨‍👩‍👧" * 40_000),
    Case(
        "a JSON line of 50 MB",
        lambda: json.dumps({"html": "x" * 50_000_000, "text": GOOD}).encode() + b'\n{"text": "x"}',
        [GOOD, "x"],
        ".jsonl",
    ),
    Case("a JSON line of 50 MB that is none", lambda: b'{"text": "' + b"x" * 50_000_000, [re.compile("is not JSON")], ".jsonl"),
    page("text at each of 20,000 depths", "<div>x" * 20_000, "x\n" * 20_000),
    page("50,000 tags that never end", "<a <b='" * 50_000, None),
    page("50,000 comments that never end", "<!-- x>" * 50_000, None),
)  # fmt: skip
"""Megabytes: some seconds each."""

HOSTILE_IDS: tuple[str, ...] = (
    "", " ", ".", "..", "...", "/", "//", "/etc/passwd", "../up", "../../../../../../tmp/renshi-escaped", "a/../../../b",
    "..\\..\\up", "C:\\Windows\\x", "C:x", "\\\\server\\share", "file:///etc/passwd", "~", "~/x", "$HOME/x", "`id`", "; rm -rf x",
    "-rf", "--help", "a\nb", "a\tb", "a\0b", "\x1b[31mred", "\u202etxt.exe", "%2e%2e%2fup", "%", "%%", "a%2Fb", "CON", "nul.txt",
    "con/aux", "x", "x.txt", "x.txt/y", "X", "x/", "x/y", "annotation.conf", "annotation.conf/x", "z.ann/y", "z", "z.ann",
    ".renshi-x", ".hidden", "trailing.", "trailing ", "会长", "é", "e\u0301", "👨‍👩‍👧", "l" * 300, "d/" * 2500 + "x", "'\"<>|?*:",
    "<script>alert(1)</script>", "=1+1", "\ud800", "same", "same",
)  # fmt: skip
"""Ids that look like paths, options, markup, each other."""

FORMULAS: tuple[str, ...] = (
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1", "＋1", "－1", "＠x",
    '=HYPERLINK("http://x","y")', "=1\x00", "http://x.y/z", "file:///x", "mailto:a@b.c", "'=1", '"=1"', "=1,=2\r\n=3",
)  # fmt: skip
"""Names that a spreadsheet program would run."""
