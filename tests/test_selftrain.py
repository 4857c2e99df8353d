"""Silver labels: what the teacher thinks against transformers' own arithmetic, what of it becomes a label, and that nothing
of a set that is measured on gets in."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from renshi import Extractor
from renshi.labels import LABELS
from renshi.model import ExtractorError, load_model
from renshi.records import Document, Entity, Failure, Record
from renshi.text import normalize
from tests.conftest import TEXT, make_model
from training.config import ConfigError, load_config
from training.corpora import Corpus
from training.runs import RunError
from training.selftrain import (
    Ensemble,
    Never,
    Opinion,
    SelftrainConfig,
    Teacher,
    _examples,
    check,
    choose,
    selftrain,
    to_example,
)
from training.sources import Example, SourceError, read_source

PAGE = "省學會會長王進龍出席成立大會並致辭。山西省腫瘤醫院承辦第2屆論壇。\n图为会场"


def load(folder: Path) -> Any:
    return load_model(folder, device="cpu", dtype="float32")


def opinion(raw: str, entities: list[tuple[str, str, float]], possible: list[tuple[str, str, float]] = []) -> Opinion:  # noqa: B006
    """What a teacher might think: its entities in order, and labels that it holds possible on words."""
    normalized = normalize(raw)
    found, probability, end = [], np.zeros((len(normalized.text), len(LABELS)), dtype=np.float32), 0
    for text, label, score in entities:
        start = normalized.text.index(text, end)
        end = start + len(text)
        found.append(Entity(start, end, text, label, score))
        probability[start:end, LABELS.index(label)] = score
    for text, label, score in possible:
        start = normalized.text.index(text)
        probability[start : start + len(text), LABELS.index(label)] = score
    return Opinion("x", normalized, found, probability)


def shown(example: Example) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    assert all(example.text[e.start : e.end] == e.text for e in (*example.entities, *example.doubtful))
    return [(e.text, e.label) for e in example.entities], [(e.text, e.label) for e in example.doubtful]


def test_what_is_sure_what_may_be_and_what_is_not() -> None:
    thought = opinion("王强出席某研讨会。", [("王强", "PER", 0.95), ("研讨会", "EVENT.FORUM", 0.6)], [("研讨", "EVENT.MEETING", 0.2), ("出席", "ORG", 0.04)])  # fmt: skip
    assert shown(to_example(thought, 0.9, 0.05)) == (
        [("王强", "PER")], [("研讨", "EVENT.MEETING"), ("研讨会", "EVENT.FORUM")],
    )  # fmt: skip


def test_a_name_that_is_sure_elsewhere_in_the_text_is_not_taught_as_nothing() -> None:
    thought = opinion(
        "會(huì)長王進龍說：學會由王進龍建立，王總和会长们来过。",
        [("会长", "TITLE", 0.95), ("王进龙", "PER", 0.95), ("王", "PER", 0.95)],
    )
    certain, doubtful = shown(to_example(thought, 0.9, 0.05))
    assert certain == [("會(huì)長", "TITLE"), ("王進龍", "PER"), ("王", "PER")]
    assert doubtful == []  # the second 王進龍 is 王 for the teacher: what is sure stays

    # Found a second time with less confidence: sure as well.
    thought = opinion("王强说，王强不来。研讨会，研讨会。", [("王强", "PER", 0.95), ("王强", "PER", 0.4), ("研讨会", "EVENT.FORUM", 0.95), ("研讨会", "EVENT.FORUM", 0.4)])  # fmt: skip
    assert shown(to_example(thought, 0.9, 0.05)) == (
        [("王强", "PER"), ("王强", "PER"), ("研讨会", "EVENT.FORUM")], [("研讨会", "EVENT.FORUM")],
    )  # fmt: skip

    thought = opinion("會長王進龍說：學會由王 進 龍建立，会长们来过，王总也来。", [("会长", "TITLE", 0.95), ("王进龙", "PER", 0.95)])  # fmt: skip
    assert shown(to_example(thought, 0.9, 0.05))[1] == [("王 進 龍", "PER")]  # no title, no surname alone


def test_the_teacher_reads_as_the_extractor_and_thinks_as_transformers_computes(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renshi.extractor.find_repeats", lambda _, entities, __: entities)  # each window by itself
    texts = [TEXT, "學會(xué)王 進 龍！", "", TEXT * 3]  # the last in several windows, of which some are one text
    opinions = list(Teacher(load(tiny_model)).opinions(Document(str(n), text) for n, text in enumerate(texts)))
    extractor = Extractor(load(tiny_model), min_score=0.0)
    records = cast("Iterator[Record]", extractor.extract(texts))
    for record, thought in zip(records, opinions, strict=True):
        raw = [(*thought.normalized.to_raw(e.start, e.end), e.label) for e in thought.entities]
        assert raw == [(e.start, e.end, e.label) for e in record.entities]
        assert thought.normalized.raw == record.text
        covered = np.array([not char.isspace() for char in thought.normalized.text], dtype=bool)
        assert (thought.probability.sum(axis=1) > 0).tolist() == covered.tolist()

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForTokenClassification.from_pretrained(tiny_model)  # fmt: skip
    text = opinions[1].normalized.text
    with torch.no_grad():
        tags = model(**tokenizer(text, return_tensors="pt")).logits[0, 1:-1].softmax(dim=-1).numpy()
    assert len(tags) == len(text)
    assert model.config.id2label[5] == "B-ORG"
    np.testing.assert_allclose(opinions[1].probability[:, LABELS.index("ORG")], tags[:, 5] + tags[:, 6], atol=1e-5)


def test_several_teachers_are_their_mean(tiny_model: Path, tmp_path: Path) -> None:
    models = [load(tiny_model), load(make_model(tmp_path / "other", seed=1))]
    documents = [Document("x", TEXT)]
    (one,), (two,), (both,), (twice,) = (
        Teacher(Ensemble(some)).opinions(documents) for some in (models[:1], models[1:], models, models[:1] * 2)
    )
    np.testing.assert_allclose(both.probability, (one.probability + two.probability) / 2, atol=1e-5)
    np.testing.assert_allclose(twice.probability, one.probability, atol=1e-6)
    assert [(e.start, e.end, e.label) for e in twice.entities] == [(e.start, e.end, e.label) for e in one.entities]

    models[1].tokenizer.add_tokens(["囍"])
    with pytest.raises(ExtractorError, match="b: has another vocabulary than a; teachers that are averaged must share"):
        Ensemble(models, ["a", "b"])


def test_what_the_teacher_cannot_read_is_said_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    config = SelftrainConfig(teachers=("x",), output="x")
    read = [Failure("a", "TokenizerError", "a: cannot be read"), opinion("王强说", [("王强", "PER", 0.9)])]
    assert [shown(example)[0] for example in _examples(read, config)] == [[("王强", "PER")]]
    assert capsys.readouterr().err == "a: cannot be read\n"


def test_silver_labels_are_compared_with_gold_ones() -> None:
    text = "王强、李敏出席某学会成立大会。"
    gold = [Entity(0, 2, "王强", "PER"), Entity(3, 5, "李敏", "PER"), Entity(8, 10, "学会", "ORG")]
    thought = opinion(text, [("王强", "PER", 0.95), ("某学会", "ORG", 0.95)], [("李敏", "PER", 0.3)])

    class Fake:
        def opinions(self, _: object) -> Iterator[Opinion]:
            yield thought

    config = SelftrainConfig(teachers=("x",), output="x")
    assert check(cast(Teacher, Fake()), [Example("x", text, gold, [], frozenset(LABELS))], config) == {
        "ORG": {"gold": 1, "sure": 1, "right": 0.0, "taught": 0.0, "allowed": 0.0, "denied": 1.0},
        "PER": {"gold": 2, "sure": 1, "right": 1.0, "taught": 0.5, "allowed": 0.5, "denied": 0.0},
    }


def test_what_is_measured_on_is_recognized_however_it_is_written() -> None:
    never = Never([PAGE])
    assert never.shares_sentence("前言。省学会会长王进龙 出席成立大会并致辞！后记。")
    assert not never.shares_sentence("省学会会长王进龙出席成立大会。\n图为会场")  # a part, and a line that many write
    assert never.has_line(" 图为会场 ")


@pytest.fixture
def config_file(tmp_path: Path, tiny_model: Path) -> Path:
    """Corpora of which one holds an annotated page, in Simplified characters and in the middle of another document."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/page.txt").write_text(PAGE.replace("王進龍", "{王進龍|PER}") + "\n", encoding="utf-8")
    news = [
        f"{number}日，省学会会长王进龙说了第{number}句话。\n山西医院{'承办' * (number % 9)}论坛。"
        for number in range(60)
    ]
    copied = f"网站首页\n{normalize(PAGE).text}\n责任编辑"
    with lzma.open(tmp_path / "a.txt.xz", "wt", encoding="utf-8") as file:
        file.write("\n\n".join([*news[:30], copied, *news[30:]]) + "\n")
    (tmp_path / "b.txt").write_text("\n\n".join(f"图为会场\n省學會{text}" for text in news), encoding="utf-8")
    path = tmp_path / "silver.toml"
    path.write_text(
        f'teachers = ["{tiny_model.as_posix()}"]\noutput = "{tmp_path.as_posix()}/silver"\n'
        f'data_root = "{tmp_path.as_posix()}"\ncharacters = 2400\npart = 500\nsure = 0.5\n'
        '[corpora]\n"a.txt.xz" = 2.0\n"b.txt" = 1.0\n'
        '[[never]]\nformat = "markup"\npath = "{data_root}/dev"\n[[check]]\nformat = "markup"\npath = "{data_root}/dev"\n',
        encoding="utf-8",
    )
    return path


