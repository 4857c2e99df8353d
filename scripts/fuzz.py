"""Coverage-guided fuzzing of what reads strangers' bytes: python -m scripts.fuzz TARGET --seconds N (needs renshi[fuzz]).

Atheris mutates inputs towards code that was not reached yet. A target states what must hold of any input; what breaks it is
written to build/fuzz/ (`crash-…`), and belongs into the tests with its cause fixed. No test runs it: a minute finds little.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

CORPUS = Path("build/fuzz")


def normalize(data: bytes) -> None:
    from renshi.text import normalize

    raw = _text(data)
    result = normalize(raw)
    assert len(result.text) == len(result.starts) == len(result.ends)
    assert (np.diff(result.starts) > 0).all()
    assert (result.starts < result.ends).all()
    assert (result.ends[:-1] <= result.starts[1:]).all()
    assert result.raw == raw
    assert normalize(result.text).text == result.text


def windows(data: bytes) -> None:
    from renshi.windows import split_windows

    length = 8 + data[0] % 64 if data else 8
    text = _text(data[1:])
    found = split_windows(text, length, length // 8)
    assert [window.first for window in found] == [0, *(window.last for window in found[:-1])][: len(found)]
    assert (found[-1].last if found else 0) == len(text)
    assert all(w.start <= w.first < w.last <= w.end <= w.start + length for w in found)


def decode(data: bytes) -> None:
    from renshi.decode import decode
    from renshi.labels import TAGS

    width = len(TAGS)
    tokens = max(2, min(64, len(data) // width))
    values = np.frombuffer(data[: tokens * width].ljust(tokens * width, b"\0"), np.int8)
    logits = values.astype(np.float32).reshape(tokens, width) / np.float32(8)
    spans = decode(logits, np.array([tokens]))
    assert ((spans.start > 0) & (spans.start < spans.end) & (spans.end < tokens)).all()
    assert (spans.end[:-1] <= spans.start[1:]).all()
    assert ((spans.score >= 0) & (spans.score <= 1)).all()


def encoding(data: bytes) -> None:
    from renshi.encoding import EncodingError, decode_text

    try:
        decode_text(data)
    except EncodingError:
        return


def _reader(suffix: str, wrap: Callable[[bytes], bytes] = bytes) -> Callable[[bytes], None]:
    """Through the reader of a file's suffix: documents and failures, never an exception. `wrap` puts the bytes to where a
    change of them is no mere damage of the file; bytes that begin above 0x7f are the file as it is."""

    def run(data: bytes) -> None:
        from renshi.documents import read_documents

        _file.with_suffix(suffix).write_bytes(data if data[:1] > b"\x7f" else wrap(data))
        for item in read_documents([str(_file.with_suffix(suffix))]):
            json.dumps(item.to_dict() if hasattr(item, "to_dict") else item.text)

    return run


def _pdf(content: bytes) -> bytes:
    """A page with the operators `content`, and a font for Chinese."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        b"<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UTF16-H/DescendantFonts[<</Type/Font/Subtype"
        b"/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>>>]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F 3 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(content), content),
    ]
    out, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        places.append(b"%010d 00000 n \n" % len(out))
        out += b"%d 0 obj%bendobj\n" % (number, each)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(places)
    return out + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)


