"""The arithmetic of docs/scale.md: what reading many documents takes, from a measured speed and the sizes of records.

    python scripts/scale_plan.py --characters-per-second 13000 [--documents 1e9] [--data data/original/test]

Sizes are measured on the texts of DATA (inline markup) with the model in the package; the speed is that of one core, or of
one GPU with `--device-name GPU`, as docs/performance.md has it.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from renshi import Document, Extractor
from renshi.markup import read_markup


def sizes(data: Path) -> dict[str, float]:
    """Means over the documents of a folder: characters, bytes of JSON lines before and after, packed by gzip after."""
    texts = [read_markup(file).text for file in sorted(data.glob("*.txt"))]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    before = "".join(json.dumps({"id": d.id, "text": d.text}, ensure_ascii=False) + "\n" for d in documents).encode()
    records = [record.to_dict() for record in Extractor.from_pretrained().extract(documents)]
    after = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    return {
        "characters": sum(map(len, texts)) / len(texts),
        "before": len(before) / len(texts),
        "after": len(after) / len(texts),
        "before packed": len(gzip.compress(before, 6)) / len(texts),
        "after packed": len(gzip.compress(after, 6)) / len(texts),
    }


def plan(documents: float, speed: float, each: dict[str, float], part_bytes: float, cores: int, unit: str) -> list[str]:
    """Lines of a table."""
    per_second = speed / each["characters"]
    hours = documents / per_second / 3600
    part = part_bytes / each["before"]
    rows = {
        f"documents a second and {unit}": f"{speed:,.0f} / {each['characters']:,.0f} = {per_second:,.1f}",
        f"{unit} hours": f"{hours:,.0f}",
        "input, JSON lines": f"{documents * each['before'] / 1e12:.2f} TB ({each['before']:,.0f} bytes a document)",
        "input, packed": f"{documents * each['before packed'] / 1e12:.2f} TB",
        "output, JSON lines": f"{documents * each['after'] / 1e12:.2f} TB ({each['after']:,.0f} bytes a document)",
        "output, packed": f"{documents * each['after packed'] / 1e12:.2f} TB",
        f"a part of {part_bytes / (1 << 20):,.0f} MiB": f"{part:,.0f} documents, {part / per_second / 60:,.1f} minutes",
        "parts": f"{documents / part:,.0f}",
        f"hours with {cores:,} {unit}s": f"{hours / cores:,.0f}",
    }
    return [f"| {what} | {value} |" for what, value in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters-per-second", type=float, required=True)
    parser.add_argument("--documents", type=float, default=1e9)
    parser.add_argument("--data", type=Path, default=Path("data/original/test"))
    parser.add_argument("--part-mb", type=float, default=64)
    parser.add_argument("--count", type=int, default=1024, help="how many cores or GPUs")
    parser.add_argument("--device-name", default="core")
    given = parser.parse_args()
    each = sizes(given.data)
    print("| | |\n| --- | ---: |")
    for line in plan(
        given.documents, given.characters_per_second, each, given.part_mb * (1 << 20), given.count, given.device_name
    ):
        print(line)


if __name__ == "__main__":
    main()
