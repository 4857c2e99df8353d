"""From raw text to records with a tiny model: batches, order, windows, offsets, and the transformers pipeline as judge."""

import json
import pickle
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import pipeline
from typer.testing import CliRunner

from renshi import Document, Extractor, ExtractorError, Failure, Record
from renshi.cli import app
from renshi.extractor import _check_numbers, report, without_strays
from renshi.model import Model
from renshi.records import Entity, Role, Roster
from renshi.text import normalize
from tests.conftest import make_model

PAGES = [
    "省学会会长王进龙出席成立大会并致辞。",
    "",
    "山西省肿瘤医院承办，白敏、李毅等12名同志任副主任委员！" * 9,  # several windows
    "中國抗癌協(xié)會(huì)會長王 進 龍說:「好」,並致辭。",
    "一",
    "\ud800\x00\u200b\n\n",
    "会" * 300,  # one sentence, longer than a window
]


@pytest.fixture(scope="module")
def extractor(tiny_model: Path) -> Extractor:
    return Extractor.from_pretrained(tiny_model, device="cpu", dtype="float32")


def spans(record: Record | Failure) -> list[tuple[int, int, str]]:
    assert isinstance(record, Record)
    return [(entity.start, entity.end, entity.label) for entity in record.entities]


def test_entities_are_what_stands_there(extractor: Extractor) -> None:
    records = list(extractor.extract(PAGES))
    assert [record.id for record in records] == [str(number) for number in range(len(PAGES))]
    for record, page in zip(records, PAGES, strict=True):
        assert isinstance(record, Record)
        assert record.text == page
        assert all(page[entity.start : entity.end] == entity.text for entity in record.entities)
        assert all(a.end <= b.start for a, b in zip(record.entities, record.entities[1:], strict=False))
        assert all(0 <= entity.score <= 1 for entity in record.entities)
        for role in record.roles:
            assert record.entities[role.person].label == "PER"
            assert record.entities[role.title].label == "TITLE"
            assert role.organization is None or record.entities[role.organization].label == "ORG"
    assert sum(len(spans(record)) for record in records) > 20  # the tiny model does find things


def test_any_batch_size_and_any_order_give_the_same(tiny_model: Path, extractor: Extractor) -> None:
    expected = [spans(record) for record in extractor.extract(PAGES)]
    for batch_tokens in (1, 70, 100_000):
        other = Extractor.from_pretrained(tiny_model, device="cpu", dtype="float32", batch_tokens=batch_tokens)
        assert [spans(record) for record in other.extract(PAGES)] == expected
    order = list(range(len(PAGES)))
    random.Random(3).shuffle(order)
    shuffled = list(extractor.extract(PAGES[index] for index in order))
    assert [spans(record) for record in shuffled] == [expected[index] for index in order]


class Watched:
    """A model that notes what it is given, and has room for `room` tokens."""

    def __init__(self, model: Model, room: int = 10**9) -> None:
        self.name, self.tokenizer, self.max_tokens, self.device = model.name, model.tokenizer, model.max_tokens, "cpu"
        self.calibration, self._model, self._room = model.calibration, model, room
        self.batches: list[list[int]] = []

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        self.batches.append([len(row) for row in rows])
        if sum(self.batches[-1]) > self._room:
            raise MemoryError
        return self._model.logits(rows, pad_id)


def test_a_full_memory_halves_the_batches_and_loses_nothing(extractor: Extractor) -> None:
    watched = Watched(extractor.model, room=100)
    smaller = Extractor(watched)
    with pytest.warns(
        UserWarning, match=r"a batch of \d+ tokens was too large for cpu; from now on batches have at most"
    ):
        records = list(smaller.extract(PAGES))
    assert [spans(record) for record in records] == [spans(record) for record in extractor.extract(PAGES)]
    assert max(map(sum, watched.batches)) > 100
    watched.batches.clear()
    assert len(list(smaller.extract(PAGES))) == len(PAGES)
    assert max(map(sum, watched.batches)) <= 100  # it has learnt
    with pytest.raises(MemoryError):  # a single row is too much
        list(Extractor(Watched(extractor.model, room=1)).extract(PAGES[0]))


