"""How fast engines read pages: renshi's, and what else runs a BERT token classifier, side by side in one run.

    python scripts/benchmark.py [--quick] [--json FILE] [--pages PATH …] [--sizes default base]

Engines take turns, so that a busy minute hurts all of them; medians are compared, as ratios. Measured with them, in the
same run and precision: this machine's own ceiling, which is the fastest of some large matrix products.

* `renshi …`, `onnx …`, `openvino …`: the same windows, batches, decoding and roles, and the network run by our forward
  pass, by ONNX Runtime, by OpenVINO. They make whole records.
* `pipeline …`: the token-classification pipeline of transformers at several batch sizes, with a stride, so that it
  truncates nothing. It finds spans only, in texts normalized for it beforehand, and outside the measured time.

Pages are those of this project's own corpus and of `--pages` (files, or folders of .txt). Where they do not suffice they
are read again, changed in every sentence, since renshi reads the same window only once.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import logging
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from renshi import Extractor, Record
from renshi.bert import places
from renshi.markup import read_markup
from renshi.model import TOKENIZER_FILES, Model, find_model, pad_rows, supports_bfloat16
from renshi.text import normalize

Span = tuple[int, int, str]
Engine = Callable[[Sequence[str]], list[set[Span]]]
"""Reads pages; the spans of each, in its raw text."""

ROOT = Path(__file__).parents[1]
SIZES = ("default", "base")
PRODUCTS = ((1024, 1024, 1024), (2048, 768, 3072), (4096, 256, 1024))
"""(rows, inner, columns) of the matrix products whose fastest is the ceiling."""


@dataclass
class Meter:
    """What passes through a network: time in it, tokens with and without padding, floating-point operations."""

    seconds: float = 0.0
    tokens: int = 0
    padded: int = 0
    operations: float = 0.0

    @property
    def padding(self) -> float:
        return 1 - self.tokens / self.padded if self.padded else 0.0


class Metered:
    """A model that notes in a `Meter` what it does. `places`: how many tokens it computes for rows of such lengths."""

    def __init__(self, model: Model, config: Mapping[str, int], places: Callable[[Sequence[int]], int]) -> None:
        self.name, self.tokenizer, self.max_tokens = model.name, model.tokenizer, model.max_tokens
        self.device, self.calibration = model.device, model.calibration
        self.packs_rows = getattr(model, "packs_rows", False)
        self.meter = Meter()
        self._model, self._config, self._places = model, config, places

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        started = time.perf_counter()
        logits = self._model.logits(rows, pad_id)
        self.meter.seconds += time.perf_counter() - started
        lengths = [len(row) for row in rows]
        self.meter.tokens += sum(lengths)
        self.meter.padded += self._places(lengths)
        self.meter.operations += operations(lengths, self._config)
        return logits


def operations(lengths: Sequence[int], config: Mapping[str, int]) -> float:
    """Floating-point operations of the products in a BERT, padding not counted: two for each multiplication."""
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    linear = 2 * (4 * hidden * hidden + 2 * hidden * inner)
    return float(sum(layers * (linear * n + 4 * hidden * n * n) for n in lengths))


class OpenVino:
    """The same network run by OpenVINO, as an `Extractor` wants one."""

    def __init__(self, folder: Path, like: Model, dtype: str) -> None:
        import openvino
        from transformers import AutoModelForTokenClassification

        self.name, self.tokenizer, self.max_tokens = like.name, like.tokenizer, like.max_tokens
        self.device, self.calibration = "cpu", like.calibration
        network = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
        ids = torch.ones(2, 16, dtype=torch.int64)
        example = {"input_ids": ids, "attention_mask": ids}
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = openvino.Core().compile_model(openvino.convert_model(network, example_input=example), "CPU", options)
        self._request = compiled.create_infer_request()

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        ids, real = pad_rows(rows, pad_id)
        self._request.infer({"input_ids": ids, "attention_mask": real.astype(np.int64)})
        found: NDArray[np.float32] = self._request.get_output_tensor(0).data[real]
        return found


# ── engines ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Measured:
    """An engine and what was measured of it."""

    engine: Engine
    dtype: str
    meter: Callable[[], Meter]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    passed: Meter = field(default_factory=Meter)
    spans: list[set[Span]] = field(default_factory=list)


def padded(lengths: Sequence[int]) -> int:
    return max(lengths) * len(lengths)


def extractor_engine(
    model: Model, config: Mapping[str, int], places: Callable[[Sequence[int]], int] = padded
) -> tuple[Engine, Callable[[], Meter]]:
    metered = Metered(model, config, places)
    extractor = Extractor(metered)

    def read(pages: Sequence[str]) -> list[set[Span]]:
        records = list(extractor.extract(pages))
        return [{(e.start, e.end, e.label) for e in r.entities} if isinstance(r, Record) else set() for r in records]

    return read, lambda: metered.meter


def pipeline_engine(
    folder: Path, config: Mapping[str, int], dtype: str, batch_size: int
) -> tuple[Engine, Callable[[], Meter]]:
    from transformers import pipeline

    pipe = pipeline(
        "token-classification", model=str(folder), dtype=getattr(torch, dtype), device="cpu",
        aggregation_strategy="simple", stride=32, batch_size=batch_size,
    )  # fmt: skip
    meter = Meter()
    forward = pipe.model.forward

    def metered(**inputs: Any) -> Any:
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        started = time.perf_counter()
        found = forward(**inputs)
        meter.seconds += time.perf_counter() - started
        meter.tokens += sum(lengths)
        meter.padded += inputs["input_ids"].numel()
        meter.operations += operations(lengths, config)
        return found

    pipe.model.forward = metered

    def read(pages: Sequence[str]) -> list[set[Span]]:
        normalized = [normalized_once(page) for page in pages]
        return [
            {(*page.to_raw(int(s["start"]), int(s["end"])), s["entity_group"]) for s in found}
            for page, found in zip(normalized, pipe([page.text for page in normalized]), strict=True)
        ]

    return read, lambda: meter


normalized_once = functools.cache(normalize)
"""The pipeline's texts are normalized outside the measured time."""


