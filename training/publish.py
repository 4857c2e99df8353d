"""Publish a model folder on the Hub, with its card, its ONNX files, licence and checksums.

    python -m training.publish MODEL --repo-id user/name [--revision BRANCH] [--private] [--data DATA…]
    python -m training.publish MODEL --dry-run FOLDER [--repo-id user/name] [--data DATA…]

MODEL is a folder or `default` (the model in the package). --dry-run writes exactly the files that would be uploaded and
contacts nobody. The card is MODEL's README.md; what is wrong with its head is said before anything is uploaded. DATA is
what the ONNX files are measured on (`training.export`); the figures go into the card. The token is the one of
`hf auth login`, or HF_TOKEN. Exit status 2 where something cannot be read, written or uploaded.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from renshi.model import MODEL_FILES, ExtractorError
from renshi.onnx_model import ONNX_FILES
from training import models
from training.card import onnx, render
from training.export import DATA, PARITY, export_and_measure
from training.sources import SourceError

__all__ = ["CHECKSUMS", "PUBLISHED", "PublishError", "card_problems", "pictures", "prepare", "upload"]

ROOT = Path(__file__).parents[1]
CHECKSUMS = "SHA256SUMS"
PUBLISHED = (*MODEL_FILES, *ONNX_FILES.values(), PARITY, "README.md", "LICENSE", CHECKSUMS)
"""The files of a published model, each by its path in the repository; the card's pictures (`pictures`) come to them."""

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_SHORT_TEXT = 500


class PublishError(ValueError):
    """A card that the Hub would refuse or could not use (a line for each problem), or an upload that it refused."""


