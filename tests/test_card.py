"""What the card and the README say is what the committed results say."""

import re
from pathlib import Path

import pytest
import yaml

from renshi.labels import LABELS
from training.card import BLOCKS, FILES, render

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_numbers_are_those_of_the_results(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert render(text) == text, "run python -m training.card"


def test_every_block_is_used() -> None:
    used = {name for path in FILES for name in re.findall(r"results: ([\w-]+)", path.read_text(encoding="utf-8"))}
    assert used == set(BLOCKS)


def test_the_head_is_the_hubs_metadata() -> None:
    card = (ROOT / "model_card.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---\n")[1])
    assert {"language", "license", "library_name", "pipeline_tag", "datasets", "metrics", "model-index"} <= set(head)
    results = head["model-index"][0]["results"]
    assert results
    assert all({"task", "dataset", "metrics"} <= set(result) for result in results)
    assert all(0 < metric["value"] <= 1 for result in results for metric in result["metrics"])


def test_the_card_names_every_label() -> None:
    card = (ROOT / "model_card.md").read_text(encoding="utf-8")
    assert all(f"| `{label}` |" in card for label in LABELS)


def test_the_commands_of_the_documents_name_files_that_exist() -> None:
    for path in (
        *FILES,
        ROOT / "training/README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "data/README.md",
        *ROOT.glob("docs/*.md"),
    ):
        text = path.read_text(encoding="utf-8")
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        # The reference of the commands is made when the site is built.
        assert not [
            link for link in links if link and not (path.parent / link).exists() and link != "command-line.md"
        ], path