def test_the_same_words_on_many_pages_are_read_once(extractor: Extractor) -> None:
    watched = Watched(extractor.model)
    pages = [PAGES[2]] * 50
    records = list(Extractor(watched).extract(pages))
    assert [record.entities for record in records] == [next(extractor.extract(PAGES[2])).entities] * 50  # type: ignore[union-attr]
    distinct = {normalize(PAGES[2]).text[w.start : w.end] for w in extractor._prepare(Document("0", PAGES[2])).windows}  # type: ignore[union-attr]
    chunks = len(watched.batches)
    assert sum(map(len, watched.batches)) <= chunks * len(distinct)


def test_documents_are_asked_for_in_the_callers_thread(extractor: Extractor) -> None:
    """A database cursor, for one, refuses every other."""
    asked = []

    def documents() -> Iterator[str]:
        for page in PAGES * 50:
            asked.append(threading.get_ident())
            yield page

    assert len(list(extractor.extract(documents()))) == len(PAGES) * 50
    assert set(asked) == {threading.get_ident()}


def test_one_window_reads_as_the_pipeline_reads(tmp_path: Path) -> None:
    """The published folder is a plain token classifier. (A model whose tags are all legal: where they are not, the
    decoder is constrained and the pipeline is not.)"""
    folder = make_model(tmp_path / "model", seed=1)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][2::2] = 0.0  # no I-
    weights["classifier.bias"][2::2] = -100.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    pipe = pipeline("token-classification", model=str(folder), aggregation_strategy="simple", dtype=torch.float32)
    extractor = Extractor.from_pretrained(folder, device="cpu", dtype="float32")
    for page in (PAGES[0], PAGES[2][:50], PAGES[4]):
        assert normalize(page).text == page
        expected = [(entity["start"], entity["end"], entity["entity_group"]) for entity in pipe(page)]
        assert spans(next(extractor.extract(page))) == expected


@settings(deadline=None, max_examples=25)
@given(page=st.text(st.characters(), max_size=150))
def test_any_text_gives_a_record(extractor: Extractor, page: str) -> None:
    (record,) = extractor.extract(page)
    assert all(page[start:end] == e.text for (start, end, _), e in zip(spans(record), record.entities, strict=True))  # type: ignore[union-attr]


def test_a_string_is_one_document_and_an_iterable_many(extractor: Extractor) -> None:
    assert len(list(extractor.extract("会长"))) == 1
    assert len(list(extractor.extract(["会", "长"]))) == 2
    assert [record.id for record in extractor.extract(Document("a/b", "会长"))] == ["a/b"]


def test_failures_pass_through_in_their_place(extractor: Extractor) -> None:
    failure = Failure("x", "UnicodeDecodeError", "…")
    records = list(extractor.extract(["会", failure, "长", Document("n", 7)]))  # type: ignore[arg-type]
    assert records[1] is failure
    assert [record.id for record in records] == ["0", "x", "2", "n"]
    assert records[3] == Failure("n", "TypeError", "the text is a int; a document's text is a str")


def test_reads_no_further_than_asked(extractor: Extractor) -> None:
    """A generator: the first record comes before an endless input is read."""

    def endless() -> object:
        number = 0
        while True:
            number += 1
            yield f"第{number}次会议" * 50

    assert next(extractor.extract(endless())).id == "0"  # type: ignore[arg-type]


def test_min_score_leaves_out_what_is_unsure(tiny_model: Path, extractor: Extractor) -> None:
    strict = Extractor.from_pretrained(tiny_model, device="cpu", dtype="float32", min_score=0.5)
    (kept,), (every,) = strict.extract(PAGES[2]), extractor.extract(PAGES[2])
    assert isinstance(kept, Record)
    assert isinstance(every, Record)
    assert {e for e in every.entities if e.score > 0.5001} <= set(kept.entities)
    assert all(entity.score >= 0.4999 for entity in kept.entities)


def test_by_default_the_unsure_is_left_out_unless_a_role_rests_on_it() -> None:
    entities = [Entity(n, n + 1, "x", label, score) for n, (label, score) in enumerate(
        [("ORG", 0.2), ("TITLE", 0.9), ("PER", 0.4), ("ORG", 0.3), ("TITLE", 0.1), ("PER", 0.5)]
    )]  # fmt: skip
    roles, rosters = [Role(2, 1, 0, 0.4), Role(2, 1, None, 0.4)], [Roster(4, 12, 0)]
    kept, new_roles, new_rosters = report(entities, roles, rosters, 0.5)
    assert kept == [entities[index] for index in (0, 1, 2, 4, 5)]
    assert new_roles == roles
    assert new_rosters == [Roster(3, 12, 0)]
    assert report(entities, [], [], 0.0) == (entities, [], [])


