"""What to annotate next, and the loop from there to training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from renshi import Extractor
from renshi.cli import app
from renshi.decode import doubt
from renshi.suggest import choose, vectors
from training.sources import read_source

PAGES = [
    "省学会会长王进龙出席成立大会并致辞。",
    "省学会会长王进龙出席成立大会并致辞！",
    "白敏、李毅等12名同志任副主任委员。",
]


def test_doubt_leaves_out_special_tokens() -> None:
    logits = np.zeros((6, 4), dtype=np.float32)
    logits[1, 2] = 100.0  # sure
    wrong, tokens = doubt(logits, np.array([4, 2]))
    assert (wrong.tolist(), tokens.tolist()) == ([0.75, 0.0], [2, 0])


def test_the_copy_of_a_page_comes_last() -> None:
    chosen = choose(vectors(PAGES), np.array([0.5, 0.49, 0.1]), 3)
    assert [index for index, *_ in chosen] == [0, 2, 1]
    assert chosen[2][2] > 0.8
    assert chosen[2][3] == 0


def test_traditional_is_like_simplified() -> None:
    simplified, traditional = vectors(["中国抗癌协会会长出席会议", "中國抗癌協會會長出席會議"])
    assert simplified @ traditional > 0.999


def test_doubt_does_not_change_the_records(tiny_model: Path) -> None:
    extractor = Extractor.from_pretrained(tiny_model, device="cpu", dtype="float32")
    pairs = list(extractor.extract_with_doubt(PAGES))
    assert [record for record, _ in pairs] == list(extractor.extract(PAGES))
    assert all(0 < value < 1 for _, value in pairs)


def test_from_suggestions_to_training(tiny_model: Path, tmp_path: Path) -> None:
    """suggest → Label Studio → corrected → markup → what `training.train` reads."""
    pages, tasks, gold = tmp_path / "pages.jsonl", tmp_path / "tasks.json", tmp_path / "gold"
    pages.write_text(
        "".join(json.dumps({"id": f"p{i}", "text": t}) + "\n" for i, t in enumerate(PAGES)), encoding="utf-8"
    )
    run = CliRunner().invoke
    command = ["suggest", str(pages), "-n", "2", "-m", str(tiny_model), "--device", "cpu"]
    listed = run(app, [*command, "-f", "jsonl"])
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()]
    assert run(app, [*command, "-f", "labelstudio", "-o", str(tasks)]).exit_code == 0
    items = json.loads(tasks.read_text(encoding="utf-8"))
    assert len(items) == 2
    for item in items:  # as Label Studio exports what somebody corrected
        region = item["predictions"][0]["result"][:0]
        value = {"start": 0, "end": 2, "text": item["data"]["text"][:2], "labels": ["PER"]}
        item["annotations"] = [{"result": [*region, {"id": "a", "type": "labels", "value": value}]}]
    tasks.write_text(json.dumps(items), encoding="utf-8")
    result = run(app, ["convert", str(tasks), str(gold), "--to", "markup"])
    assert result.exit_code == 0, result.stderr
    examples, report = read_source("markup", gold)
    assert len(examples) == 2
    assert not report.skipped
    assert all(example.entities[0].label == "PER" for example in examples)


def test_the_suffix_chooses_the_format_and_all_failures_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text('{"text": "省学会会长王进龙出席成立大会。"}\n' + "{\n" * 30, encoding="utf-8")
    for name, first in (("out.jsonl", '{"id": '), ("out.txt", "   1  "), ("out.csv", "\ufeffdocument,person")):
        result = CliRunner().invoke(
            app, ["suggest", str(tmp_path / "pages.jsonl"), "-o", str(tmp_path / name), "-m", str(tiny_model)]
        )
        assert result.exit_code == 1
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(first), name
        assert "renshi: 30 documents failed (10 not shown here)\n" in result.stderr
