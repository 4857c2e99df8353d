"""The rule that splits a corpus into train, dev and test, and the table that counts what is in each.

    python -m training.splits copy FOLDER data/original     # the corpus as it came → train/, dev/, test/
    python -m training.splits table data/original           # the table of data/README.md

Documents that are near-duplicates of each other stay together: they share at least `THRESHOLD` of the shorter one's
five-grams of ideographs (containment, so that an excerpt counts as a duplicate of its page). A group goes where the hash
of its smallest id says, so that adding a document moves no other one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from renshi.labels import LABELS
from renshi.markup import AnnotatedDocument, read_markup
from renshi.text import HAN, normalize

__all__ = ["SPLITS", "assign", "count_table", "group_near_duplicates"]

SPLITS: dict[str, int] = {"train": 70, "dev": 80, "test": 100}
"""Each split with the first percentile that is no longer in it."""

SALT = "renshi-8"
"""Chosen once: the first of renshi-1, renshi-2 … that puts the corpus's one document without any entity into test."""

THRESHOLD = 0.3
"""In the corpus as it is the closest pair of documents shares 0.13, so every document is a group of its own."""

_SHINGLE = 5


def shingles(text: str) -> set[str]:
    """The five-grams of a text's ideographs, normalized, all else left out."""
    ideographs = re.sub(f"[^{HAN}]", "", normalize(text).text)
    return {ideographs[index : index + _SHINGLE] for index in range(len(ideographs) - _SHINGLE + 1)}


def group_near_duplicates(texts: Mapping[str, str], threshold: float = THRESHOLD) -> list[list[str]]:
    """The ids of `texts` in groups, each sorted; two texts are together where a chain of near-duplicates joins them."""
    grams = {name: shingles(text) for name, text in texts.items()}
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for name, own in grams.items():
        for gram in own:
            holders[gram].append(name)
    shared = Counter(pair for names in holders.values() for pair in combinations(sorted(names), 2))
    leader = {name: name for name in texts}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for (a, b), count in shared.items():
        if count >= threshold * min(len(grams[a]), len(grams[b])):
            leader[max(find(a), find(b))] = min(find(a), find(b))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(texts):
        groups[find(name)].append(name)
    return list(groups.values())


def assign(groups: list[list[str]], salt: str = SALT) -> dict[str, str]:
    """The split of each id."""
    return {name: _split_of(min(group), salt) for group in groups for name in group}


def _split_of(name: str, salt: str) -> str:
    digest = hashlib.blake2b(f"{salt}/{name}".encode(), digest_size=8).digest()
    percentile = int.from_bytes(digest, "big") % 100
    return next(split for split, end in SPLITS.items() if percentile < end)


def read_folder(folder: Path) -> dict[str, AnnotatedDocument]:
    """The annotated documents below a folder by id."""
    return {path.stem: read_markup(path) for path in sorted(folder.rglob("*.txt"))}


def count_table(folder: Path) -> str:
    """The Markdown table of what each split of a folder holds, and all of it."""
    columns: dict[str, Counter[str]] = {}
    splits = [split for split in SPLITS if (folder / split).is_dir()]
    for split in splits or [""]:
        documents = read_folder(folder / split).values()
        counts = columns[split] = Counter(entity.label for document in documents for entity in document.entities)
        counts["documents"] = len(documents)
        counts["characters"] = sum(len(document.text) for document in documents)
        counts["roles"] = sum(len(document.roles) for document in documents)
    rows = [f"| | {' | '.join([*splits, 'all'])} |", "| --- |" + " ---: |" * (len(splits) + 1)]
    for key in ("documents", "characters", *LABELS, "roles"):
        values = [columns[split][key] for split in splits]
        everything = sum(counts[key] for counts in columns.values())
        name = f"`{key}`" if key in LABELS else key
        rows.append(f"| {name} | " + " | ".join(f"{value:,}" for value in (*values, everything)) + " |")
    return "\n".join(rows)


def copy(source: Path, target: Path) -> None:
    """Copy the files of `source` into `target`/train, dev and test."""
    documents = read_folder(source)
    splits = assign(group_near_duplicates({name: document.text for name, document in documents.items()}))
    for path in sorted(source.rglob("*.txt")):
        folder = target / splits[path.stem]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    copying = commands.add_parser("copy", help="copy a folder of annotated files into train/, dev/ and test/")
    copying.add_argument("source", type=Path)
    copying.add_argument("target", type=Path)
    table = commands.add_parser("table", help="count what the splits hold, or a folder that has none")
    table.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.command == "copy":
        copy(options.source, options.target)
    else:
        print(count_table(options.folder))


if __name__ == "__main__":
    main()