def prepare(model: str, target: Path, repo_id: str | None = None, data: Sequence[str] = (DATA,)) -> None:
    """Write the files of `PUBLISHED`, and the card's pictures, into the empty folder `target`.

    Raises:
        ExtractorError, SourceError, OSError: The model or the data cannot be read, or `target` not written.
        PublishError: The card is missing, its head is wrong, or a picture of it is not there.
    """
    folder = models.find(model)
    card = folder / "README.md"
    if not card.is_file():
        raise PublishError(f"{folder}: lacks README.md, the card; training.train writes one")
    text = card.read_text(encoding="utf-8")
    shown, missing = pictures(text, folder)
    if problems := [*card_problems(text), *(f"shows {place}, which is not there" for place in missing)]:
        raise PublishError("\n".join(f"{card}: {problem}" for problem in problems))
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise OSError(f"{target}: is not empty; name a new folder")
    for name in MODEL_FILES:
        shutil.copyfile(folder / name, target / name)
    for place, found in shown.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, target / place)
    report = export_and_measure(model, target, data)
    (target / "README.md").write_text(_for_the_hub(text, report, repo_id), encoding="utf-8")
    shutil.copyfile(ROOT / "LICENSE", target / "LICENSE")
    sums = (f"{_sha256(target / name)}  {name}\n" for name in (*PUBLISHED, *shown) if name != CHECKSUMS)
    (target / CHECKSUMS).write_text("".join(sums), encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ── the card ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pictures(text: str, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The pictures that a card shows by a relative path, and where each lies: in the model's folder or, for the card of this
    repository, here; and those that lie nowhere below either."""
    found, missing = dict[str, Path](), list[str]()
    for place in _PICTURE.findall(text):
        if "://" in place:
            continue
        for base in (folder, ROOT):
            if (base / place).is_file() and (base / place).resolve().is_relative_to(base.resolve()):
                found.setdefault(place, base / place)
        if place not in found:
            missing.append(place)
    return found, missing


def card_problems(text: str) -> Iterator[str]:
    """What is wrong with the head of a card, each in a sentence."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        data: Any = ModelCard(text).data
        head = data.to_dict()
    except (ValueError, YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        yield f"its head is not the Hub's metadata ({type(error).__name__}: {reason})"
        return
    if not text.startswith("---\n"):
        yield "begins with no head of metadata; it stands first, between two lines ---"
        return
    wanted = {"pipeline_tag": "token-classification", "library_name": "transformers"}
    for key, value in wanted.items():
        if head.get(key) != value:
            yield f"{key} is {head.get(key)!r}; should be {value}"
    for key in ("language", "license"):
        if not head.get(key):
            yield f"says no {key}, such as {key}: {'zh' if key == 'language' else 'apache-2.0'}"
    for example in head.get("widget") or ():
        if not isinstance(example, dict) or not 0 < len(str(example.get("text", ""))) <= _SHORT_TEXT:
            yield f"the widget's example {example!r} has no text of 1 to {_SHORT_TEXT} characters"
    for result in data.eval_results or ():
        if not isinstance(result.metric_value, (int, float)) or not 0 <= result.metric_value <= 1:
            yield f"model-index: {result.metric_name} on {result.dataset_name} is {result.metric_value!r}; 0 to 1"


def _for_the_hub(text: str, report: dict[str, Any], repo_id: str | None) -> str:
    """The card as it reads outside the repository: with the figures of these ONNX files, plain paths for links into the
    repository, and the model's id for FOLDER."""

    def link(match: re.Match[str]) -> str:
        name, place = match.groups()
        if "://" in place or place.startswith("#") or (place in PUBLISHED and place != "README.md"):
            return match[0]
        return name if name == place.split("#")[0] else f"{name} (`{place}` in renshi's repository)"

    if "<!-- results: onnx -->" not in text:
        text = f"{text.rstrip()}\n\n## ONNX\n<!-- results: onnx -->\n<!-- end -->\n"
    text = render(_LINK.sub(link, text), {"onnx": lambda: onnx(report)})
    return text.replace('"FOLDER"', f'"{repo_id}"') if repo_id else text


# ── the upload ───────────────────────────────────────────────────────────────────────────────────────────────────────


def upload(folder: Path, repo_id: str, revision: str | None = None, private: bool = False) -> str:
    """Upload a prepared folder as one commit, and return the commit's address. The repository, and the branch, are made
    where they are not there.

    Raises:
        PublishError: The Hub refuses it or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="renshi")
    try:
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if revision:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, revision=revision, commit_message="Published by renshi"
        )
    except Exception as error:  # the client's classes and those of its HTTP library have no other base in common
        raise PublishError(_refusal(error, repo_id)) from error
    return str(commit.commit_url)


def _refusal(error: Exception, repo_id: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = " ".join(str(error).split()) or type(error).__name__
    if status in (401, 403):
        return f"{repo_id}: the Hub refuses the upload ({reason}); log in with hf auth login, or set HF_TOKEN"
    return f"{repo_id}: could not be uploaded ({reason}); check the name and the connection"


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, or default")
    parser.add_argument("--repo-id", metavar="USER/NAME", help="the repository on the Hub")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (default: main)")
    parser.add_argument("--private", action="store_true", help="make the repository private, where it is made")
    parser.add_argument("--dry-run", type=Path, metavar="FOLDER", help="write the files here, and upload nothing")
    parser.add_argument("--data", nargs="+", default=[DATA], metavar="DATA", help=f"annotated texts (default: {DATA})")
    options = parser.parse_args(arguments)
    if not options.dry_run and not options.repo_id:
        parser.error("give --repo-id user/name, or --dry-run FOLDER")
    return options


def _list(folder: Path) -> None:
    others = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {*PUBLISHED}
    for name in (*PUBLISHED, *sorted(others)):
        print(f"{(folder / name).stat().st_size:>12,}  {name}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        if options.dry_run:
            prepare(options.model, options.dry_run, options.repo_id, options.data)
            _list(options.dry_run)
            return 0
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(options.model, folder, options.repo_id, options.data)
            _list(folder)
            print(upload(folder, options.repo_id, options.revision, options.private))
    except ImportError as error:
        print(f'{error.name} is not installed here; pip install -e ".[publish]"', file=sys.stderr)
        return 2
    except (ExtractorError, SourceError, PublishError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