def _docx(content: bytes) -> bytes:
    """A Word file with the elements `content` in its body."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, part in _WORD.items():
            made.writestr(name, part.replace(b"CONTENT", content))
    return out.getvalue()


_OFFICE = b"http://schemas.openxmlformats.org"
_WORD = {
    "[Content_Types].xml": b'<Types xmlns="%b/package/2006/content-types">'
    b'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    b'<Override PartName="/word/document.xml" '
    b'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    % _OFFICE,
    "_rels/.rels": b'<Relationships xmlns="%b/package/2006/relationships"><Relationship Id="d" Target="word/document.xml" '
    b'Type="%b/officeDocument/2006/relationships/officeDocument"/></Relationships>' % (_OFFICE, _OFFICE),
    "word/document.xml": b'<w:document xmlns:w="%b/wordprocessingml/2006/main"><w:body>CONTENT</w:body></w:document>'
    % _OFFICE,
}
"""The least that a Word file is made of."""


def _interchange(name: str) -> Callable[[bytes], None]:
    """Through a reader of annotations; what it reads as a record goes through its writer and comes back."""

    def run(data: bytes) -> None:
        from renshi.interchange import FORMATS, InterchangeError, Report, read
        from renshi.records import Record

        path = _file.with_suffix(FORMATS[name].suffixes[0])
        path.write_bytes(data)
        if name == "brat":
            path.with_suffix(".txt").write_bytes(data[::-1])
        try:
            items = list(read(path, name, Report()))
        except InterchangeError:
            return
        for item in items:
            if isinstance(item, Record):
                assert all(item.text[e.start : e.end] == e.text for e in item.entities)
                FORMATS[name].fit(item, Report())

    return run


def model_folder(data: bytes) -> None:
    from renshi.model_folder import ExtractorError, check_config, compare_weights, read_json

    (path := _file.with_name("config.json")).write_bytes(data)
    (weights := _file.with_name("model.safetensors")).write_bytes(len(data).to_bytes(8, "little") + data)
    with suppress(ValueError):
        compare_weights(weights, {"num_hidden_layers": 2, "id2label": {"0": "O"}})
    with suppress(ExtractorError):
        check_config(read_json(path), path)


TARGETS: dict[str, Callable[[bytes], Any]] = {
    "normalize": normalize,
    "windows": windows,
    "decode": decode,
    "encoding": encoding,
    "model-folder": model_folder,
    **{suffix: _reader(f".{suffix}") for suffix in ("txt", "jsonl", "html")},
    "docx": _reader(".docx", _docx),
    "pdf": _reader(".pdf", _pdf),
    **{name: _interchange(name) for name in ("records", "markup", "labelstudio", "doccano", "brat", "conll")},
}
"""What is fuzzed, by name."""

SEEDS = (
    "省学会会长王进龙出席成立大会。\n“并州论坛”(CACA)，３月，協(xié)會　王 强\r\n\u200d\ufe0f".encode(),
    '{"id": "a", "text": "会长", "entities": [{"start": 0, "end": 2, "text": "会长", "label": "TITLE"}]}\n'.encode(),
    "<p hidden>会<pre> x </pre><!-- --><script></script></p>".encode(),
    "{会长|TITLE}\\{\nROLE 王 || 会长 || -\n".encode(),
    "T1\tTITLE 0 2\t会长\nR1\tholds Arg1:T1 Arg2:T2\n".encode(),
    "-DOCSTART-\ta\t_\tO\n\n会\t_\tB-TITLE\n长\t\\n\tI-TITLE\n".encode(),
    '[{"data": {"text": "会长"}, "annotations": [{"result": ['
    '{"id": "e", "type": "labels", "value": {"start": 0, "end": 2, "labels": ["TITLE"]}}]}]}]'.encode(),
    "<w:p><w:pPr/><w:r><w:t>会</w:t><w:tab/><w:br/></w:r><w:del><w:r><w:t>x</w:t></w:r></w:del></w:p>".encode(),
    b"BT /F 12 Tf 50 800 Td <4f1a957f> Tj 0 -14 Td <4f1a> Tj ET q 1 0 0 1 0 0 cm Q",
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
)  # fmt: skip

_file = Path(tempfile.gettempdir()) / "renshi-fuzz"


def _text(data: bytes) -> str:
    """Any characters, lone surrogates among them."""
    return data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("utf-16-le", "replace")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz one target for a time.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit('fuzzing needs the package atheris (Linux, macOS): pip install "renshi[fuzz]"')
    global _file
    _file = Path(tempfile.mkdtemp(prefix="renshi-fuzz-")) / "input"
    corpus = CORPUS / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    with atheris.instrument_imports(include=["renshi"]):
        TARGETS[options.target](SEEDS[0])  # what is imported on the way counts its branches from here on
    flags = [
        f"-max_total_time={options.seconds}",
        f"-artifact_prefix={CORPUS}/",
        "-timeout=60",  # of the clock, which a busy machine shares out
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
