"""Pages written by somebody else's writers (python-docx, a PDF by hand after the specification), read back."""

from __future__ import annotations

import builtins
import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

docx = pytest.importorskip("docx", reason='needs pip install "renshi[documents]"')
pytest.importorskip("pypdfium2", reason='needs pip install "renshi[documents]"')
pytest.importorskip("bs4", reason='needs pip install "renshi[documents]"')

from renshi.documents import read_documents  # noqa: E402
from renshi.pages import PAGES, PageError, docx_text, html_text, page_text, pdf_text  # noqa: E402
from renshi.records import Document, Failure  # noqa: E402

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def make_pdf(*pages: list[str], trailer: str = "") -> bytes:
    """A PDF whose lines are set in a Chinese font that every reader knows (ISO 32000-1, 9.7.5.2), 14 points apart."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {count}>>",
        "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UTF16-H/DescendantFonts[<</Type/Font"
        "/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>>>]>>",
    ]
    for number, lines in enumerate(pages):
        shown = " ".join(f"<{line.encode('utf-16-be').hex()}> Tj 0 -14 Td" for line in lines)
        stream = f"BT /F 12 Tf 50 800 Td {shown} ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * number} 0 R/Resources<</Font<</F 3 0 R>>>>>>"
        )
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj{body}endobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    root = f"<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer{root}\nstartxref\n{len(out)}\n%%EOF".encode()  # fmt: skip


def make_docx(*paragraphs: str, xml: str = "") -> bytes:
    """A Word file; `xml` stands at the body's end as it is."""
    from docx.oxml import parse_xml

    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if xml:
        for element in parse_xml(f'<w:body xmlns:w="{W}">{xml}</w:body>'):
            document.element.body.insert(-1, element)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


# ---- Word ----


@settings(max_examples=20, deadline=None)  # python-docx writes thirty files a second
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20), min_size=1, max_size=4))
def test_docx_gives_back_its_paragraphs(paragraphs: list[str]) -> None:
    assert docx_text(make_docx(*paragraphs)) == "\n".join(paragraphs)


WORD = [
    ("<w:p><w:r><w:t>会</w:t><w:tab/><w:t>长</w:t><w:br/><w:t>王</w:t></w:r></w:p>", "会\t长\n王"),
    ('<w:p><w:ins w:id="1"><w:r><w:t>新</w:t></w:r></w:ins><w:del w:id="2"><w:r><w:delText>旧</w:delText></w:r></w:del></w:p>', "新"),
    ("<w:p><w:moveFrom><w:r><w:t>去</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>来</w:t></w:r></w:moveTo></w:p>", "来"),
    ("<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:hyperlink><w:r><w:t>链</w:t></w:r></w:hyperlink></w:p>", "链"),
    ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>域</w:t></w:r></w:p>", "域"),
    ("<w:p><w:r><w:ruby><w:rt><w:r><w:t>hui</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>会</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>", "会"),
    ("<w:tbl><w:tr><w:tc><w:p><w:r><w:t>会长</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>王强</w:t></w:r></w:p></w:tc></w:tr></w:tbl>", "会长\n王强"),
    ("<w:p><w:r><w:t>外</w:t><w:pict><w:txbxContent><w:p><w:r><w:t>框</w:t></w:r></w:p></w:txbxContent></w:pict></w:r></w:p>", "外\n框"),
]  # fmt: skip


@pytest.mark.parametrize(("xml", "text"), WORD)
def test_docx_reads_what_a_reader_sees(xml: str, text: str) -> None:
    assert docx_text(make_docx(xml=xml)) == text


