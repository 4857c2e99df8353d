"""Pages as people have them, to text: Word files, PDF files with a text layer, HTML files (extra ``renshi[documents]``).

What comes out is a text of its own, which a record carries and its offsets count; there is no way back into the file's
bytes. Nothing in a file is run, and nothing that it points to is fetched.
"""

from __future__ import annotations

import codecs
import io
import re
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from renshi.encoding import AUTO, EncodingError, decode_text

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement

__all__ = ["PAGES", "PageError", "docx_text", "html_text", "page_text", "pdf_text"]

MAX_EXPANDED = 200_000_000
"""Bytes that a .docx may unpack to: a thousand times a long report's; a file made to fill the memory has more."""


class PageError(ValueError):
    """A file whose text cannot be read; the message says why and what to do, without the file's name."""


def page_text(data: bytes, suffix: str, encoding: str = "utf-8") -> str:
    """The text of a file's bytes, read as `suffix` (a key of `PAGES`) says; `encoding` is for HTML that declares none.

    Raises:
        PageError: The text cannot be read, or the packages that read it are not installed.
    """
    try:
        return PAGES[suffix](data, encoding)
    except ImportError as error:
        raise PageError(f'{suffix} files need the package {error.name}: pip install "renshi[documents]"') from error


# ---- Word ----

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# A text box once more, for old Word.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # .doc, and the shell of a .docx with a password
_CHARACTERS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}

# Paragraphs inside paragraphs, the properties (which have tabs of their own), the reading of a ruby, what was moved away.
_PASSED_OVER = frozenset((*(f"{_W}{name}" for name in ("p", "pPr", "rt", "moveFrom", "del")), _FALLBACK))


def docx_text(data: bytes, encoding: str = "utf-8") -> str:
    """The body's paragraphs, a line each, in order: those in tables and text boxes too, insertions as accepted, deletions
    left out. Headers, footers, notes and comments are no part of it."""
    import docx

    if data.startswith(_OLE):
        raise PageError("is an old .doc or has a password; save it as .docx without one")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > MAX_EXPANDED:
            raise PageError(f"unpacks to {size / 1e6:,.0f} MB; at most {MAX_EXPANDED / 1e6:,.0f} MB are read")
        body = docx.Document(io.BytesIO(data)).element.body
    except PageError:
        raise
    except Exception as error:  # zipfile, zlib, lxml and python-docx each raise their own, KeyError and ValueError too
        raise PageError(f"is no .docx that can be read ({_reason(error)}); open it in Word and save it anew") from error
    return "\n".join("".join(_runs(paragraph)) for paragraph in body.iter(f"{_W}p") if not _is_fallback(paragraph))


def _runs(element: object) -> Iterator[str]:
    """The characters of one paragraph, not those of a paragraph inside it."""
    for child in element:  # type: ignore[attr-defined]
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in _CHARACTERS:
            yield _CHARACTERS[child.tag]
        elif child.tag not in _PASSED_OVER:
            yield from _runs(child)


def _is_fallback(paragraph: object) -> bool:
    return next(paragraph.iterancestors(_FALLBACK), None) is not None  # type: ignore[attr-defined]


# ---- PDF ----

_PDFIUM = threading.Lock()  # PDFium may be used by one thread at a time, whatever the number of documents


def pdf_text(data: bytes, encoding: str = "utf-8") -> str:
    """The text layer, page by page; lines that end only because the paper does are joined again."""
    import pypdfium2

    with _PDFIUM:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise PageError("is encrypted; save a copy without a password") from error
            raise PageError("is no PDF that can be read; print it to a new PDF") from error
        try:
            pages = [_layer(pdf, number) for number in range(len(pdf))]
        except pypdfium2.PdfiumError as error:
            raise PageError(f"is a damaged PDF ({_reason(error)}); print it to a new PDF") from error
        finally:
            pdf.close()
    if not any(page.strip() for page in pages):
        raise PageError("has no text layer (scanned pages?); run it through text recognition (OCR) first")
    return "\n".join(map(_joined_lines, pages))


def _layer(pdf: object, number: int) -> str:
    page = pdf[number]  # type: ignore[index]
    text = page.get_textpage().get_text_bounded()
    page.close()
    # PDFium marks a hyphen at a line's end with U+FFFE or U+0002 (by version); what it cannot name, with NUL.
    return re.sub("[\ufffe\x02]\r?\n?", "", str(text)).replace("\0", "").replace("\r\n", "\n")


_PARAGRAPH_END = re.compile(r"[。！？!?…：:；;][”’」』）)]*$")
_UNBREAKABLE = re.compile(r"(?:[\x21-\x7e]+|.)[，。、；：！？”’」』）》]*")
"""What a line could not have been given from the next one's beginning: a Latin word or a character, and the marks after it
that may not begin a line."""
_SLACK = 3  # columns: Latin letters and digits are not quite half as wide as Chinese characters


def _joined_lines(page: str) -> str:
    lines = [line.rstrip() for line in page.split("\n")]
    longest = max(map(_width, lines))
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        parts.append(line)
        beginning = _UNBREAKABLE.match(following)
        full = beginning is not None and _width(line) + _width(beginning[0]) + _SLACK > longest
        if not full or _PARAGRAPH_END.search(line):
            parts.append("\n")
        elif line[-1:].isascii() and following[0].isascii():
            parts.append(" ")
    return "".join(parts).rstrip("\n") + "\n"