def test_writes_a_source_without_what_may_not_be_in_it(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(SelftrainConfig, config_file, ["characters=100000"])
    result = selftrain(config)
    a, b = result["corpora"]["a.txt.xz"], result["corpora"]["b.txt"]
    assert a["left_out"]["documents that share a sentence with a set in never"] == 1
    assert b["left_out"]["lines that stand in a set in never"] == 60
    assert result["check"]["{data_root}/dev"]["PER"]["gold"] == 1
    assert "a.txt.xz-0000.jsonl: 5" in capsys.readouterr().err
    folder = config_file.parent / "silver"
    examples, report = read_source("silver", folder)
    assert len(examples) == a["examples"] + b["examples"] == 120
    assert not report.skipped
    assert not any("并致辞" in example.text or "图为会场" in example.text for example in examples)
    assert any("省學會" in example.text for example in examples)  # Traditional stays so
    assert Counter(e.label for example in examples for e in example.entities) == Counter(a["spans"]) + Counter(b["spans"])  # fmt: skip
    assert all(shown(example) and example.annotated == frozenset(LABELS) for example in examples)


def test_a_killed_run_goes_on_with_the_missing_parts(config_file: Path) -> None:
    config, folder = load_config(SelftrainConfig, config_file), config_file.parent / "silver"
    first = selftrain(config)
    sizes = {name: row["characters"] for name, row in first["corpora"].items()}
    assert 1600 <= sizes["a.txt.xz"] < 1700 > 2 * sizes["b.txt"] - 100
    parts = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    assert len(parts) > 4
    kept = next(folder.glob("*.jsonl"))
    stamp = kept.stat().st_mtime_ns
    for path in (*folder.glob("*.jsonl"), folder / "result.json"):
        if path != kept:
            path.unlink()
    (folder / "a.txt.xz-0001.jsonl.part").write_text('{"id": "cut o', encoding="utf-8")
    assert selftrain(config) == first
    assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == parts
    assert kept.stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match=r"silver: was begun with other values \(sure 0.5, now 0.7\); remove it, or set"):
        selftrain(load_config(SelftrainConfig, config_file, ["sure=0.7"]))


