"""The network in ONNX: what is exported, what it loses, and records without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from renshi import Document, Extractor, ExtractorError, Record
from renshi.model import PACKAGED_MODEL
from renshi.onnx_model import GRAPH_FILE, ONNX_FILES, OnnxTokenClassifier, read_weights
from tests.test_extractor import PAGES
from training.export import OPSET, PARITY, export, main

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "data/samples").glob("*.txt"))
TOLERANCE = 1e-3
"""How far scores may be from those of torch in float32."""


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder with ONNX files, made and measured by the command."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("exported") / "model"))
    data = tmp_path_factory.mktemp("data")
    for path in sorted((ROOT / "data/original/dev").glob("*.txt"))[:2]:
        shutil.copy(path, data)
    assert main([str(folder), "--data", str(data)]) == 0
    return folder


@pytest.fixture(scope="module")
def pair(exported: Path) -> tuple[Extractor, Extractor]:
    torch_extractor = Extractor.from_pretrained(exported, device="cpu", dtype="float32")
    return torch_extractor, Extractor.from_pretrained(exported, backend="onnx")


def assert_same(wanted: Record, got: Record) -> None:
    """Everything equal, scores to `TOLERANCE`."""

    def without_scores(record: Record) -> object:
        return json.loads(
            json.dumps(record.to_dict()), object_hook=lambda d: {k: v for k, v in d.items() if k != "score"}
        )

    def scores(record: Record) -> list[float]:
        return [item.score for part in (record.entities, record.roles, record.event_types) for item in part]

    assert without_scores(got) == without_scores(wanted)
    assert scores(got) == pytest.approx(scores(wanted), abs=TOLERANCE)


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_graph_is_what_is_documented(exported: Path) -> None:
    for name in ONNX_FILES.values():
        model = onnx.load(exported / name)
        onnx.checker.check_model(model)
        assert {item.domain: item.version for item in model.opset_import}[""] == OPSET
        shapes = {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)
        }
        assert shapes == {
            "input_ids": ["rows", "tokens"], "attention_mask": ["rows", "tokens"], "logits": ["rows", "tokens", 31]
        }  # fmt: skip


def test_the_files_say_nothing_of_the_machine_they_were_made_on(exported: Path) -> None:
    for name in ONNX_FILES.values():
        content = (exported / name).read_bytes()
        for word in (b"site-packages", b"Traceback", b"File ", str(ROOT).encode(), str(Path.home()).encode()):
            assert word not in content


def test_the_figures(exported: Path) -> None:
    report = json.loads((exported / PARITY).read_text(encoding="utf-8"))
    exact, quantized = report["files"]["float32"], report["files"]["int8"]
    assert exact["logits"]["largest_difference"] < 1e-4
    assert (
        1e-4 < quantized["logits"]["largest_difference"] < 10
    )  # random weights; those of the real model are in its card
    assert quantized["bytes"] < exact["bytes"]
    (row,) = exact["sets"].values()
    assert row["documents_that_differ"] == 0
    assert row["f1"] == row["f1_torch"]


def test_weights_that_bfloat16_holds_are_stored_in_it(tmp_path: Path) -> None:
    export(PACKAGED_MODEL, tmp_path, ["float32"])
    model = onnx.load(tmp_path / ONNX_FILES["float32"])
    sizes = {tensor.name: tensor.data_type for tensor in model.graph.initializer if len(tensor.raw_data) > 10_000}
    assert set(sizes.values()) == {onnx.TensorProto.BFLOAT16}


def test_a_graph_takes_its_weights_from_the_model_folder(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    assert main([str(folder), "--graph"]) == 0
    assert not (folder / ONNX_FILES["float32"]).exists()
    extractors = (
        Extractor.from_pretrained(folder, device="cpu", dtype="float32"),
        Extractor.from_pretrained(folder, backend="onnx"),
    )
    for wanted, got in zip(*(extractor.extract(PAGES) for extractor in extractors), strict=True):
        assert_same(wanted, got)
    weights = load_file(folder / "model.safetensors")
    for name in ("intermediate", "output"):
        weights[f"bert.encoder.layer.0.{name}.dense.weight"] *= 1e30
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExtractorError, match="on cpu in float32 its results are not all numbers"):
        list(Extractor.from_pretrained(folder, backend="onnx").extract(PAGES))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ExtractorError, match=r"graph.onnx: the model cannot be loaded"):
        Extractor.from_pretrained(folder, backend="onnx")
    (folder / GRAPH_FILE).unlink()
    with pytest.raises(ExtractorError, match=r"lacks onnx/model.onnx"):
        Extractor.from_pretrained(folder, backend="onnx")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reads_weights_as_safetensors_does(dtype: torch.dtype, tmp_path: Path) -> None:
    wanted = {"a": torch.randn(3, 5).to(dtype), "b": torch.randn(7).to(dtype)}
    save_file(wanted, tmp_path / "w.safetensors", metadata={"format": "pt"})
    got = dict(read_weights(tmp_path / "w.safetensors"))
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (got[name] == tensor.float().numpy()).all()


def test_what_cannot_be_exported_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    assert "there is no such model folder" in capsys.readouterr().err


# ── the records ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_records_as_torch(pair: tuple[Extractor, Extractor]) -> None:
    for wanted, got in zip(*(extractor.extract(PAGES) for extractor in pair), strict=True):
        assert isinstance(wanted, Record)
        assert isinstance(got, Record)
        assert_same(wanted, got)


@settings(deadline=None, max_examples=10)
@given(pages=st.lists(st.text(st.characters(), max_size=100), max_size=4))
def test_the_same_records_of_any_texts(pair: tuple[Extractor, Extractor], pages: list[str]) -> None:
    for wanted, got in zip(*(extractor.extract(pages) for extractor in pair), strict=True):
        assert_same(wanted, got)  # type: ignore[arg-type]


def test_the_packaged_model_gives_the_same_records() -> None:
    pages = [Document(path.stem, path.read_text(encoding="utf-8")) for path in SAMPLES if path.stat().st_size < 4000]
    assert len(pages) == 6
    reference = Extractor.from_pretrained(device="cpu", dtype="float32")
    for wanted, got in zip(
        reference.extract(pages), Extractor.from_pretrained(backend="onnx").extract(pages), strict=True
    ):
        assert_same(wanted, got)  # type: ignore[arg-type]


def test_int8_reads_much_the_same(exported: Path, pair: tuple[Extractor, Extractor]) -> None:
    quantized = Extractor.from_pretrained(exported, backend="onnx", dtype="int8")

    def spans(extractor: Extractor) -> set[tuple[int, int, str]]:
        return {(e.start, e.end, e.label) for e in next(extractor.extract(PAGES[2])).entities}  # type: ignore[union-attr]

    wanted, got = spans(pair[0]), spans(quantized)
    assert len(wanted & got) > len(wanted | got) / 2


# ── without torch ────────────────────────────────────────────────────────────────────────────────────────────────────

BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "safetensors", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
sys.argv = ["renshi", *sys.argv[1:]]
from renshi.cli import main
main()
"""


