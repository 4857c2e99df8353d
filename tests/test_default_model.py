"""The model inside the package, on invented pages: the way a user meets it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import pipeline

from renshi import Extractor, Record
from renshi.borders import pair_marks
from renshi.labels import TAGS
from renshi.markup import read_markup
from renshi.model import MODEL_FILES, PACKAGED_MODEL
from renshi.onnx_model import GRAPH_FILE
from renshi.records import Entity
from renshi.text import normalize
from training.evaluate import judge, role_counts, span_counts
from training.metrics import score_of
from training.sources import read_source

ROOT = Path(__file__).parents[1]
TEST = ROOT / "data/original/test"


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained(device="cpu", dtype="float32", min_score=0.0)  # all that it finds


def test_the_folder_is_what_is_published() -> None:
    files = [path for path in PACKAGED_MODEL.rglob("*") if path.is_file()]
    names = {path.relative_to(PACKAGED_MODEL).as_posix() for path in files}
    assert names == {*MODEL_FILES, "README.md", GRAPH_FILE}
    assert sum(path.stat().st_size for path in files) < 30e6
    config = json.loads((PACKAGED_MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForTokenClassification"]
    assert [config["id2label"][str(index)] for index in range(len(TAGS))] == list(TAGS)
    with safe_open(PACKAGED_MODEL / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(key).get_dtype() for key in weights.keys()} == {"BF16"}  # noqa: SIM118
    assert (PACKAGED_MODEL / "README.md").read_bytes() == (ROOT / "model_card.md").read_bytes()


def test_the_encoder_for_fine_tuning_is_there() -> None:
    encoder = ROOT / "models/encoder"
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= {
        path.name for path in encoder.iterdir()
    }
    assert json.loads((encoder / "config.json").read_text(encoding="utf-8"))["architectures"] == ["BertForMaskedLM"]
    assert (encoder / "model.safetensors").stat().st_size < 30e6


def sentences() -> Iterator[str]:
    """Sentences of the test split in Simplified characters that normalization leaves alone, of one window."""
    for path in sorted(TEST.glob("*.txt")):
        for sentence in re.split("(?<=[。！？])|\n", read_markup(path).text):
            if 8 < len(sentence) < 200 and normalize(sentence).text == sentence:
                yield sentence


def test_the_pipeline_reads_the_same(extractor: Extractor) -> None:
    """On normalized single-window Simplified text the plain pipeline gives the same entities (but half a pair of marks at
    a border), wherever the tags it takes one by one are a legal BIO sequence; where they are not, the decoder chooses the
    best legal one instead."""
    pipe = pipeline("token-classification", model=str(PACKAGED_MODEL), dtype=torch.float32, aggregation_strategy="none")
    texts = list(sentences())[:400]
    simple = pipe(texts, aggregation_strategy="simple", batch_size=16)
    tokens = pipe(texts, aggregation_strategy="none", ignore_labels=[], batch_size=16)
    legal = 0
    for text, groups, tags, record in zip(texts, simple, tokens, extractor.extract(texts), strict=True):
        names = ["O", *(token["entity"] for token in tags)]
        if all(not b.startswith("I-") or a[2:] == b[2:] for a, b in itertools.pairwise(names)):
            legal += 1
            found = [Entity(g["start"], g["end"], text[g["start"] : g["end"]], g["entity_group"]) for g in groups]
            assert isinstance(record, Record)
            assert [replace(e, score=1.0) for e in record.entities] == pair_marks(text, found), text
    assert legal > len(texts) / 2  # the comparison is of something: 313 of 400 when it was written


def test_reads_the_test_split_well(extractor: Extractor) -> None:
    """Floors well under what results/default.json says: a broken artifact falls far below them."""
    examples, _ = read_source("markup", TEST)
    judged = judge(extractor, examples[::4])
    assert score_of(span_counts(judged)).f1 > 0.7
    assert score_of(role_counts(judged)["from text"]).f1 > 0.5


def test_traditional_and_damaged_pages_read_like_clean_ones(extractor: Extractor) -> None:
    clean, traditional, damaged = extractor.extract(
        [
            "省学会会长王进龙出席会议，并讲话。",
            "省學會會長王進龍出席會議，並講話。",
            "省學(xué)會(huì)會長王 進 龍出席會議,並講話。",
        ]
    )
    parts = [
        [e.label for e in record.entities if e.label in ("PER", "TITLE", "ORG")]
        for record in (clean, traditional, damaged)
    ]  # type: ignore[union-attr]
    assert parts[0] == parts[1] == parts[2]
    assert "王 進 龍" in [entity.text for entity in damaged.entities]  # type: ignore[union-attr]


def test_the_samples_from_the_command_line(tmp_path: Path) -> None:
    samples = sorted((ROOT / "data/samples").glob("*.txt"))
    command = [sys.executable, "-m", "renshi", "extract", *map(str, samples)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=tmp_path)
    records = {Path(record["id"]).stem: record for record in map(json.loads, result.stdout.splitlines())}
    assert len(records) == 8
    assert not [e for e in records["no-entity"]["entities"] if e["score"] > 0.9]
    assert len(records["roster"]["roles"]) > 15
    assert records["damaged"]["text"] == (ROOT / "data/samples/damaged.txt").read_text(encoding="utf-8")
    for record in records.values():
        assert record["model"] == "renshi-default"
        assert all(record["text"][e["start"] : e["end"]] == e["text"] for e in record["entities"])


def test_the_members_of_a_roster_in_columns(extractor: Extractor) -> None:
    members = ["董元", "梁瑞澤", "羅月天", "何 群", "趙維國", "欧阳 楠"]
    page = "第一届理事会常务理事名单：\n" + "  ".join(members[:3]) + "\n" + "  ".join(members[3:]) + "\n"
    (record,) = extractor.extract([page])
    assert [e.text for e in record.entities if e.label == "PER"] == members
