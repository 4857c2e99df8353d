"""The benchmark command on a tiny set in a public format; seqeval judges the scores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from renshi import Extractor
from renshi.labels import bio_tags
from renshi.model import Calibration, ExtractorError
from renshi.records import Entity, Record
from training import benchmark, overlaps
from training.benchmark import BenchmarkConfig, main, read_splits, score
from training.config import load_config
from training.evaluate import Judged, judge
from training.overlaps import count_overlaps
from training.reader import Reader
from training.runs import claimed
from training.sources import Example, read_source
from training.tokenizer import build_vocabulary, from_vocabulary

ROOT = Path(__file__).parents[1]
LABELS = ("PER", "ORG", "LOC")


def columns(*sentences: tuple[str, str]) -> str:
    return "\n".join(
        "".join(f"{c}\t{t}\n" for c, t in zip(text, tags.split(), strict=True)) for text, tags in sentences
    )


TRAIN = columns(
    ("王强在云溪说", "B-PER I-PER O B-LOC I-LOC O"),
    ("李明在江海说", "B-PER I-PER O B-LOC I-LOC O"),
    ("江海大学王强", "B-ORG I-ORG I-ORG I-ORG B-PER I-PER"),
    ("云溪大学李明", "B-ORG I-ORG I-ORG I-ORG B-PER I-PER"),
    ("王强在云溪说", "B-PER I-PER O B-LOC I-LOC O"),
)
CONFIG = """
name = "tiny_test"
base_model = "random"
output = "{root}/run"
data_root = "{root}"
max_length = 32
batch_tokens = 64
steps = 16
evaluations = 2
learning_rate = 2e-2
dropout = 0.0
held_out = 0.25
seeds = [0, 1]
random_encoder = {{hidden_size = 16, num_hidden_layers = 1, num_attention_heads = 2}}
[[train]]
format = "msra"
path = "{{data_root}}/train.bio"
[[test]]
format = "msra"
path = "{{data_root}}/test.bio"
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    (tmp_path / "train.bio").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "test.bio").write_text(columns(("李明在云溪说", "B-PER I-PER O B-LOC I-LOC O")), encoding="utf-8")
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG.format(root=tmp_path.as_posix()), encoding="utf-8")
    return path


