"""The study compares pages with themselves: what changes is only what it says."""

from pathlib import Path

import numpy as np
import pytest

from renshi.labels import LABELS
from renshi.markup import parse_markup
from scripts.study_robustness import changed, lost, main
from training.augment import DAMAGES, to_traditional
from training.sources import Example

PAGE = "{省学会|ORG}{会长|TITLE}{王强|PER}出席{成立大会|EVENT.FOUNDING}，{张三丰|PER}致辞。\n会议在学会举行。"


def example(id: str = "a") -> Example:
    document = parse_markup(PAGE, id)
    return Example(id, document.text, document.entities, (), frozenset(LABELS))


@pytest.mark.parametrize("name", [*DAMAGES, "traditional"])
def test_the_annotation_goes_along(name: str) -> None:
    change = DAMAGES.get(name, to_traditional)
    (other,) = changed([example()], [change])
    assert [e.label for e in other.entities] == [e.label for e in example().entities]
    assert all(other.text[e.start : e.end] == e.text for e in other.entities)
    assert changed([example()], [change]) == [other]


def test_what_is_lost() -> None:
    clean = np.array([[2, 2, 2], [2, 2, 2]])  # right, predicted, gold
    assert lost(clean, clean) == {"f1": 1.0, "lost": 0.0, "low": 0.0, "high": 0.0}
    half = lost(clean, np.array([[1, 2, 2], [1, 2, 2]]))
    assert half == {"f1": 0.5, "lost": 0.5, "low": 0.5, "high": 0.5}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "set/test"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(PAGE, encoding="utf-8")
    assert main([str(folder), "--json", str(tmp_path / "out.json")]) == 0
    assert '"set/test"' in (tmp_path / "out.json").read_text(encoding="utf-8")
    assert '"all damages"' in capsys.readouterr().out


def test_a_set_without_a_clean_simplified_page_is_told_and_not_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set/test"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("{省學會|ORG}{會長|TITLE}{王強|PER}出席會議。", encoding="utf-8")
    assert main([str(folder)]) == 0
    assert '"documents": 0' in capsys.readouterr().out