def test_docx_that_cannot_be_read() -> None:
    with pytest.raises(PageError, match=r"is an old \.doc or has a password; save it as \.docx without one"):
        docx_text(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    for data in (b"", b"PK\x03\x04", make_docx("会长")[:-100]):
        with pytest.raises(PageError, match=r"is no \.docx that can be read \(.+\); open it in Word and save it anew"):
            docx_text(data)


def test_docx_that_fills_the_memory_is_refused() -> None:
    stream = io.BytesIO(make_docx("会长"))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as parts, parts.open("word/media/image1.png", "w") as part:
        for _ in range(201):
            part.write(bytes(1_000_000))
    with pytest.raises(PageError, match="unpacks to 202 MB; at most 200 MB are read"):
        docx_text(stream.getvalue())


# ---- PDF ----


def test_pdf_joins_the_lines_that_only_the_paper_ends() -> None:
    pages = [
        ["省学会换届大会", "九月的大地，稻浪连天。省学会会长王进龙出席成立大会，白", "敏主持会议。", "会长：王进龙"],
        ["秘书长：李毅"],
    ]
    assert pdf_text(make_pdf(*pages)) == (
        "省学会换届大会\n九月的大地，稻浪连天。省学会会长王进龙出席成立大会，白敏主持会议。\n会长：王进龙\n\n秘书长：李毅\n"
    )


def test_pdf_puts_a_space_between_latin_words_and_keeps_full_lines_that_end() -> None:
    lines = ["This line is as long as the paper", "is wide and goes on below here.。", "王强出席"]
    assert pdf_text(make_pdf(lines)) == (
        "This line is as long as the paper is wide and goes on below here.。\n王强出席\n"
    )


def test_pdf_that_cannot_be_read() -> None:
    with pytest.raises(PageError, match=r"has no text layer \(scanned pages\?\); run it through text recognition"):
        pdf_text(make_pdf([]))
    with pytest.raises(PageError, match="is no PDF that can be read; print it to a new PDF"):
        pdf_text(b"%PDF-1.7 and nothing more")
    key = "00" * 32
    locked = f"/Encrypt<</Filter/Standard/V 1/R 2/O<{key}>/U<{key}>/P -4>>/ID[<00><00>]"
    with pytest.raises(PageError, match="is encrypted; save a copy without a password"):
        pdf_text(make_pdf(["会长"], trailer=locked))


# ---- HTML ----

HTML = [
    ("<p>省学会 <b>会长</b>\n王进龙<br>出席</p>", "省学会 会长 王进龙\n出席\n"),
    ("<div>会<span>长</span></div><div>王强", "会长\n王强\n"),
    ("<table><tr><td>会长<td>王强<tr><td>秘书长<td>李毅</table>", "会长\t王强\n秘书长\t李毅\n"),
    (
        "会<script>alert(1)</script><style>p{}</style><noscript>x</noscript><template>y</template>长<!-- 注 -->",
        "会长\n",
    ),
    ("<p hidden>暗</p><p style='color:red; DISPLAY : none'>暗</p><p>明", "明\n"),
    ("<ruby>会<rp>(</rp><rt>huì</rt><rp>)</rp></ruby>长", "会长\n"),
    ("<pre>会\n  长</pre>", "会\n长\n"),
    ("&lt;会&gt;&amp;&#38271;&nbsp;", "<会>&长\xa0\n"),
    ("<title>题</title><p>文", "题\n文\n"),
    ("", ""),
]


@pytest.mark.parametrize(("html", "text"), HTML)
def test_html_reads_what_a_reader_sees(html: str, text: str) -> None:
    assert html_text(html.encode()) == text


@pytest.mark.parametrize(
    ("declared", "codec", "word"),
    [
        ("gb2312", "gb18030", "朱镕基"),
        ("GBK", "gbk", "会长"),
        ("big5", "big5hkscs", "會長"),
        ("utf-8", "utf-8", "會长"),
    ],
)
def test_html_is_decoded_as_it_declares(declared: str, codec: str, word: str) -> None:
    for head in (
        f"<meta charset='{declared}'>",
        f'<meta http-equiv="Content-Type" content="text/html; charset={declared}">',
    ):
        assert html_text(f"<html><head>{head}</head><body>{word}".encode(codec)) == f"{word}\n"


def test_html_that_declares_nothing() -> None:
    assert html_text("会长".encode("gb18030"), "gb18030") == "会长\n"
    assert html_text("<meta charset=gbk>会长".encode("utf-8-sig")) == "会长\n"  # the mark weighs more
    assert html_text(b"\xff\xfe" + "会长".encode("utf-16-le")) == "会长\n"


def test_html_that_cannot_be_decoded() -> None:
    with pytest.raises(PageError, match=r"byte 0 \(0xbb\) is not valid utf-8, which was assumed.*: --encoding gb18030"):
        html_text("会长".encode("gbk"))
    with pytest.raises(
        PageError, match=r"byte 20 \(0xff\) is not valid utf-8, which the page declares; save it as UTF-8"
    ):
        html_text(b"<meta charset=utf-8>\xff")
    with pytest.raises(PageError, match="declares the encoding 'klingon', which is unknown; save it as UTF-8"):
        html_text(b"<meta charset=klingon>")


def test_html_nested_deeper_than_the_stack() -> None:
    assert html_text(b"<div>" * 20_000 + "会长".encode()) == "会长\n"


# ---- all ----


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(PAGES)))
def test_any_bytes_are_a_text_or_a_page_error(data: bytes, suffix: str) -> None:
    with contextlib.suppress(PageError):
        assert isinstance(page_text(data, suffix), str)


def test_pages_are_documents_and_the_wrong_ones_are_named(tmp_path: Path) -> None:
    files = {"a.docx": make_docx("会长"), "b.PDF": make_pdf(["会长"]), "c.htm": "会长".encode(), "d.pdf": make_pdf([])}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    *read, failed = read_documents([str(tmp_path / name) for name in files])
    assert [item.text.strip() for item in read if isinstance(item, Document)] == ["会长"] * 3
    assert isinstance(failed, Failure)
    assert failed.message.startswith(f"{tmp_path}/d.pdf: has no text layer")
    assert failed.type == "PageError"


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name.split(".")[0] == "bs4":
            raise ModuleNotFoundError("No module named 'bs4'", name="bs4")
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PageError, match=r'\.html files need the package bs4: pip install "renshi\[documents\]"'):
        page_text("会长".encode(), ".html")
