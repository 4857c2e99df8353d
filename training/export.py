"""Write a model in ONNX, in float32 and in int8, and measure what either loses.

    python -m training.export MODEL [--output FOLDER] [--dtype float32|int8…] [--data DATA…] [--json FILE]
    python -m training.export MODEL --graph

MODEL is a folder, a Hub id, or `default` (the model in the package). Writes ``onnx/model.onnx``,
``onnx/model_quantized.onnx`` (the names that transformers.js looks for) and ``onnx/parity.json`` into MODEL, or into
FOLDER with the tokenizer and the configuration beside them. DATA is what `training.evaluate` takes; default:
data/original/dev. The JSON:

    {"model", "versions",
     "files": {"float32" | "int8":
         {"bytes",
          "logits": {"texts", "largest_difference"},            from torch in float32, over the texts of all DATA
          "sets": {name: {"documents", "documents_that_differ", "f1", "f1_torch"}}}}}

With ``--graph`` only ``onnx/graph.onnx`` is written: the network without its weights, which renshi then takes from
``model.safetensors``. A document differs where a span or its label does. Exit status 2 where the model
cannot be read or written.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.extractor import Extractor
from renshi.model import MODEL_FILES, ExtractorError, Model, TokenClassifier
from renshi.onnx_model import GRAPH_FILE, ONNX_FILES, WEIGHT_PREFIX, OnnxTokenClassifier, read_weights
from training import models
from training.evaluate import Judged, judge, read_data, set_names, span_counts
from training.metrics import score_of, span_of
from training.sources import Example, SourceError

__all__ = ["DATA", "PARITY", "export", "export_and_measure", "measure"]

OPSET = 18
"""LayerNormalization is one operator from 17 on; 18 is what torch's exporter is written for, and is read by every ONNX
Runtime of the last years, that of the browser included."""
PARITY = "onnx/parity.json"
DATA = "data/original/dev"


def export(folder: Path, output: Path, dtypes: Sequence[str] = tuple(ONNX_FILES)) -> None:
    """Write the ONNX files of the model in `folder` under `output`, in each of the precisions."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    (output / "onnx").mkdir(parents=True, exist_ok=True)
    model = _graph(folder)
    if "int8" in dtypes:
        with tempfile.TemporaryDirectory() as name, _quiet():
            whole = Path(name, "model.onnx")
            onnx.save(model, whole)
            # Seven bits: where a processor lacks VNNI, sums of 8-bit products overflow, and the figures measured on one
            # machine would not be those of another. A scale for each output channel costs nothing.
            quantize_dynamic(
                whole,
                output / ONNX_FILES["int8"],
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
            )
    if "float32" in dtypes:
        _halve(model)
        onnx.checker.check_model(model)
        onnx.save(model, output / ONNX_FILES["float32"])


def export_graph(folder: Path) -> Path:
    """Write ``onnx/graph.onnx`` into the model folder; returns its path."""
    import onnx

    model = _graph(folder, optimize=False)  # unoptimized, the weights have the names and shapes of model.safetensors
    sizes = {WEIGHT_PREFIX + name: weight.nbytes for name, weight in read_weights(folder / "model.safetensors")}
    for tensor in model.graph.initializer:
        if tensor.name in sizes:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "model.safetensors"), ("length", str(sizes.pop(tensor.name)))):
                tensor.external_data.add(key=key, value=value)
    if sizes:
        raise RuntimeError(f"{', '.join(sizes)}: not in the exported graph")
    target = folder / GRAPH_FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(model.SerializeToString())
    return target


