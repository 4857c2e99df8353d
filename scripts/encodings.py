"""How sure `--encoding auto` is: texts cut to a few bytes, in each encoding; recognized, refused, or wrong.

    python -m scripts.encodings ROOT/corpora/*.txt.xz --json results/encodings.json

Any UTF-8 text files, plain or .xz, a paragraph a line. Beside it charset-normalizer, where it is installed. A text
that an encoding cannot hold is passed over in it. (The table of common characters was counted over xwlb and tw_president:
leave those out.)
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from renshi.encoding import CANDIDATES, detect

LENGTHS = (8, 12, 20, 40, 80, 200, 500, 2000)  # bytes
_READ = 4_000_000  # characters of each file
_NAMES = {"gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "cp950": "big5hkscs"}


def charset_normalizer(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    name = best.encoding.replace("_", "-") if best else None
    return _NAMES.get(name, name) if name else None


def detectors() -> dict[str, Callable[[bytes], str | None]]:
    try:
        import charset_normalizer as _  # noqa: F401
    except ImportError:
        return {"renshi": detect}
    return {"renshi": detect, "charset-normalizer": charset_normalizer}


def pieces(lines: Sequence[str], encoding: str, length: int, number: int) -> list[str]:
    """Texts from the beginning of a line on, of at most `length` bytes and at least three fifths of it."""
    chance, found = random.Random(1), []
    for _ in range(number * 40):
        start = chance.randrange(len(lines))
        text = "\n".join(lines[start : start + 40])[:length]
        try:
            while len(text.encode(encoding)) > length:
                text = text[:-1]
        except UnicodeEncodeError:
            continue
        if len(text.encode(encoding)) >= 0.6 * length and not text.isascii():
            found.append(text)
        if len(found) == number:
            break
    return found


def measure(lines: Sequence[str], number: int) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for length in LENGTHS:
        for encoding in CANDIDATES:
            texts = pieces(lines, encoding, length, number)
            for name, detector in detectors().items():
                answers = Counter(judge(detector(text.encode(encoding)), encoding, text) for text in texts)
                counts = {key: answers[key] for key in ("recognized", "refused", "wrong")}
                rows.append({"detector": name, "bytes": length, "encoding": encoding, "texts": len(texts), **counts})
                print(rows[-1], flush=True)
    return rows


def judge(answer: str | None, encoding: str, text: str) -> str:
    if answer is None:
        return "refused"
    try:
        return "recognized" if text.encode(encoding).decode(answer) == text else "wrong"
    except UnicodeDecodeError:
        return "wrong"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how sure the encoding of a short text is.")
    parser.add_argument("files", nargs="+", type=Path, help="UTF-8 texts, plain or .xz")
    parser.add_argument("--number", type=int, default=200, help="texts of each length and encoding")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = [line for file in options.files for line in _text(file).split("\n") if line.strip()]
    rows = measure(lines, options.number)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _text(file: Path) -> str:
    if file.suffix == ".xz":
        with lzma.open(file, "rt", encoding="utf-8") as stream:
            return stream.read(_READ)
    with file.open(encoding="utf-8") as stream:
        return stream.read(_READ)


if __name__ == "__main__":
    main()