def _width(line: str) -> int:
    """Columns: two for a Chinese character, one for a Latin one."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


# ---- HTML ----

_DROPPED = [
    "script", "style", "template", "noscript", "head", "rt", "rp", "svg", "math", "iframe", "object", "select", "button",
    "textarea",
]  # fmt: skip
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html",
    "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr",
    "ul",
))  # fmt: skip
_CELLS = frozenset(("td", "th"))
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# What a page means by these names (https://encoding.spec.whatwg.org): more characters than Python's codecs of the name.
_WHATWG = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb_2312-80": "gb18030", "x-gbk": "gb18030", "big5": "big5hkscs",
    "x-x-big5": "big5hkscs", "iso-8859-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "utf-16": "utf-8", "utf-16le": "utf-8", "utf-16be": "utf-8",  # a declaration that could be read is no UTF-16
}  # fmt: skip
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def html_text(data: bytes, encoding: str = "utf-8") -> str:
    """What a reader sees: a line for each block, no scripts, styles, hidden parts and readings of a ruby; cells of a row
    stand side by side. The encoding is that of the byte order mark, else the declared one, else `encoding`."""
    from bs4 import BeautifulSoup

    page = _finished(_decode_html(data, encoding))
    try:
        soup = BeautifulSoup(page, "html.parser")
    except Exception as error:  # ParserRejectedMarkup, and what html.parser raises through it
        raise PageError(
            f"is no HTML that can be read ({_reason(error)}); open it in a browser and save it anew"
        ) from error
    for element in soup(_DROPPED):
        element.decompose()
    for element in soup(lambda tag: tag.has_attr("hidden") or bool(_HIDDEN.search(str(tag.get("style", ""))))):
        element.decompose()
    text = "".join(_pieces(soup))
    lines = (re.sub(r"[ \t]*\t[ \t]*", "\t", line).strip(" \t") for line in text.split("\n"))
    return "".join(f"{line}\n" for line in lines if line)


def _finished(page: str) -> str:
    """The page without a tag or comment that its end cuts off, which a browser does not show either.

    Of what begins and never ends, html.parser (before Python 3.14 and the patches of 2025 to older ones) searches the end
    anew at every beginning: a megabyte made of such takes it hours.
    """
    for begin, end in _ENDLESS:
        behind = max((match.end() for match in end.finditer(page)), default=0)
        if (number := sum(1 for _ in begin.finditer(page, behind))) > _MOST_ENDLESS:
            raise PageError(f"is no HTML that can be read ({number:,} comments or sections that never end)")
    cut = _TAG.search(page, page.rfind(">") + 1)
    return page[: cut.start()] if cut else page


_TAG = re.compile("<[a-zA-Z/!?]")
_ENDLESS = tuple(
    (re.compile(begin), re.compile(end))
    for begin, end in (("<!--", r"(?<!<!)--\s*>"), (r"<!\[", r"\]\s*>"), (r"<!\[(?!if|else|endif)", r"\]\s*\]\s*>"))
)
_MOST_ENDLESS = 100


def _decode_html(data: bytes, encoding: str) -> str:
    from bs4.dammit import EncodingDetector

    declared = EncodingDetector.find_declared_encoding(data, is_html=True)
    name, source = encoding, "which was assumed, as the page declares none; declare it, or name it: --encoding gb18030"
    if declared:
        name, source = _WHATWG.get(declared.lower(), declared), "which the page declares; save it as UTF-8"
    for mark, marked in _MARKS.items():
        if data.startswith(mark):
            data, name, source = data[len(mark) :], marked, "as its first bytes say; save it as UTF-8"
    try:
        return decode_text(data) if name.lower() == AUTO else data.decode(name)
    except EncodingError as error:
        raise PageError(str(error)) from error
    except LookupError:
        raise PageError(f"declares the encoding {declared!r}, which is unknown; save it as UTF-8") from None
    except UnicodeDecodeError as error:
        raise PageError(f"byte {error.start} (0x{data[error.start]:02x}) is not valid {name}, {source}") from None


def _pieces(element: BeautifulSoup | PageElement) -> Iterator[str]:
    """The texts below an element, white space as a browser shows it, a line break around blocks."""
    from bs4.element import NavigableString, Tag

    # A loop, not a recursion: pages nest deeper than Python's stack. With each node goes whether a <pre> is around it:
    # asking the node would go up all its parents, for each text of a deep page anew.
    stack: list[tuple[PageElement | str, bool]] = [(element, False)]
    while stack:
        node, preformatted = stack.pop()
        if isinstance(node, Tag):
            edge = "\n" if node.name in _BLOCKS else "\t" if node.name in _CELLS else ""
            yield "\n" if node.name == "br" else edge
            stack.append((edge, False))
            stack.extend((child, preformatted or node.name == "pre") for child in reversed(node.contents))
        elif type(node) is NavigableString:  # comments and declarations are classes below it
            yield str(node) if preformatted else re.sub(r"[ \t\n\r\f]+", " ", node)
        elif type(node) is str:
            yield node


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


PAGES: dict[str, Callable[[bytes, str], str]] = {
    ".docx": docx_text,
    ".pdf": pdf_text,
    ".html": html_text,
    ".htm": html_text,
}
"""Readers by the suffix that chooses them."""