def test_the_seed_chooses(config_file: Path) -> None:
    corpus, never = Corpus(config_file.parent / "a.txt.xz", 1.0), Never([])
    chosen = [
        [
            d.id
            for d in choose(corpus, 500, never, load_config(SelftrainConfig, config_file, [f"seed={seed}"]), Counter())
        ]
        for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert 0 < len(chosen[0]) < 60
    config = load_config(SelftrainConfig, config_file, ["excerpt=20"])
    texts = [d.text for d in choose(corpus, 10**6, never, config, Counter())]
    assert all(len(text) <= 60 for text in texts)
    assert {text[:2] for text in texts} > {"山西"}  # not always the beginning


def test_what_cannot_work_is_said(config_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(SelftrainConfig, config_file, ["teachers=[]", "sure=0.01", "corpora={}"])
    assert [line.split(": ", 1)[1] for line in str(error.value).split("\n")] == [
        'teachers: names no model; for the packaged one write teachers = ["default"]',
        'corpora: name a file with its weight, such as corpora = {"news.txt.xz" = 1.0}, or add a table [[hub]]',
        "possible, sure: 0.05 and 0.01 are not 0 < possible < sure <= 1",
    ]
    (tmp_path / "dev/broken.txt").write_text("{王进龙|PERSON}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"unknown label 'PERSON'.*\n.*must be read whole, so that nothing of it is"):
        selftrain(load_config(SelftrainConfig, config_file))


def test_damaged_silver_lines_are_counted(tmp_path: Path) -> None:
    span = {"start": 0, "end": 2, "label": "PER"}
    good = {"text": "王强说", "entities": [span], "doubtful": [{"start": 2, "end": 3, "label": "ORG"}]}
    bad: list[dict[str, Any]] = [
        {}, {"text": "王"}, {"text": "王", "entities": [span]}, {"text": "王强", "entities": [{**span, "label": "X"}]},
    ]  # fmt: skip
    lines = [json.dumps(row) for row in (good, *bad)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, lines[0][:20]]), encoding="utf-8")
    (first, empty), report = read_source("silver", tmp_path)
    assert shown(first) == ([("王强", "PER")], [("说", "ORG")])
    assert (first.id, empty.text) == ("a.jsonl:1", "王")
    assert report.places["lines that are not a text with spans in JSON"] == ["a.jsonl:2", "a.jsonl:4", "a.jsonl:5"]
    assert report.skipped.total() == 4