def precisions() -> list[str]:
    return ["float32", *(["bfloat16"] if supports_bfloat16("cpu") else [])]


def make_engines(folder: Path, work: Path, quick: bool) -> Iterator[tuple[str, str, Engine, Callable[[], Meter]]]:
    """(name, dtype, engine, its meter) of all engines that run here; what does not is said on standard error."""
    from renshi.model import TokenClassifier, read_config

    config = read_config(folder)
    dtypes = precisions()
    if len(dtypes) == 1:
        say("bfloat16: left out; this processor has neither AVX512-BF16 nor AMX")
    for dtype in dtypes:
        ours = TokenClassifier(folder, "renshi", "cpu", dtype)
        yield f"renshi {dtype}", dtype, *extractor_engine(ours, config, places)
        for size in (1, 8) if quick else (1, 8, 32):
            yield f"pipeline {dtype} batch {size}", dtype, *pipeline_engine(folder, config, dtype, size)
    for dtype in dtypes:
        if find_spec("openvino"):
            with quiet():
                model: Model = OpenVino(folder, ours, dtype)
            yield f"openvino {dtype}", dtype, *extractor_engine(model, config)
        else:
            say("openvino: left out; pip install openvino")
    if find_spec("onnxruntime") and find_spec("onnx"):
        from renshi.onnx_model import ONNX_FILES, OnnxTokenClassifier
        from training.export import export

        shutil.copytree(folder, work)
        with quiet():
            export(folder, work)
        for dtype in ONNX_FILES:
            if dtype == "float32" or not quick:
                model = OnnxTokenClassifier(work, "onnx", "cpu", dtype)
                yield f"onnx {dtype}", dtype, *extractor_engine(model, config)
    else:
        say('onnx: left out; pip install "renshi[publish]"')


