"""renshi inside other tools: the same records, in their forms."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renshi import Document, Entity, EventType, Extractor, Failure, Record, Role, Roster, to_dataframe, to_dataframes
from renshi.frames import TABLES, need
from renshi.labels import LABELS

from .conftest import TEXT

RECORD = Record(
    id="a",
    text="😀省学会会长王进龙出席成立大会",
    entities=[
        Entity(1, 4, "省学会", "ORG", 0.9), Entity(4, 6, "会长", "TITLE", 0.8), Entity(6, 9, "王进龙", "PER", 0.7),
        Entity(11, 15, "成立大会", "EVENT.FOUNDING", 0.6),
    ],
    roles=[Role(2, 1, 0, 0.5), Role(2, 1, None, 0.4)],
    rosters=[Roster(1, 12, 3)],
    event_types=[EventType("FOUNDING", 0.6)],
    model="m",
)  # fmt: skip
FAILURE = Failure("b", "OSError", "b: cannot be read")
TEXTS = [TEXT, "", "白敏、李毅等12名同志任副主任委员。😀\nJohn Smith说", "省学会会长王进龙 出席"]


@pytest.fixture(scope="module")
def extractor(tiny_model: Path) -> Extractor:
    return Extractor.from_pretrained(tiny_model, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def records(extractor: Extractor) -> list[Record | Failure]:
    return list(extractor.extract(TEXTS))


# Tables


def rows(frame: Any, backend: str) -> list[dict[str, Any]]:
    if backend == "polars":
        return frame.to_dicts()
    import pandas

    return [{k: None if pandas.isna(v) else v for k, v in row.items()} for row in frame.to_dict("records")]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_tables_hold_the_records(backend: str) -> None:
    pytest.importorskip(backend)
    tables = {name: rows(frame, backend) for name, frame in to_dataframes([RECORD, FAILURE], backend=backend).items()}
    assert [(row["document"], row["event_type"], row["error"]) for row in tables["documents"]] == [
        ("a", "FOUNDING", None), ("b", None, "b: cannot be read"),
    ]  # fmt: skip
    assert [RECORD.text[row["start"] : row["end"]] for row in tables["entities"]] == [e.text for e in RECORD.entities]
    first, second = tables["roles"]
    assert [RECORD.text[first[f"{part}_start"] : first[f"{part}_end"]] for part in ("person", "title", "organization")] == [
        "王进龙", "会长", "省学会",
    ]  # fmt: skip
    assert (second["person"], second["organization"], second["organization_start"]) == ("王进龙", None, None)
    assert tables["rosters"] == [
        {"document": "a", "title": "会长", "claimed": 12, "found": 3, "title_start": 4, "title_end": 6}
    ]
    assert tables["event_types"] == [{"document": "a", "rank": 0, "event_type": "FOUNDING", "score": 0.6}]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_nothing_has_the_types_of_a_full_one(kind: str, backend: str) -> None:
    pytest.importorskip(backend)
    assert list(to_dataframe([], kind, backend).dtypes) == list(to_dataframe([RECORD], kind, backend).dtypes)


def test_failures_are_told_where_no_row_can_tell_them() -> None:
    with pytest.warns(UserWarning, match='^1 document failed and left no row here; the table "documents"') as told:
        to_dataframe([RECORD, FAILURE], "roles")
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_dataframe([RECORD, FAILURE], "documents")
        to_dataframes([RECORD, FAILURE])


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_what_no_column_can_hold_is_replaced_one_for_one(backend: str) -> None:
    broken = Record("a\ud800", "\udc00王", [Entity(1, 2, "王", "PER", 1.0)])
    frames = {name: rows(frame, backend) for name, frame in to_dataframes([broken], backend=backend).items()}
    assert (frames["documents"][0]["document"], frames["documents"][0]["text"]) == ("a?", "?王")


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^there is no table 'role'; tables are documents, entities, roles, "):
        to_dataframe([], "role")
    with pytest.raises(ValueError, match=r"^there is no backend 'arrow'; backends are pandas, polars$"):
        to_dataframe([], backend="arrow")
    with pytest.raises(TypeError, match=r"^a str is no record; give what Extractor.extract\(\) yields$"):
        to_dataframe(["text"])  # type: ignore[list-item]


def test_what_is_not_installed_is_told() -> None:
    with pytest.raises(ImportError, match=r'^no_such is not installed: pip install "renshi\[extra\]"$'):
        need("no_such.module", "extra")


def test_importing_the_tables_needs_neither_pandas_nor_torch() -> None:
    code = (
        "import sys, renshi; renshi.to_dataframe; print([m for m in ('pandas', 'polars', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# datasets


@pytest.fixture(autouse=True, scope="module")
def _quiet_datasets() -> None:
    pytest.importorskip("datasets").disable_progress_bars()


def batch_extractor(model: Path, **options: Any) -> Any:
    from renshi.integrations.datasets import BatchExtractor

    return BatchExtractor(model, device="cpu", dtype="float32", **options)


def test_a_data_set_gets_the_records(tiny_model: Path, records: list[Record]) -> None:
    from datasets import Dataset

    extract = batch_extractor(tiny_model)
    dataset = Dataset.from_dict({"text": ["", *TEXTS, None, "a\n"]})
    # One row a batch: the first has no entity, from which Arrow could not tell the column's type.
    mapped = dataset.map(extract, batched=True, batch_size=1, features=extract.features(dataset.features))
    for row, record in zip(list(mapped)[1:5], records, strict=True):
        expected = record.to_dict()
        assert {key: row[key] for key in ("text", "entities", "roles", "rosters", "event_types")} == {
            key: expected[key] for key in ("text", "entities", "roles", "rosters", "event_types")
        }
    assert mapped[5]["error"] == "the text is a NoneType; a document's text is a str"
    assert mapped[5]["entities"] == []
    assert any(record.roles for record in records) or any(record.entities for record in records)


def test_the_cache_key_is_of_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    from datasets.fingerprint import Hasher

    from .conftest import make_model

    first, again = batch_extractor(tiny_model), batch_extractor(tiny_model)
    again({"text": [TEXT]})  # loaded or not is the same
    assert Hasher.hash(first) == Hasher.hash(again)
    assert Hasher.hash(first) != Hasher.hash(batch_extractor(tiny_model, min_score=0.5))
    folder = make_model(tmp_path / "model")
    one = Hasher.hash(batch_extractor(folder))
    make_model(folder, seed=1)
    assert Hasher.hash(batch_extractor(folder)) != one


def test_columns_that_are_there_are_not_overwritten(tiny_model: Path) -> None:
    extract = batch_extractor(tiny_model)
    message = r'the data set has columns entities, error already; name the new ones by prefix="renshi_"'
    with pytest.raises(ValueError, match=message):
        extract({"text": [""], "entities": [[]], "error": [None]})
    with pytest.raises(ValueError, match=message):
        extract.features({"text": None, "entities": None, "error": None})
    prefixed = batch_extractor(tiny_model, prefix="renshi_", text="body")({"body": [""], "entities": [[]]})
    assert next(iter(prefixed)) == "renshi_entities"
    with pytest.raises(ValueError, match=r"there is no column 'text'; name one of body: text="):
        extract({"body": [""]})
    with pytest.raises(ValueError, match="features are unknown"):
        extract.features(None)


# spaCy


@pytest.fixture(scope="module")
def nlp(tiny_model: Path) -> Any:
    nlp = pytest.importorskip("spacy").blank("zh")
    nlp.add_pipe("renshi", config={"model": str(tiny_model), "device": "cpu", "dtype": "float32"})
    return nlp


def spans(doc: Any) -> list[tuple[int, int, str, str]]:
    return [(span.start_char, span.end_char, span.text, span.label_) for span in doc.ents]


def expected(record: Record) -> list[tuple[int, int, str, str]]:
    return [(entity.start, entity.end, entity.text, entity.label) for entity in record.entities]


def test_spacy_docs_hold_the_records(nlp: Any, records: list[Record]) -> None:
    docs = list(nlp.pipe(TEXTS, batch_size=2))
    assert [spans(doc) for doc in docs] == [expected(record) for record in records]
    assert [spans(nlp(text)) for text in TEXTS] == [spans(doc) for doc in docs]
    for doc, record in zip(docs, records, strict=True):
        assert [e._.renshi_score for e in doc.ents] == [entity.score for entity in record.entities]
        assert [(r.person.text, r.title.text, r.organization and r.organization.text) for r in doc._.roles] == [
            (
                *(record.entities[i].text for i in (r.person, r.title)),
                None if r.organization is None else record.entities[r.organization].text,
            )
            for r in record.roles
        ]
        assert doc._.event_types == [(event.type, event.score) for event in record.event_types]
        assert doc._.renshi["unaligned"] == 0
    assert nlp.get_pipe("renshi").unaligned == 0
    assert nlp.make_doc("x")._.roles == []


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("省学会长王进龙,，。 \n\t\u3000\u200bAb1😀e\u0301𠮷(xié)"), max_size=40), max_size=32
    )
)
def test_every_entity_aligns_with_the_chinese_tokenizer(nlp: Any, extractor: Extractor, texts: list[str]) -> None:
    for doc, text, record in zip(nlp.pipe(texts), texts, extractor.extract(texts), strict=True):
        assert isinstance(record, Record)
        assert doc.text == text
        assert spans(doc) == expected(record)


@pytest.mark.parametrize("mode", ["strict", "contract", "expand"])
def test_what_does_not_align_is_counted(mode: str, records: list[Record], tiny_model: Path) -> None:
    import spacy

    nlp = spacy.blank("xx")  # whole clauses are tokens
    config = {"model": str(tiny_model), "device": "cpu", "dtype": "float32", "alignment_mode": mode}
    component = nlp.add_pipe("renshi", config=config)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        docs = list(nlp.pipe(TEXTS))
    for doc, record in zip(docs, records, strict=True):
        assert len(doc.ents) + doc._.renshi["unaligned"] == len(record.entities)
        assert len(doc._.roles) == len(record.roles)
        if mode == "strict":
            assert set(spans(doc)) <= set(expected(record))
    assert component.unaligned == sum(doc._.renshi["unaligned"] for doc in docs) > 0
    assert len([warning for warning in told if "left out of doc.ents" in str(warning.message)]) == 1


def test_entities_of_earlier_components_stay_where_there_is_room(nlp: Any, records: list[Record]) -> None:
    doc = nlp.make_doc(TEXTS[0])
    free = next(i for i in range(len(doc)) if not any(e.start <= i < e.end for e in records[0].entities))
    taken = records[0].entities[0]
    doc.ents = [
        doc.char_span(free, free + 1, label="EARLIER"), doc.char_span(taken.start, taken.start + 1, label="EARLIER"),
    ] if free != taken.start else []  # fmt: skip
    nlp.get_pipe("renshi")(doc)
    assert [span for span in spans(doc) if span[3] == "EARLIER"] == [(free, free + 1, TEXTS[0][free], "EARLIER")]
    assert [span for span in spans(doc) if span[3] != "EARLIER"] == expected(records[0])


def test_a_saved_pipeline_needs_nothing_else(tmp_path: Path, records: list[Record]) -> None:
    import shutil

    import spacy

    from .conftest import make_model

    model = make_model(tmp_path / "model")
    nlp = spacy.blank("zh")
    nlp.add_pipe("renshi", config={"model": str(model), "device": "cpu", "dtype": "float32"})
    before = spans(nlp(TEXT))
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(model)
    loaded = spacy.load(tmp_path / "pipeline")
    assert spans(loaded(TEXT)) == before == expected(records[0])
    loaded.to_disk(tmp_path / "pipeline")  # over itself
    assert spans(spacy.load(tmp_path / "pipeline")(TEXT)) == before


def test_doc_bins_keep_the_record(nlp: Any) -> None:
    from spacy.tokens import DocBin

    doc = nlp(TEXT)
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    [again] = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert spans(again) == spans(doc)
    assert json.dumps(again._.renshi) == json.dumps(doc._.renshi)  # but for tuples in the place of lists


def test_wrong_alignment_is_refused() -> None:
    import spacy

    with pytest.raises(
        ValueError, match=r"^alignment_mode 'outside' is unknown; it is one of strict, contract, expand$"
    ):
        spacy.blank("zh").add_pipe("renshi", config={"alignment_mode": "outside"})


def test_the_entry_point_is_declared() -> None:
    """`add_pipe("renshi")` works without importing renshi first."""
    from renshi.integrations.spacy import create_component

    [entry] = entry_points(group="spacy_factories", name="renshi")
    assert entry.load() is create_component


# scikit-learn


def estimator(model: Path, **options: Any) -> Any:
    pytest.importorskip("sklearn")
    from renshi.integrations.sklearn import EntityExtractor

    return EntityExtractor(str(model), device="cpu", dtype="float32", **options)


def test_scikit_learn_counts(tiny_model: Path, records: list[Record]) -> None:
    counts = estimator(tiny_model).transform(TEXTS)  # no fit needed
    assert counts.shape == (len(TEXTS), len(LABELS) + 1)
    assert counts.dtype == np.int64
    assert counts[:, :-1].sum(axis=1).tolist() == [len(record.entities) for record in records]
    assert counts[:, -1].tolist() == [len(record.roles) for record in records]
    frame = estimator(tiny_model).set_output(transform="pandas").fit_transform(TEXTS)
    assert list(frame.columns) == [*LABELS, "ROLE"]
    assert frame["PER"].tolist() == [sum(e.label == "PER" for e in record.entities) for record in records]
    assert estimator(tiny_model).transform([]).shape == (0, len(LABELS) + 1)


def test_scikit_learn_manners(tiny_model: Path, records: list[Record]) -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    one = estimator(tiny_model)
    assert one.predict(TEXTS) == records
    copy = clone(one).set_params(min_score=1.0)
    assert copy.get_params()["min_score"] == 1.0
    assert not any(record.entities for record in copy.predict(TEXTS))
    one.set_params(min_score=1.0)  # after a use
    assert one.predict(TEXTS) == copy.predict(TEXTS)
    pipeline = make_pipeline(estimator(tiny_model), LogisticRegression())
    assert len(pipeline.fit(TEXTS, [0, 1, 0, 1]).predict(TEXTS)) == len(TEXTS)


def test_scikit_learn_refuses_what_is_no_list_of_texts(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"^X is a str; give a list of documents: \[text\]$"):
        estimator(tiny_model).transform("text")
    with pytest.raises(ValueError, match=r"^document 1: the text is a float; a document's text is a str$"):
        estimator(tiny_model).transform(["a", float("nan")])
    assert isinstance(estimator(tiny_model).predict([Document("x", "a"), None])[1], Failure)
