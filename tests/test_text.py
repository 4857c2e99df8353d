import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opencc import OpenCC

from renshi.text import is_pinyin, normalize

ANY_TEXT = st.text(st.characters(), max_size=80)  # surrogates, controls and unassigned characters too
ROSTER_TEXT = st.lists(
    st.sampled_from([*"王李欧阳\n 　：、·强", "李明", "欧阳", " ", "  ", "　", "院长"]), max_size=40
).map("".join)
PAGE_TEXT = st.lists(
    st.sampled_from(
        [
            *"協會会（）()xiéCACA ,，:：\n\r\t０１12 　\u200b\ufeff\ufe0f王進龍。‧·﹑A㈱ｶﾞ",
            "(xié)",
            "（huì）",
            "\ud800",
            "😀",
            *["&", "&amp;", "amp;", "lt;", "&#12289;", "&#38;", "&nbsp;", "&#x38;"],
        ]
    ),
    max_size=60,
).map("".join)

CASES = [
    ("中國抗癌協(xié)會", "中国抗癌协会"),
    ("中國抗癌協（xié）會", "中国抗癌协会"),
    ("協(xié)(xié)會", "协会"),
    ("協(xie\u0301)會", "协会"),  # the accent as a combining mark
    ("會(huì)", "会"),
    ("中国抗癌协会(CACA)指南", "中国抗癌协会（CACA）指南"),
    ("函数(xx)与(xie)。", "函数（xx）与（xie）。"),
    ("(xié)", "(xié)"),  # follows no ideograph
    ("主 任　委 员", "主任委员"),
    ("主任 CEO 王强", "主任 CEO 王强"),
    ("王强\n李明", "王强\n李明"),
    ("王强\r\n李明\r陈刚", "王强\n李明\n陈刚"),
    ("１２名ＣＥＯ", "12名CEO"),
    ("出席,并讲话;共3,000人,历时10:30", "出席，并讲话；共3,000人，历时10:30"),
    ("约翰‧史密斯、约翰•史密斯", "约翰·史密斯、约翰·史密斯"),
    ("王\u200b进\ufeff龙", "王进龙"),
    ("⼈民医院", "人民医院"),  # a Kangxi radical
    ("臺灣裡衞説", "台湾里卫说"),
    ("㈱ｶﾞ½", "㈱ｶﾞ½"),  # expansions and half-width kana stay
    ("\ud800王", "\ufffd王"),
    ("會長&#65306;臧&nbsp;樂&#x3001;彭&middot;若曦", "会长：臧乐、彭·若曦"),
    ("Lau &amp; Partners，&amp;lt;br&amp;gt;", "Lau & Partners，<br>"),
    ("&amp;x26；&amp;#38;x26;", "&x26；&x26;"),
    ("AT&T;研发R&D，&#65;&#51;8;&shy;&unknown;", "AT&T；研发R&D，&#65;&#51;8;&shy;&unknown;"),  # not ours to read
    ("", ""),
]


@pytest.mark.parametrize(("raw", "text"), CASES)
def test_normalizes(raw: str, text: str) -> None:
    assert normalize(raw).text == text


def test_bracketed_pinyin_belongs_to_its_name() -> None:
    raw = "向中國抗癌協(xié)會(huì)致敬"
    normalized = normalize(raw)
    start = normalized.text.index("中国抗癌协会")
    assert raw[slice(*normalized.to_raw(start, start + 6))] == "中國抗癌協(xié)會(huì)"
    assert normalized.from_raw(1, raw.index("致")) == (start, start + 6)
    assert len("中國抗癌協(xié)會") == 11  # brackets and three letters on one ideograph
    assert normalize("中國抗癌協(xié)會").to_raw(0, 6) == (0, 11)


def test_spaces_inside_a_name_are_inside_its_raw_span() -> None:
    normalized = normalize("由马 丽 娜、申　明主持")
    assert normalized.text == "由马丽娜、申明主持"
    assert normalized.to_raw(1, 4) == (1, 6)
    assert normalized.to_raw(5, 7) == (7, 10)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("xié", True),
        ("Xié", True),
        ("chuàng", True),
        ("lǜ", True),
        ("nüè", True),
        ("ér", True),
        ("ɡuī", True),
        ("zhǎnɡ", True),
    ]
    + [(word, False) for word in ("CACA", "xx", "xie", "é́", "xìé", "bōng", "café", "ńg", "", "vā")],
)
def test_knows_pinyin(word: str, expected: bool) -> None:
    assert is_pinyin(word) is expected


def test_simplifies_every_character_as_opencc_does() -> None:
    convert = OpenCC("hk2s").convert
    for first, last in ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x20400)):
        for code in range(first, last, 7):
            assert normalize(chr(code)).text == convert(chr(code)), hex(code)


@given(ANY_TEXT | PAGE_TEXT | ROSTER_TEXT)
def test_the_map_holds_for_any_text(raw: str) -> None:
    normalized = normalize(raw)
    starts, ends = normalized.starts.tolist(), normalized.ends.tolist()
    assert normalized.raw is raw
    assert len(starts) == len(ends) == len(normalized.text)
    assert all(0 <= start < end <= len(raw) for start, end in zip(starts, ends, strict=True))
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    normalized.text.encode("utf-8")  # no surrogate is left


@given(ANY_TEXT | PAGE_TEXT | ROSTER_TEXT)
def test_each_character_stands_for_itself(raw: str) -> None:
    """What a character became is what it becomes alone, but for punctuation and spaces, which look at their neighbours."""
    normalized = normalize(raw)
    places = zip(normalized.starts.tolist(), normalized.ends.tolist(), strict=True)
    for char, (start, end) in zip(normalized.text, places, strict=True):
        alone = normalize(raw[start:end]).text
        if alone == " " and char in "、，":  # between two names
            continue
        assert char == alone or unicodedata.normalize("NFKC", char) == unicodedata.normalize("NFKC", alone)


@given(ANY_TEXT | PAGE_TEXT | ROSTER_TEXT)
def test_twice_is_once(raw: str) -> None:
    text = normalize(raw).text
    assert normalize(text).text == text


@given(PAGE_TEXT | ROSTER_TEXT, st.data())
def test_spans_go_to_the_raw_text_and_back(raw: str, data: st.DataObject) -> None:
    normalized = normalize(raw)
    if normalized.text:
        start = data.draw(st.integers(0, len(normalized.text) - 1))
        end = data.draw(st.integers(start + 1, len(normalized.text)))
        assert normalized.from_raw(*normalized.to_raw(start, end)) == (start, end)