def make_base(folder: Path, like: Path) -> Path:
    """A randomly initialized 12×768, what users of bert-base have, with the tokenizer and labels of `like`."""
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    config = BertConfig.from_pretrained(like)
    config.hidden_size, config.intermediate_size = 768, 3072
    config.num_hidden_layers = config.num_attention_heads = 12
    BertForTokenClassification(config).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(like / name, folder / name)
    return folder


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_pages(paths: Sequence[Path]) -> list[str]:
    files = [file for path in paths for file in (sorted(path.rglob("*.txt")) if path.is_dir() else [path])]
    return [read_markup(file).text for file in files]


def endless(pages: Sequence[str]) -> Iterator[str]:
    """The pages, and then the pages again, each time with another number behind every sentence."""
    yield from pages
    for copy in itertools.count(1):
        for page in pages:
            yield page.replace("。", f"。{copy}、")


def of_length(pages: Sequence[str], characters: int) -> Iterator[str]:
    """Pages of just so many characters, cut from all."""
    rest = ""
    for page in endless(pages):
        rest += page + "\n"
        while len(rest) >= characters:
            yield rest[:characters]
            rest = rest[characters:]


def at_least(pages: Iterator[str], characters: int) -> list[str]:
    """So many of the pages that they have at least `characters` in all."""
    taken, total = [], 0
    for page in pages:
        taken.append(page)
        total += len(page)
        if total >= characters:
            break
    return taken


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ceiling(dtype: str, seconds: float = 0.5) -> float:
    """Floating-point operations a second of the fastest of some matrix products, each repeated for about `seconds`."""
    best = 0.0
    with torch.inference_mode():
        for rows, inner, columns in PRODUCTS:
            a = torch.randn(rows, inner).to(getattr(torch, dtype))
            b = torch.randn(inner, columns).to(getattr(torch, dtype))
            until = time.perf_counter() + seconds
            while (started := time.perf_counter()) < until:
                torch.mm(a, b)
                best = max(best, 2 * rows * inner * columns / (time.perf_counter() - started))
    return best


def take_turns(
    engines: dict[str, Measured], pages: Sequence[str], repetitions: int, ceilings: dict[str, list[float]]
) -> None:
    for page in pages:
        normalized_once(page)
    for measured in engines.values():
        run(measured, pages[:1])
    for _ in range(repetitions):
        for dtype, values in ceilings.items():
            values.append(ceiling(dtype))
        for measured in engines.values():
            seconds, cpu, meter = run(measured, pages)
            measured.seconds.append(seconds)
            measured.cpu_seconds.append(cpu)
            measured.passed = meter


def run(measured: Measured, pages: Sequence[str]) -> tuple[float, float, Meter]:
    """Wall and CPU seconds of one reading of the pages, and what went through the network."""
    before = Meter(**vars(measured.meter()))
    cpu, started = time.process_time(), time.perf_counter()
    with quiet():
        measured.spans = measured.engine(pages)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    after = measured.meter()
    return seconds, cpu, Meter(**{name: value - getattr(before, name) for name, value in vars(after).items()})


def row(measured: Measured, pages: Sequence[str], wanted: Sequence[set[Span]], top: float | None) -> dict[str, Any]:
    """The results of one engine; `top` is the ceiling in its precision."""
    characters, seconds = sum(map(len, pages)), statistics.median(measured.seconds)
    passed = measured.passed
    spans = sum(map(len, wanted))
    return {
        "characters_per_second": round(characters / seconds),
        "documents_per_second": round(len(pages) / seconds, 2),
        "seconds": round(seconds, 3),
        "slowest_by_fastest": round(max(measured.seconds) / min(measured.seconds), 2),
        "cpu_seconds": round(statistics.median(measured.cpu_seconds), 3),
        "share_in_network": round(min(1.0, passed.seconds / measured.seconds[-1]), 3),
        "padding": round(passed.padding, 4),
        "share_of_ceiling": round(passed.operations / passed.seconds / top, 3) if top else None,
        "documents_that_differ": sum(a != b for a, b in zip(measured.spans, wanted, strict=True)),
        "spans_that_differ": sum(len(a ^ b) for a, b in zip(measured.spans, wanted, strict=True)),
        "spans": spans,
    }