def _graph(folder: Path, optimize: bool = True) -> Any:
    """The network as an ONNX model: input_ids and attention_mask (rows, tokens) to logits (rows, tokens, tags)."""
    import torch
    from transformers import AutoModelForTokenClassification

    class Logits(torch.nn.Module):
        """Two inputs, one output; a single text needs no token types."""

        def __init__(self) -> None:
            super().__init__()
            # The plain attention: the fused one is exported with guards against rows of nothing but padding.
            self.model = AutoModelForTokenClassification.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True, use_safetensors=True
            )

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            types = torch.zeros_like(input_ids)
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=types).logits

    ids = torch.full((2, 8), 2)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    sizes = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("tokens", min=2)}
    with _quiet():
        program = torch.onnx.export(
            Logits().eval(),
            (ids, mask),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
            external_data=False,
            optimize=optimize,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _strip(model)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about packages that are not installed and about its own deprecated parts."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if shown:
            transformers_logging.enable_progress_bar()


def _strip(model: Any) -> None:
    """Drop what the exporter notes beside the graph: stack traces, with the paths of the machine it ran on."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.value_info[:]  # inferred shapes: every runtime infers them anew


def _halve(model: Any) -> None:
    """Store each weight that bfloat16 holds exactly as bfloat16, and cast it when the model is loaded: half the size (a
    model folder's weights are bfloat16), not one bit different."""
    from onnx import TensorProto, helper

    casts = []
    for tensor in model.graph.initializer:
        bits = (
            np.frombuffer(tensor.raw_data, np.uint32)
            if tensor.data_type == TensorProto.FLOAT
            else np.ones(1, np.uint32)
        )
        if bits.size < 1000 or (bits & 0xFFFF).any():
            continue
        name, tensor.name = tensor.name, f"{tensor.name}.bfloat16"
        tensor.data_type = TensorProto.BFLOAT16
        tensor.raw_data = (bits >> 16).astype("<u2").tobytes()
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


# ── what it loses ────────────────────────────────────────────────────────────────────────────────────────────────────


class _Beside:
    """Two models as one that answers for the first, and keeps the largest difference between their logits."""

    def __init__(self, model: Model, other: Model) -> None:
        self.name, self.tokenizer, self.max_tokens, self.device = (
            model.name, model.tokenizer, model.max_tokens, model.device
        )  # fmt: skip
        self.calibration = model.calibration
        self._model, self._other = model, other
        self.difference = 0.0

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        wanted, got = self._model.logits(rows, pad_id), self._other.logits(rows, pad_id)
        self.difference = max(self.difference, float(np.abs(wanted - got).max()))
        return wanted


def measure(
    folder: Path, output: Path, sets: Mapping[str, Sequence[Example]], dtypes: Sequence[str] = tuple(ONNX_FILES)
) -> dict[str, Any]:
    """The figures of the ONNX files under `output` against torch in float32, as the module's docstring lays them out,
    without the model's name and the versions."""
    torch_model = TokenClassifier(folder, "torch", "cpu", "float32")
    wanted = {name: judge(Extractor(torch_model), examples) for name, examples in sets.items()}
    texts = [example.text for examples in sets.values() for example in examples]
    report: dict[str, Any] = {}
    for dtype in dtypes:
        model = OnnxTokenClassifier(output, dtype, "cpu", dtype)
        beside = _Beside(torch_model, model)
        for _ in Extractor(beside).extract(texts):
            pass
        report[dtype] = {
            "bytes": (output / ONNX_FILES[dtype]).stat().st_size,
            "logits": {"texts": len(texts), "largest_difference": float(f"{beside.difference:.2g}")},
            "sets": {
                name: _compared(wanted[name], judge(Extractor(model), examples)) for name, examples in sets.items()
            },
        }
    return {"files": report}


def _compared(wanted: Sequence[Judged], got: Sequence[Judged]) -> dict[str, Any]:
    def spans(item: Judged) -> list[Any]:
        return [span_of(entity) for entity in item.record.entities]

    return {
        "documents": len(wanted),
        "documents_that_differ": sum(spans(a) != spans(b) for a, b in zip(wanted, got, strict=True)),
        "f1": round(score_of(span_counts(got)).f1, 4),
        "f1_torch": round(score_of(span_counts(wanted)).f1, 4),
    }


def _versions() -> dict[str, str]:
    import onnxruntime
    import torch
    import transformers

    return {
        "torch": torch.__version__, "transformers": transformers.__version__, "onnxruntime": onnxruntime.__version__
    }  # fmt: skip


def export_and_measure(
    model: str, output: Path | None, data: Sequence[str], dtypes: Sequence[str] = tuple(ONNX_FILES)
) -> dict[str, Any]:
    """Both steps; writes ``onnx/parity.json`` and returns what it holds. Raises ExtractorError, SourceError, OSError."""
    folder = models.find(model)
    target = output or folder
    sets = {name: read_data(argument).examples for name, argument in zip(set_names(data), data, strict=True)}
    export(folder, target, dtypes)
    if target != folder:
        for name in MODEL_FILES:
            if name != "model.safetensors":
                shutil.copyfile(folder / name, target / name)
    name = models.title(model)
    report = {"model": name, "versions": _versions(), **measure(folder, target, sets, dtypes)}
    (target / PARITY).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def print_report(report: dict[str, Any]) -> None:
    """One line a file and set."""
    for dtype, file in report["files"].items():
        difference = file["logits"]["largest_difference"]
        print(
            f"{ONNX_FILES[dtype]}: {file['bytes'] / 1e6:.1f} MB; logits differ from torch's by at most {difference:g}"
        )
        for name, row in file["sets"].items():
            print(
                f"  {name}: micro F1 {row['f1']:.4f} (torch {row['f1_torch']:.4f}), "
                f"{row['documents_that_differ']} of {row['documents']} documents differ"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, Hub id, or default")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write there instead of into the model's folder")
    parser.add_argument("--dtype", nargs="+", choices=ONNX_FILES, default=list(ONNX_FILES), help="default: both")
    parser.add_argument("--data", nargs="+", default=[DATA], metavar="DATA", help=f"annotated texts (default: {DATA})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--graph", action="store_true", help="write only onnx/graph.onnx, into the model's folder")
    options = parser.parse_args(arguments)
    try:
        if options.graph:
            print(export_graph(models.find(options.model)))
            return 0
        report = export_and_measure(options.model, options.output, options.data, options.dtype)
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except (ExtractorError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except ImportError as error:
        print(f'{error.name} is not installed here; pip install -e ".[publish]"', file=sys.stderr)
        return 2
    print_report(report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