def test_runs_end_to_end_and_goes_on(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, results = config_file.parent / "run", config_file.parent / "results.json"
    command = [str(config_file), "--json", str(results)]

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(benchmark, "judge", die)  # killed after the last step, before there is a result
        main(command)
    assert not results.exists()
    assert main([*command, "--collect"]) == 1
    summary = json.loads(results.read_text())["tiny_test"]
    assert (summary["micro_f1"], summary["seeds"], summary["incomplete"]) == (None, 0, "0 of 2 seeds")

    with claimed(SimpleNamespace(output=run / "seed-0")) as is_ours:  # as another process would
        assert is_ours
        assert main([*command, "seeds=[0]"]) == 1
    assert "tiny_test, seed 0: another process is at it" in capsys.readouterr().err
    assert main([*command, "seeds=[0]"]) == 0
    assert {path.name for path in (run / "seed-0").iterdir()} == {
        "model",
        "config.toml",
        "predictions.jsonl",
        "result.json",
    }
    assert {path.name for path in (run / "seed-0/model").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert main([*command, "--collect"]) == 1
    (summary,) = json.loads(results.read_text()).values()
    assert (summary["seeds"], summary["sd"], summary["incomplete"]) == (1, None, "1 of 2 seeds")

    before = (run / "seed-0/result.json").stat().st_mtime_ns
    assert main(command) == 0  # the second seed; the first is not repeated
    assert (run / "seed-0/result.json").stat().st_mtime_ns == before
    summary = json.loads(results.read_text())["tiny_test"]
    assert list(summary) == ["micro_f1", "macro_f1", "sd", "seeds", "per_label", "encoder", "parameters"]
    assert (summary["seeds"], summary["encoder"]) == (2, "random")
    assert summary["micro_f1"] > 0.5
    assert set(summary["per_label"]) >= {"PER", "LOC"}
    assert set(summary["per_label"]["PER"]) == {"precision", "recall", "f1", "support"}
    assert summary["per_label"]["PER"]["support"] == 1
    row = json.loads((run / "seed-1/predictions.jsonl").read_text(encoding="utf-8"))
    assert row["gold"] == [[0, 2, "PER"], [3, 5, "LOC"]]

    capsys.readouterr()
    assert main([*command, "steps=17"]) == 2
    error = capsys.readouterr().err
    assert "seed-0: was begun with other values (steps 16, now 17); remove it, or set output=" in error
    with pytest.raises(ExtractorError, match=r"has other labels \(7: O, B-PER, I-PER, B-ORG, I-ORG …\)"):
        Extractor.from_pretrained(run / "seed-0/model")


def test_a_held_out_part_shares_no_text_with_train(config_file: Path) -> None:
    splits = read_splits(load_config(BenchmarkConfig, config_file))
    held, (trained,) = {example.text for example in splits.dev}, splits.train
    assert len(held) == 1
    assert not held & {example.text for example in trained}
    assert len(splits.dev) + len(trained) == 5
    assert [(e.text, e.label) for e in splits.test[0].entities] == [("李明", "PER"), ("云溪", "LOC")]


def test_a_benchmark_that_means_nothing_is_refused(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = '[{format = "weibo", path = "x"}]'
    assert main([str(config_file), f"dev={other}", "seeds=[1, 1]"]) == 2
    problems = [line.removeprefix(f"{config_file}: ") for line in capsys.readouterr().err.splitlines()]
    assert problems == [
        "train, dev, test: are of msra, weibo; a benchmark is of one set, with its own labels",
        "held_out: is 0.25 beside [[dev]]; give one of the two",
        "seeds: [1, 1] are not one or more different numbers",
    ]
    assert main([str(config_file), "held_out=0.0", "test=[]"]) == 2
    error = capsys.readouterr().err
    assert "held_out: is 0.0 without [[dev]]; give one of the two" in error
    assert "test: names no source" in error


def test_own_labels_are_all_kept_and_none_is_in_doubt(tmp_path: Path) -> None:
    label = {"address": {"云溪": [[0, 1]]}, "position": {"记者": [[2, 3]]}, "person": {"王强": [[4, 5]]}}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"text": "云溪记者王强", "label": label}) + "\n", encoding="utf-8")
    (example,), report = read_source("cluener", path, own_labels=True)
    assert [(e.start, e.end, e.label) for e in example.entities] == [(0, 2, "address"), (2, 4, "position")]
    assert not example.doubtful
    assert len(example.annotated) == 10
    assert report.places == {"spans with a label that the set does not have (person)": ["dev.json:1"]}


class KnowsTheAnswer:
    """A model whose logits follow from the token alone."""

    name, max_tokens, calibration, device = "knows", 24, Calibration(), "cpu"

    def __init__(self, text: str, tag_of: dict[str, str], labels: Sequence[str]) -> None:
        tokenizer = from_vocabulary(build_vocabulary([text]))
        self.tokenizer = tokenizer.backend_tokenizer
        tags = bio_tags(labels)
        self._tags = np.zeros(len(tokenizer), dtype=np.int64)
        for character, tag in tag_of.items():
            self._tags[tokenizer.convert_tokens_to_ids(character)] = tags.index(tag)
        self._eye = np.eye(len(tags), dtype=np.float32) * 9

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        return self._eye[self._tags[np.concatenate(rows)]]


def test_a_sentence_of_many_windows_loses_no_entity() -> None:
    """The set's own labels, last ones of a list longer than renshi's, on a line of 900 characters without a full stop."""
    labels = [*(f"x{number}" for number in range(20)), "name", "address"]
    piece = "王强在云溪说了很多话，"
    text = piece * 80
    gold = [
        Entity(at + start, at + end, piece[start:end], label)
        for at in range(0, len(text), len(piece))
        for start, end, label in ((0, 2, "name"), (3, 5, "address"))
    ]
    tag_of = {"王": "B-name", "强": "I-name", "云": "B-address", "溪": "I-address"}
    example = Example("long", text, gold, [], frozenset(labels))
    result = score(judge(Reader(KnowsTheAnswer(piece, tag_of, labels), labels), [example]), labels)
    assert result["micro"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 160}
    assert set(result["per_label"]) == {"name", "address"}


TAGS = st.lists(st.sampled_from([["O"], ["B-PER"], ["B-PER", "I-PER"], ["B-ORG", "I-ORG", "I-ORG"], ["B-LOC"]])).map(
    lambda parts: [tag for part in parts for tag in part][:9]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=4))