def steadiness(extractor: Extractor, pages: Sequence[str], quick: bool) -> dict[str, Any]:
    """Microseconds a character by the documents' length, and by their number; medians of three."""

    def cost(documents: Sequence[str]) -> float:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            for _ in extractor.extract(documents):
                pass
            times.append(time.perf_counter() - started)
        return round(1e6 * statistics.median(times) / sum(map(len, documents)), 2)

    total = 6_000 if quick else 200_000
    lengths = [200, 2_000, 6_000] if quick else [200, 2_000, 20_000, 200_000]
    numbers = [1, 10, 30] if quick else [1, 10, 100, 1_000, 10_000]
    cost(list(itertools.islice(of_length(pages, 200), 3)))
    return {
        "by_length": {n: cost(list(itertools.islice(of_length(pages, n), max(1, total // n)))) for n in lengths},
        "by_number_of_200": {n: cost(list(itertools.islice(of_length(pages, 200), n))) for n in numbers},
    }


def peak_memory(names: Sequence[str], pages: Sequence[str]) -> dict[str, int]:
    """Megabytes that a process of its own needed at most to read the pages, by engine."""
    found = {}
    for name in names:
        command = [sys.executable, __file__, "--alone", name]
        done = subprocess.run(command, input=json.dumps(pages), capture_output=True, text=True, check=True)
        found[name] = int(done.stdout)
    return found


def alone(name: str) -> None:
    """What `peak_memory` runs: one engine on the pages of standard input."""
    pages = json.load(sys.stdin)
    kind, dtype, *rest = name.split()
    folder = find_model(None)
    if kind == "renshi":
        for _ in Extractor.from_pretrained(device="cpu", dtype=dtype).extract(pages):
            pass
    else:
        from renshi.model import read_config

        engine, _ = pipeline_engine(folder, read_config(folder), dtype, int(rest[-1]))
        engine(pages)
    print(peak_megabytes())


def peak_megabytes() -> int:
    """Of this process. On Linux `getrusage` also counts what the parent had when it started this one."""
    for line in read_lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextmanager
def quiet() -> Iterator[None]:
    """Without what other libraries say while engines are made and run."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def measure_size(
    size: str, kinds: Mapping[str, Sequence[str]], repetitions: int, quick: bool, work: Path
) -> dict[str, Any]:
    """All engines with a model of one size, on each kind of pages."""
    folder = find_model(None) if size == "default" else make_base(work / "base", find_model(None))
    made = list(make_engines(folder, work / f"onnx-{size}", quick))
    report: dict[str, Any] = {}
    for kind, pages in kinds.items():
        engines = {name: Measured(engine, dtype, meter) for name, dtype, engine, meter in made}
        ceilings: dict[str, list[float]] = {
            dtype: [] for dtype in ("float32", "bfloat16") if f"renshi {dtype}" in engines
        }
        take_turns(engines, pages, repetitions, ceilings)
        wanted = engines["renshi float32"].spans
        tops = {dtype: max(values) for dtype, values in ceilings.items()}
        rows = {name: row(measured, pages, wanted, tops.get(measured.dtype)) for name, measured in engines.items()}
        report[kind] = {
            "documents": len(pages),
            "characters": sum(map(len, pages)),
            "ceiling_gigaflops": {dtype: round(top / 1e9, 1) for dtype, top in tops.items()},
            "engines": rows,
            "ratios": ratios(rows),
        }
        print_kind(size, kind, report[kind])
    return report


def ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times as fast as the best pipeline renshi is, by precisions."""
    found = {}
    for ours in ("float32", "bfloat16"):
        for theirs in ("float32", "bfloat16"):
            best = [r["characters_per_second"] for name, r in rows.items() if name.startswith(f"pipeline {theirs}")]
            if f"renshi {ours}" in rows and best:
                found[f"{ours} to {theirs}"] = round(rows[f"renshi {ours}"]["characters_per_second"] / max(best), 2)
    return found


def print_kind(size: str, kind: str, report: Mapping[str, Any]) -> None:
    print(f"\n{size} model, {kind} documents: {report['documents']:,}, {report['characters']:,} characters")
    print(f"ceiling in GFLOP/s: {report['ceiling_gigaflops']}")
    print(
        f"{'engine':26} {'chars/s':>9} {'CPU s':>7} {'network':>7} {'padding':>7} {'ceiling':>7} {'spread':>6} differ"
    )
    for name, r in report["engines"].items():
        share = f"{r['share_of_ceiling']:.0%}" if r["share_of_ceiling"] else "-"
        print(
            f"{name:26} {r['characters_per_second']:9,} {r['cpu_seconds']:7.2f} {r['share_in_network']:7.0%} "
            f"{r['padding']:7.1%} {share:>7} {r['slowest_by_fastest']:6.2f} {r['spans_that_differ']} of {r['spans']}"
        )
    print("renshi to the best pipeline:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in report["ratios"].items()))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, nargs="+", help="files, or folders of .txt, to be read too")
    parser.add_argument("--quick", action="store_true", help="less of everything, in under three minutes on two cores")
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=SIZES, help="the model in the package; a random 12×768"
    )
    parser.add_argument("--repetitions", type=int, help="of each engine; default 3, quick or not 5")
    parser.add_argument(
        "--seconds",
        type=float,
        help="of a reading by the fastest engine: how much text there is; default 10, quick 1.5",
    )
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        return alone(options.alone)

    started = time.perf_counter()
    pages = read_pages([ROOT / "data" / "original", *(options.pages or [])])
    repetitions = options.repetitions or (3 if options.quick else 5)
    extractor = Extractor.from_pretrained(device="cpu")
    list(extractor.extract(pages[:4]))  # the first reading takes longer
    seconds = time.perf_counter()
    list(extractor.extract(pages[:20]))
    speed = sum(map(len, pages[:20])) / (time.perf_counter() - seconds)
    # A reading of so many seconds by the fastest engine: long enough to time, short enough for all of them to have turns.
    characters = int(speed * (options.seconds or (1.5 if options.quick else 10)))
    kinds = {"mixed": at_least(endless(pages), characters)}
    if not options.quick:
        kinds["short"] = at_least(of_length(pages, 60), characters)
        kinds["long"] = at_least(of_length(pages, min(200_000, characters)), characters)
    report: dict[str, Any] = {
        "quick": options.quick,
        "repetitions": repetitions,
        "conditions": conditions(),
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            if size == "base":  # some eighteen times the arithmetic
                kinds = {"mixed": at_least(endless(pages), characters // 15)}
            report["sizes"][size] = measure_size(size, kinds, repetitions, options.quick, Path(folder))
    report["microseconds_per_character"] = steadiness(extractor, pages, options.quick)
    print("\nmicroseconds a character:", json.dumps(report["microseconds_per_character"]))
    if not options.quick:
        names = [
            f"{kind} {dtype}{rest}"
            for dtype in precisions()
            for kind, rest in (("renshi", ""), ("pipeline", " batch 8"))
        ]
        report["peak_megabytes"] = peak_memory(names, at_least(endless(pages), characters))
        print("peak memory in MB:", json.dumps(report["peak_megabytes"]))
    report["minutes"] = round((time.perf_counter() - started) / 60, 1)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return None


def conditions() -> dict[str, Any]:
    names = ("torch", "transformers", "onnxruntime", "openvino")
    capabilities = torch.cpu.get_capabilities()
    special = [name for key, name in (("avx512_bf16", "AVX512-BF16"), ("amx_bf16", "AMX")) if capabilities.get(key)]
    processor = next((line.split(":")[1].strip() for line in read_lines("/proc/cpuinfo") if "model name" in line), "")
    return {
        "processor": processor or platform.processor() or platform.machine(),
        "instructions": ", ".join([torch.backends.cpu.get_cpu_capability(), *special]),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in names if find_spec(name)},
    }


def read_lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    main()
