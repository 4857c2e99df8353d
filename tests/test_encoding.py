"""Which encoding a file is in: found out where that is sure, refused with the candidates where it is not, never guessed."""

from __future__ import annotations

import codecs
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renshi.encoding import CANDIDATES, EncodingError, decode_text, detect
from tests.hostile.corpus import NEWS, TRADITIONAL

ROOT = Path(__file__).parents[1]

CHINESE = [NEWS, TRADITIONAL, NEWS.replace("，", "\r\n"), "2024年1月24日 " + NEWS, "<p>" + NEWS + "</p>", NEWS * 500]


@pytest.mark.parametrize("text", CHINESE, ids=range(len(CHINESE)))
@pytest.mark.parametrize("encoding", [*CANDIDATES, "gbk", "gb2312", "big5", "cp950"])
def test_sure(text: str, encoding: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        pytest.skip("it has no such characters")
    assert decode_text(data) == text


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "gb18030"]
)
@pytest.mark.parametrize("text", ["", "a", "会", "\x01", NEWS])
def test_a_byte_order_mark_says_it(text: str, encoding: str) -> None:
    marked = text if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff" + text
    assert decode_text(marked.encode(encoding)) == text


def test_a_mark_that_lies() -> None:
    with pytest.raises(EncodingError, match=r"byte 2 \(0x61\) is not valid utf-16-le; as its first bytes say; save"):
        decode_text(codecs.BOM_UTF16_LE + b"a")


# What each is in, what is said, and why it cannot be more.
REFUSED = [
    ("会长".encode("gb18030"), r"^byte 0 \(0xbb\) is not valid utf-8, and no other encoding is sure \(in .*gb18030 it begins '会长'.*\); name it, such as --encoding "),
    ("王進龍".encode("big5"), r"no other encoding is sure"),
    ("\n".join(["Это новость о людях и должностях"] * 3).encode("koi8-r"), "is not valid utf-8"),
    ("Une école a été créée à l'été, où l'élève naît".encode("latin-1"), "is not valid utf-8"),
    ("本日、新しい図書館の開館式が行われ、市長が出席した。館長は挨拶で感謝の意を述べた。".encode("euc-jp"), "is not valid utf-8"),
    ("本日、新しい図書館の開館式が行われ、市長が出席した。館長は挨拶で感謝の意を述べた。".encode("shift-jis"), "is not valid utf-8"),
    ("오늘 새 도서관 개관식이 열렸으며 시장이 참석하였다. 관장은 감사의 뜻을 전하였다.".encode("euc-kr"), "is not valid utf-8"),
    (random.Random(1).randbytes(5000), "and no text in gb18030, big5hkscs, utf-16-le, utf-16-be either; is it a text"),
    (NEWS.encode("gb18030")[:-1] + b"\xff\xff", "is not valid utf-8"),
    (NEWS.encode() + NEWS.encode("gb18030"), "is not valid utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=range(len(REFUSED)))
def test_not_sure(data: bytes, message: str) -> None:
    assert detect(data) is None
    with pytest.raises(EncodingError, match=message):
        decode_text(data)


def test_what_is_wrong_far_behind_is_not_sure_either() -> None:
    assert detect((NEWS * 1000).encode("gb18030") + b"\xff\xff") is None


@given(st.text())
def test_utf8_is_read_as_it_is(text: str) -> None:
    if not text.startswith("\ufeff") and not set(text) & set(map(chr, [*range(9), 11, *range(14, 32), 127])):
        assert decode_text(text.encode()) == text


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4))
def test_latin_utf16_is_no_utf8(text: str) -> None:
    assert decode_text(text.encode("utf-16-le")) == text
    assert decode_text(text.encode("utf-16-be")) == text


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        text = decode_text(data)
    except EncodingError:
        return
    assert isinstance(text, str)


@pytest.mark.parametrize(
    "text", ["a\x00b", "\x00" * 20, "".join(map(chr, range(256))), "\x00".join(NEWS), "\x01\x02" * 99]
)
def test_control_characters_are_text(text: str) -> None:
    assert decode_text(text.encode()) == text


def test_the_figures_of_the_documents() -> None:
    """docs/reliability.md has what scripts/encodings.py measured: all encodings of a length together."""
    rows = json.loads((ROOT / "results/encodings.json").read_text())
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    for length in {row["bytes"] for row in rows}:
        cells = [length]
        for detector in ("renshi", "charset-normalizer"):
            chosen = [row for row in rows if (row["bytes"], row["detector"]) == (length, detector)]
            keys = (
                ("texts", "recognized", "refused", "wrong") if len(cells) == 1 else ("recognized", "refused", "wrong")
            )
            cells += [sum(row[key] for row in chosen) for key in keys]
        assert f"| {' | '.join(map(str, cells))} |" in page