def test_scores_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    pairs = [([*gold, *["O"] * (9 - len(gold))], [*read, *["O"] * (9 - len(read))]) for gold, read in pairs]
    if all(set(gold) == {"O"} for gold, _ in pairs):
        return  # seqeval has no classes then
    result = score([_judged(gold, read) for gold, read in pairs], LABELS)
    gold, read = map(list, zip(*pairs, strict=True))
    expected = classification_report(gold, read, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    assert result["micro"]["f1"] == pytest.approx(expected["micro avg"]["f1-score"])
    assert result["macro_f1"] == pytest.approx(expected["macro avg"]["f1-score"])
    for label, row in result["per_label"].items():
        assert row["f1"] == pytest.approx(expected[label]["f1-score"])
        assert (row["precision"], row["recall"]) == pytest.approx(
            (expected[label]["precision"], expected[label]["recall"])
        )
        assert row["support"] == expected[label]["support"]


def _judged(gold: list[str], read: list[str]) -> Judged:
    text = "云" * len(gold)
    example = Example("x", text, _entities(gold), [], frozenset(LABELS))
    return Judged(example, Record("x", text, _entities(read)))


def _entities(tags: list[str]) -> list[Entity]:
    starts = [index for index, tag in enumerate(tags) if tag.startswith("B-")]
    entities = []
    for start in starts:
        end = next((index for index in range(start + 1, len(tags)) if not tags[index].startswith("I-")), len(tags))
        entities.append(Entity(start, end, "云" * (end - start), tags[start][2:]))
    return entities


def test_overlaps_are_counted_as_the_model_reads(config_file: Path, tmp_path: Path) -> None:
    long = "云溪大學的王強，在江海市說了很多話"  # Traditional here, Simplified with a space there
    tests = {"a": [long, "图为会场", "图为会场", "别处没有的一句话在这里"], "b": ["云溪大学"]}
    parts = {
        "a train": ["云溪大学的王强， 在江海市说了很多话"],
        "a test": tests["a"],
        "b test": ["图为会场", "云溪大学"],
    }
    corpora = ["今天。云溪大学的王强，在江海市说了很多话！他又说"]
    assert count_overlaps(tests, parts, corpora) == {
        "a": {
            "texts": 4,
            "repeated": 1,
            "in": {
                "a train": {"texts": 1, "by_sentence": 1},
                "b test": {"texts": 2, "by_sentence": 0},
                "corpora": {"texts": 0, "by_sentence": 1},
            },
        },
        "b": {"texts": 1, "repeated": 0, "in": {}},
    }
    report = tmp_path / "overlaps.json"
    assert overlaps.main([str(config_file), "--json", str(report)]) == 0
    assert json.loads(report.read_text()) == {"tiny_test": {"texts": 1, "repeated": 0, "in": {}}}
    start = tmp_path / "start.toml"  # a run that trained on the test, in the same format
    start.write_text(
        f'base_model = "random"\noutput = "x"\n[[train]]\nformat = "msra"\npath = "{tmp_path.as_posix()}/test.bio"\n'
        f'[[dev]]\nformat = "msra"\npath = "{tmp_path.as_posix()}/test.bio"\n'
    )
    assert overlaps.main([str(config_file), "--start", str(start), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["tiny_test"]["in"]["start"]["texts"] == 1


@pytest.mark.skipif("RENSHI_DATA_ROOT" not in os.environ, reason="RENSHI_DATA_ROOT does not name the official files")
@pytest.mark.parametrize(
    ("name", "texts", "spans"),
    [("cluener", 1_343, 3_072), ("resume", 477, 1_630), ("msra", 4_365, 6_181), ("weibo", 270, 418)],
)
def test_every_span_of_the_official_tests_is_scored(name: str, texts: int, spans: int) -> None:
    """Weibo's 418 are the published number: four of them begin with an I-, which the usual readers take for a beginning."""
    path = ROOT / f"configs/benchmarks/{name}.toml"
    config = load_config(BenchmarkConfig, path, [f"data_root={os.environ['RENSHI_DATA_ROOT']}"])
    test = read_splits(config).test
    assert (len(test), sum(len(example.entities) for example in test)) == (texts, spans)
