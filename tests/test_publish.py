"""A model's way to the Hub and back: the real client, over real HTTP, to a server on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from renshi import Extractor, ExtractorError, Record
from renshi.labels import LABELS
from renshi.model import MODEL_FILES, PACKAGED_MODEL
from tests.conftest import make_model
from tests.hub_server import TOKEN, HubServer, serving
from tests.test_extractor import PAGES
from training.publish import CHECKSUMS, PUBLISHED, PublishError, card_problems, main, pictures, prepare, upload

ROOT = Path(__file__).parents[1]
REPO = "kong/renshi-tiny"
PICTURE = "images/f1.png"
CARD = """---
language: zh
license: apache-2.0
library_name: transformers
pipeline_tag: token-classification
---

# Tiny

See [the guidelines](docs/guidelines.md), [docs/labels.md](docs/labels.md#titles), [the configuration](config.json), [the Hub](https://huggingface.co).
![F1](images/f1.png) ![Elsewhere](https://example.org/a.png)
`pipeline("token-classification", model="FOLDER")`
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_model(tmp_path_factory.mktemp("tiny") / "model")
    (made / "README.md").write_text(CARD, encoding="utf-8")
    (made / "images").mkdir()
    (made / PICTURE).write_bytes(b"a picture")
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "a.txt"
    path.write_text("{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def dry(folder: Path, data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What --dry-run writes."""
    target = tmp_path_factory.mktemp("dry") / "published"
    assert main([str(folder), "--dry-run", str(target), "--repo-id", REPO, "--data", data]) == 0
    return target


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A server that the client in this process takes for the Hub, with an empty cache."""
    with serving() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.endpoint)
        template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def spans(record: object) -> list[tuple[int, int, str]]:
    assert isinstance(record, Record)
    return [(entity.start, entity.end, entity.label) for entity in record.entities]


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_folder_holds_the_documented_files(dry: Path) -> None:
    files = {path.relative_to(dry).as_posix() for path in dry.rglob("*") if path.is_file()}
    assert files == {*PUBLISHED, PICTURE}
    assert (dry / PICTURE).read_bytes() == b"a picture"
    assert (dry / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_checksums_are_right(dry: Path) -> None:
    rows = [line.split("  ") for line in (dry / CHECKSUMS).read_text(encoding="utf-8").splitlines()]
    assert {name for _, name in rows} == {*PUBLISHED, PICTURE} - {CHECKSUMS}
    assert all(hashlib.sha256((dry / name).read_bytes()).hexdigest() == digest for digest, name in rows)


def test_the_card_reads_right_outside_the_repository(dry: Path) -> None:
    text = (dry / "README.md").read_text(encoding="utf-8")
    assert (
        "See the guidelines (`docs/guidelines.md` in renshi's repository), docs/labels.md, [the configuration](config.json)"
        in text
    )
    assert "![F1](images/f1.png)" in text
    assert "[the Hub](https://huggingface.co)" in text
    assert f'model="{REPO}"' in text
    figures = json.loads((dry / "onnx/parity.json").read_text(encoding="utf-8"))["files"]
    assert f"| onnx/model.onnx | {figures['float32']['bytes'] / 1e6:.1f} |" in text
    assert f"| {figures['int8']['logits']['largest_difference']:g} |" in text


def test_a_full_folder_is_not_written_into(folder: Path, dry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--dry-run", str(dry)]) == 2
    assert "published: is not empty; name a new folder" in capsys.readouterr().err


# ── the card of the packaged model ───────────────────────────────────────────────────────────────────────────────────


def test_the_packaged_models_card_is_good() -> None:
    text = (ROOT / "model_card.md").read_text(encoding="utf-8")
    assert list(card_problems(text)) == []
    shown, missing = pictures(text, PACKAGED_MODEL)
    assert shown
    assert not missing
    head = ModelCard(text).data.to_dict()
    name, results = model_index_to_eval_results(head["model-index"])
    assert name == "renshi-default"
    committed = json.loads((ROOT / "results/default.json").read_text(encoding="utf-8"))["sets"]["original/test"][
        "spans"
    ]
    published = {r.metric_name: r.metric_value for r in results if r.dataset_type == "original"}
    assert {label: published[f"strict F1 of {label}"] for label in LABELS} == {
        label: committed[label]["f1"] for label in LABELS
    }
    assert len(head["widget"]) >= 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\nlanguage", "language", "begins with no head of metadata"),
        ("language: zh\n", "", "says no language, such as language: zh"),
        ("license: apache-2.0\n", "", "says no license, such as license: apache-2.0"),
        ("token-classification", "text-classification", "pipeline_tag is 'text-classification'; should be"),
        ("language: zh", "language: [zh", "its head is not the Hub's metadata (ParserError:"),
        ("language: zh", "language: zh\nwidget:\n  - text: ''", "the widget's example {'text': ''} has no text"),
        ("language: zh", "language: zh\nmodel-index: 7", "its head is not the Hub's metadata"),
    ],
)
def test_what_is_wrong_with_a_card_is_said(old: str, new: str, message: str) -> None:
    assert old in CARD
    assert any(message in problem for problem in card_problems(CARD.replace(old, new)))


def test_a_model_without_a_good_card_is_not_published(tmp_path: Path) -> None:
    made = make_model(tmp_path / "model")
    with pytest.raises(PublishError, match=r"model: lacks README.md, the card; training.train writes one"):
        prepare(str(made), tmp_path / "out")
    (made / "README.md").write_text(CARD.replace("license: apache-2.0\n", ""), encoding="utf-8")
    with pytest.raises(PublishError, match=r"README.md: says no license"):
        prepare(str(made), tmp_path / "out")
    (tmp_path / "secret.png").write_bytes(b"")
    (made / "README.md").write_text(CARD.replace(PICTURE, "../secret.png"), encoding="utf-8")
    with pytest.raises(PublishError, match=r"README.md: shows ../secret.png, which is not there"):
        prepare(str(made), tmp_path / "out")


# ── there and back ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_published_and_read_back(
    hub: HubServer, folder: Path, dry: Path, data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([str(folder), "--repo-id", REPO, "--revision", "v1", "--private", "--data", data]) == 0
    repo = hub.repos[REPO]
    uploaded = repo.commits[repo.branches["v1"]]
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.endpoint}/{REPO}/commit/{repo.branches['v1']}"
    assert repo.private
    assert {
        name: hashlib.sha256(content).hexdigest() for name, content in uploaded.items() if name != ".gitattributes"
    } == {name: hashlib.sha256((dry / name).read_bytes()).hexdigest() for name in (*PUBLISHED, PICTURE)}, (
        "what --dry-run writes is what is uploaded, to the byte"
    )
    assert "model.safetensors" not in repo.commits[repo.branches["main"]]

    expected = [spans(record) for record in Extractor.from_pretrained(folder, dtype="float32").extract(PAGES)]
    hub.requests.clear()
    fetched = Extractor.from_pretrained(REPO, revision="v1", dtype="float32")
    assert [spans(record) for record in fetched.extract(PAGES)] == expected
    assert fetched.model_name == REPO
    assert hub.downloaded() == {*MODEL_FILES, "README.md"}  # nothing of onnx/

    with pytest.raises(ExtractorError, match=f"{REPO}: .*could not be fetched .RevisionNotFoundError"):
        Extractor.from_pretrained(REPO, revision="v9")
    with pytest.raises(ExtractorError, match=f"{REPO}: lacks config.json, .*onnx/model.onnx; a model folder holds"):
        Extractor.from_pretrained(REPO, backend="onnx")  # main, where nothing is

    hub.requests.clear()
    page = tmp_path / "page.txt"
    page.write_text(PAGES[0], encoding="utf-8")
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"
    }  # fmt: skip
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        environment.pop(name, None)
    command = [
        sys.executable,
        "-m",
        "renshi",
        "extract",
        "-m",
        REPO,
        "--revision",
        "v1",
        "--backend",
        "onnx",
        str(page),
    ]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert [(e["start"], e["end"], e["label"]) for e in json.loads(result.stdout)["entities"]] == expected[0]
    assert hub.downloaded() == {*MODEL_FILES, "README.md", "onnx/model.onnx"} - {"model.safetensors"}


def test_publishing_again_uploads_nothing_twice(hub: HubServer, dry: Path) -> None:
    upload(dry, REPO)
    objects = len(hub.objects)
    assert objects > 0
    hub.requests.clear()
    upload(dry, REPO)
    assert not [path for method, path in hub.requests if method == "PUT"]
    assert len(hub.objects) == objects
    assert {sibling.rfilename for sibling in HfApi().model_info(REPO).siblings or ()} == {
        *PUBLISHED,
        PICTURE,
        ".gitattributes",
    }


def test_without_a_token_the_command_says_how_to_log_in(
    hub: HubServer, dry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        PublishError, match=rf"{REPO}: the Hub refuses the upload .*; log in with hf auth login, or set HF"
    ):
        upload(dry, REPO)
    assert hub.repos == {}


def test_a_hub_that_is_not_there(hub: HubServer, dry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PublishError, match=rf"{REPO}: could not be uploaded .*; check the name and the connection"):
        upload(dry, REPO)


def test_where_to_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["default"])
    assert stopped.value.code == 2
    assert "give --repo-id user/name, or --dry-run FOLDER" in capsys.readouterr().err