def test_an_unsure_character_says_nothing_of_the_persons_beside_it() -> None:
    words = [("大", "TITLE", 0.4), ("主教", "TITLE", 0.4), ("韦", "PER", 0.4), ("县", "ORG", 0.5)]
    entities = [Entity(0, len(text), text, label, score) for text, label, score in words]
    assert [entity.text for entity in without_strays(entities, 0.5)] == ["主教", "韦", "县"]


def test_nonsense_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ExtractorError, match="batch_tokens 0 is not a positive number of tokens"):
        Extractor.from_pretrained(tiny_model, batch_tokens=0)
    with pytest.raises(ExtractorError, match=r"batch_tokens 1.5 is not a positive number of tokens"):
        Extractor.from_pretrained(tiny_model, batch_tokens=1.5)  # type: ignore[arg-type]
    with pytest.raises(ExtractorError, match=r"min_score 2 is not a number between 0 and 1"):
        Extractor.from_pretrained(tiny_model, min_score=2)
    with pytest.raises(ExtractorError, match=r"device 0 is a int; it is a name, such as 'cpu' for a device"):
        Extractor.from_pretrained(tiny_model, device=0)  # type: ignore[arg-type]
    with pytest.raises(ExtractorError, match=r"revision 'v1' is of a model on the Hub; name one by its id"):
        Extractor.from_pretrained(tiny_model, revision="v1")


def test_what_is_no_text_is_refused(extractor: Extractor) -> None:
    for wrong in (PAGES[0].encode(), {"text": PAGES[0]}):
        with pytest.raises(
            TypeError, match=r"(bytes|dict) is no text; extract takes a str, a Document\(id, text\), or an"
        ):
            list(extractor.extract(wrong))  # type: ignore[arg-type]
    (failure,) = extractor.extract(Document(5, PAGES[0]))  # type: ignore[arg-type]
    assert failure == Failure("5", "TypeError", "the id is a int; a document's id is a str")
    with pytest.raises(TypeError, match="cannot be pickled; load one in each process"):
        pickle.dumps(extractor)


def overflowing(model: Path, folder: Path, weight: float, **config: str) -> Path:
    """The model with products that leave a precision's range; each weight is within it."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    for name in ("intermediate", "output"):
        weights[f"bert.encoder.layer.0.{name}.dense.weight"] *= weight
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


@pytest.mark.parametrize("config", [{}, {"hidden_act": "gelu_new"}], ids=["our own", "transformers"])
@pytest.mark.parametrize(
    ("weight", "dtype", "advice"),
    [
        (3e4, "float16", "choose --dtype float32"),
        (1e30, "bfloat16", "choose --dtype float32"),
        (1e30, "float32", "its weights are damaged, or too large: train it anew"),
    ],
)
def test_a_range_that_is_left_is_no_silence(
    tiny_model: Path, tmp_path: Path, config: dict[str, str], weight: float, dtype: str, advice: str
) -> None:
    folder = overflowing(tiny_model, tmp_path / "model", weight, **config)
    extractor = Extractor.from_pretrained(folder, device="cpu", dtype=dtype)
    sentence = rf"model: on cpu in {dtype} its results are not all numbers \(NaN or infinite\); {advice}$"
    with pytest.raises(ExtractorError, match=sentence):
        list(extractor.extract(PAGES))
    (page := tmp_path / "page.txt").write_text(PAGES[0], encoding="utf-8")
    command = ["extract", page, "-m", folder, "-o", tmp_path / "out.csv", "--device", "cpu", "--dtype", dtype]
    result = CliRunner().invoke(app, [*map(str, command)])
    assert (result.exit_code, (tmp_path / "out.csv").exists()) == (2, False)
    assert advice in result.stderr
    if dtype == "float16":
        assert not any(
            isinstance(r, Failure) for r in Extractor.from_pretrained(folder, dtype="float32").extract(PAGES)
        )


def test_a_sum_of_numbers_may_leave_the_range() -> None:
    class Large:
        name, device, dtype = "large", "cpu", "float32"

    _check_numbers(Large(), np.full((2, 27), 3e38, np.float32))  # type: ignore[arg-type]


def test_the_record_is_the_contract(extractor: Extractor) -> None:
    (record,) = extractor.extract(PAGES[0])
    assert list(record.to_dict()) == ["id", "text", "entities", "roles", "rosters", "event_types", "model", "schema"]
