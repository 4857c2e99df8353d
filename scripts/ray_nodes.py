"""What one more node of a Ray cluster brings, and what Ray costs: the same documents in one process and on one and two nodes
of one core each, all on this machine.

    python scripts/ray_nodes.py results/ray.json [--documents 83] [--times 1 3] [--repetitions 2]

Each is timed with few documents and with many (those of the corpus's test part, once and three times over): the
difference is the work, and what is left of the shorter time is the start (processes, imports, the model). On a machine of
two cores, two nodes have all of it, so this shows the overhead of Ray, and that work is shared out; how far it goes on with
many machines it cannot show.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
import torch
from ray.cluster_utils import Cluster

from renshi import Extractor
from renshi.documents import read_documents
from renshi.integrations.ray import extract_files
from renshi.markup import read_markup

ROOT = Path(__file__).parents[1]
PART_BYTES = 40_000
"""So that two nodes have several each even of the few documents; with parts of 200,000 one waited for the other's last."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is read: so many documents of the corpus's test part, few times and many times over, and all that repeatedly."""

    documents: int
    few: int
    many: int
    repetitions: int


def write_corpus(folder: Path, documents: int, times: int) -> tuple[list[str], int, int]:
    """Inputs, documents and characters."""
    path = folder / f"{times}.jsonl"
    files = sorted((ROOT / "data/original/test").glob("*.txt"))[:documents]
    texts = [read_markup(file).text for file in files]
    # A number behind each sentence: what stands in a chunk twice, word for word, would be read once, and a part of Ray's
    # holds fewer copies than a chunk of one process.
    texts = [text.replace("。", f"。{number} ") for number in range(times) for text in texts]
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    return [str(path)], len(texts), sum(map(len, texts))


def in_one_process(inputs: list[str], folder: Path) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    return [record.to_dict() for record in Extractor.from_pretrained(device="cpu").extract(read_documents(inputs))]


def on_ray(inputs: list[str], folder: Path) -> list[dict[str, Any]]:
    extract_files(inputs, folder, device="cpu", part_bytes=PART_BYTES)
    parts = sorted(folder.glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text(encoding="utf-8").splitlines()]


def spans(records: list[dict[str, Any]]) -> list[list[tuple[int, int, str]]]:
    return [[(entity["start"], entity["end"], entity["label"]) for entity in record["entities"]] for record in records]


def measure(
    run: Callable[[list[str], Path], list[dict[str, Any]]], load: Load, folder: Path, name: str
) -> dict[str, Any]:
    seconds: dict[int, list[float]] = {load.few: [], load.many: []}
    found = {}
    for repetition in range(load.repetitions):
        for times, measured in seconds.items():
            inputs, _, _ = write_corpus(folder, load.documents, times)
            started = time.monotonic()
            found[times] = run(inputs, folder / f"{name}-{times}-{repetition}")
            measured.append(time.monotonic() - started)
    _, documents, characters = write_corpus(folder, load.documents, load.many - load.few)
    few, many = (statistics.median(measured) for measured in seconds.values())
    work = many - few
    return {
        "seconds_few": [round(value, 2) for value in seconds[load.few]],
        "seconds_many": [round(value, 2) for value in seconds[load.many]],
        # On a busy machine more work may even take less time: then these say nothing.
        "documents_per_second": round(documents / work, 1) if work > 0 else None,
        "characters_per_second": round(characters / work) if work > 0 else None,
        "start_seconds": round(few - work * load.few / (load.many - load.few), 1),
        "spans": spans(found[load.many]),
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return round(one / other, 2) if one and other else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, metavar="FILE", help="the report, as JSON")
    parser.add_argument("--documents", type=int, default=83, help="of the corpus's test part")
    parser.add_argument("--times", type=int, nargs=2, default=[1, 3], metavar=("FEW", "MANY"), help="how often over")
    parser.add_argument("--repetitions", type=int, default=2)
    arguments = parser.parse_args()
    few, many = arguments.times
    if not 0 < few < many:
        parser.error(f"--times {few} {many}: the first is at least 1, and the second is more")
    load = Load(arguments.documents, few, many, arguments.repetitions)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results["one process, one thread"] = measure(in_one_process, load, folder, "plain")
        node: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.2"}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        ray.init(cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        results["ray, one node of one core"] = measure(on_ray, load, folder, "one")
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        results["ray, two nodes of one core"] = measure(on_ray, load, folder, "two")
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
    all_spans = [result.pop("spans") for result in results.values()]
    speed = {name: result["documents_per_second"] for name, result in results.items()}
    plain, one, two = speed.values()
    report = {
        "documents": {"few": load.documents * few, "many": load.documents * many},
        "repetitions": load.repetitions,
        "results": results,
        "one_node_to_one_process": _ratio(one, plain),
        "two_nodes_to_one": _ratio(two, one),
        "documents_with_other_spans": [
            sum(a != b for a, b in zip(found, all_spans[0], strict=True)) for found in all_spans[1:]
        ],
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "ray": ray.__version__,
        "torch": torch.__version__,
    }
    arguments.target.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