def run_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_the_command_needs_neither_torch_nor_transformers() -> None:
    page = str(ROOT / "data/samples/traditional.txt")
    result = run_without_torch("extract", "--backend", "onnx", page)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    (wanted,) = Extractor.from_pretrained(dtype="float32", device="cpu").extract(
        Document(page, Path(page).read_text(encoding="utf-8"))
    )
    assert isinstance(wanted, Record)
    got = json.loads(result.stdout)
    assert [(e["start"], e["end"], e["label"]) for e in got["entities"]] == [
        (e.start, e.end, e.label) for e in wanted.entities
    ]
    assert len(got["entities"]) > 5


def test_without_torch_the_other_backend_is_named() -> None:
    result = run_without_torch("extract", str(SAMPLES[0]))
    assert result.returncode == 2
    assert "backend torch: torch is not installed here; choose backend onnx (--backend onnx)" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_onnxruntime_the_extra_is_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExtractorError, match=r'onnxruntime is not installed here; pip install "renshi\[onnx\]"'):
        Extractor.from_pretrained(exported, backend="onnx")


def test_the_requirements_of_the_small_installation_are_those_of_the_package() -> None:
    """requirements-onnx.txt: pyproject's, less torch and transformers, with the extra onnx."""
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        *(line for line in project["dependencies"] if not line.startswith(("torch", "transformers"))),
        *project["optional-dependencies"]["onnx"],
    }
    lines = (ROOT / "requirements-onnx.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_without_onnx_says_how_to_make_it(tiny_model: Path) -> None:
    with pytest.raises(
        ExtractorError, match=r"lacks onnx/model.onnx; .*make it in a checkout: python -m training.export MODEL"
    ):
        Extractor.from_pretrained(tiny_model, backend="onnx")


def test_nonsense_is_refused(exported: Path) -> None:
    with pytest.raises(ExtractorError, match="backend 'tf' is unknown; backends are torch, onnx"):
        Extractor.from_pretrained(exported, backend="tf")
    with pytest.raises(ExtractorError, match="dtype 'bfloat16': the backend onnx has auto, float32, int8"):
        Extractor.from_pretrained(exported, backend="onnx", dtype="bfloat16")
    with pytest.raises(ExtractorError, match="device 'cuda': the backend onnx runs on the CPU"):
        Extractor.from_pretrained(exported, backend="onnx", device="cuda")


def test_a_damaged_file_is_named(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / ONNX_FILES["float32"]).write_bytes(b"not a network")
    with pytest.raises(ExtractorError, match=r"model.onnx: the model cannot be loaded \(.*is the file complete\?"):
        OnnxTokenClassifier(folder, "x")
