"""Ray: a data set's columns, and files to parts, on a real cluster of two nodes of which one is killed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from renshi import Extractor, ExtractorError
from renshi.cli import app
from renshi.documents import read_documents
from renshi.frames import need
from renshi.integrations import ray as module
from renshi.integrations.ray import ClusterError, extract_dataset, extract_files
from renshi.parts import sum_model
from renshi.records import Failure

PAGE = "1月24日上午，省学会会长王进龙出席肺转移瘤专业委员会成立大会并致辞，白敏、李毅等12名同志任副主任委员。"
OPTIONS: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


def corpus(folder: Path, lines: int) -> list[str]:
    """Files of all kinds, with lines that are wrong."""
    folder.mkdir()
    with (folder / "pages.jsonl").open("w", encoding="utf-8") as file:
        for number in range(lines):
            item: Any = {"text": PAGE[number % 7 :] * (number % 5)}
            if number % 3:
                item["id"] = f"page {number}"
            file.write(
                json.dumps(item, ensure_ascii=number % 2 == 0) + "\n" if number % 50 else '{"text": 1}\nno JSON\n\n'
            )
    for number in range(3):
        (folder / f"{number}.txt").write_text(PAGE * number, encoding="utf-8")
    (folder / "broken.txt").write_bytes(b"\xff\xff\xff")
    pyarrow, parquet = need("pyarrow", "ray"), need("pyarrow.parquet", "ray")
    texts = [None if number == 5 else PAGE[number % 11 :] for number in range(lines // 4)]
    parquet.write_table(pyarrow.table({"text": texts}), folder / "table.parquet", row_group_size=16)
    return [str(folder), "nowhere.txt"]


def plain(inputs: list[str], model: Path) -> list[dict[str, Any]]:
    """What one process makes of them."""
    extractor = Extractor.from_pretrained(model, **OPTIONS)
    return [record.to_dict() for record in extractor.extract(read_documents(inputs))]


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal but for the last digits of scores, which depend on what else is in a batch."""
    assert [record["id"] for record in found] == [record["id"] for record in expected]
    for one, other in zip(found, expected, strict=True):
        for part in ("entities", "roles", "event_types"):
            scores = [[item.pop("score") for item in record.get(part, ())] for record in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=2e-4)
        assert one == other


def written(folder: Path) -> list[dict[str, Any]]:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["manifest.jsonl", *(f"part-{number:05d}.jsonl" for number in range(len(names) - 1))]
    return [json.loads(line) for name in names[1:] for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_the_plan_covers_the_input_once_and_in_order(tmp_path: Path) -> None:
    inputs = corpus(tmp_path / "in", 200)
    whole = list(read_documents(inputs))
    for size in (100, 999, 5000, 1 << 20):
        parts = module._plan(inputs, size, None)
        reader = module._Parts.__new__(module._Parts)
        reader._encoding, reader._columns = "auto", module.Columns()
        pieces = [module._Piece(**json.loads(json.dumps(module.asdict(piece)))) for part in parts for piece in part]
        assert [item for piece in pieces for item in reader._read(piece)] == whole
        assert len(parts) == 1 if size == 1 << 20 else len(parts) > 10_000 // size
    assert sum(isinstance(item, Failure) for item in whole) == 2 * 4 + 3


def test_a_changed_or_unseen_input_stops_the_run(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text(PAGE, encoding="utf-8")
    [[piece]] = module._plan([str(page)], 100, None)
    reader = module._Parts.__new__(module._Parts)
    page.write_text(PAGE * 2, encoding="utf-8")
    with pytest.raises(
        ClusterError, match=r"page.txt: has [\d,]+ bytes on .*, and had \d+ when the run was planned; leave"
    ):
        reader._check(piece)
    page.unlink()
    with pytest.raises(ClusterError, match=r"page.txt: is not there on .*; put the input where all machines see it"):
        reader._check(piece)


def test_a_folder_of_another_run_is_not_written_into(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = module._Manifest(out, "a", False)
    first.add({"part": 3, "documents": 2, "failed": 1})
    with (out / "manifest.jsonl").open("a") as file:
        file.write('{"part": 4, "docu')  # killed here
    with pytest.raises(
        ClusterError, match="holds the parts of a run; add --resume to go on with it, or name a new folder"
    ):
        module._Manifest(out, "a", False)
    with pytest.raises(ClusterError, match="was begun with other inputs, options or renshi; repeat those"):
        module._Manifest(out, "b", True)
    again = module._Manifest(out, "a", True)
    again.add({"part": 4, "documents": 5, "failed": 0})
    assert module._Manifest(out, "a", True).result(()) == module.Result(2, 7, 1)
    (tmp_path / "page.txt").write_text("")
    with pytest.raises(ClusterError, match="is not empty; name a new folder"):
        module._Manifest(tmp_path, "a", False)


def test_names_the_columns_that_are_wrong(tiny_model: Path) -> None:
    table = need("pyarrow", "ray").table({"body": [PAGE], "error": ["none"]})
    with pytest.raises(ValueError, match=r'^there is no column \'text\'; name one of body, error: text="…"$'):
        module._Batches(str(tiny_model), "text", "", OPTIONS)(table)
    with pytest.raises(
        ValueError, match=r'^the data set has columns error already; name the new ones by prefix="renshi_"$'
    ):
        module._Batches(str(tiny_model), "body", "", OPTIONS)(table)
    found = module._Batches(str(tiny_model), "body", "r_", OPTIONS)(table)
    assert found.column_names == ["body", "error", *("r_" + name for name in module._columns())]


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r'^ray is not installed: pip install "renshi\[ray\]"$'):
        extract_files(["a.txt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ImportError, match=r'^ray is not installed: pip install "renshi\[ray\]"$'):
        extract_dataset(None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--engine", "spark"], "engine 'spark' is unknown; engines are local, ray"),
        (["--actors", "2"], "--actors goes with --engine ray"),
        (["--engine", "ray"], "engine ray writes parts into a folder: -o records/"),
        (["--engine", "ray", "-o", "out", "-f", "csv"], "engine ray writes jsonl, not csv; renshi convert makes other"),
        (["--engine", "ray", "-o", "out"], 'ray is not installed: pip install "renshi[ray]"'),
    ],
)
def test_the_command_refuses_what_does_not_go_together(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.chdir(tmp_path)
    Path("page.txt").write_text(PAGE, encoding="utf-8")
    result = CliRunner().invoke(app, ["extract", "page.txt", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("out").exists()


def ray_folder(folder: Path) -> Path:
    """What a run on Ray that was broken off leaves."""
    module._Manifest(folder, "a", False).add({"part": 0, "documents": 1, "failed": 0})
    (folder / "part-00000.jsonl").write_text("{}\n")
    return folder


def test_a_run_goes_on_with_the_engine_that_began_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    (page := tmp_path / "page.txt").write_text(PAGE, encoding="utf-8")
    begun = {"ray": ray_folder(tmp_path / "ray"), "local": tmp_path / "local"}
    command = ["extract", str(page), "--model", str(tiny_model), "--device", "cpu"]
    assert CliRunner().invoke(app, [*command, "-o", f"{begun['local']}/"]).exit_code == 0
    before = {path: path.read_bytes() for folder in begun.values() for path in folder.iterdir()}
    refused = {
        "local": "holds a run without Ray, which goes on by --resume without --engine ray; or name another folder",
        "ray": "holds a run of --engine ray, which goes on with --engine ray --resume; or name another folder",
    }
    if find_spec("ray") is None:
        refused.pop("local")
    for engine, sentence in refused.items():
        other = "local" if engine == "ray" else "ray"
        for options in ([], ["--resume"]):
            result = CliRunner().invoke(app, [*command, "-o", f"{begun[engine]}/", "--engine", other, *options])
            assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr
    assert before == {path: path.read_bytes() for folder in begun.values() for path in folder.iterdir()}


def test_a_model_that_is_none_is_told_before_a_cluster_starts(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (tmp_path / "page.txt").write_text(PAGE, encoding="utf-8")

    def refused(message: str, **options: Any) -> None:
        with pytest.raises(ExtractorError, match=message):
            extract_files([str(tmp_path / "page.txt")], tmp_path / "out", folder, **options)
        assert not (tmp_path / "out").exists()

    refused("dtype 'half' is unknown; dtypes are auto, float32", dtype="half")
    refused("dtype 'half': the backend onnx has auto, float32, int8", dtype="half", backend="onnx")
    refused("lacks onnx/model.onnx", backend="onnx")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    refused("the model cannot be loaded")
    (folder / "tokenizer.json").write_text("{}")
    refused(r"tokenizer.json: is not a tokenizer")


def test_an_actor_says_what_its_machine_lacks(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sums, columns = sum_model(tiny_model), module.asdict(module.Columns())

    def refused(message: str, here: Path, model: Path, sums: dict[str, str]) -> None:
        with pytest.raises(ClusterError, match=message):
            module._Parts(str(here), str(tmp_path / "out"), str(model), sums, "auto", columns, OPTIONS)

    refused(
        r"nowhere: is not there on .* \(No such file.*\); start from a folder that",
        tmp_path / "nowhere",
        tiny_model,
        sums,
    )
    refused(r"out: is not there on .*; name a folder that all machines share", tmp_path, tiny_model, sums)
    ray_folder(tmp_path / "out")
    other = {**sums, "model.safetensors": "0"}
    refused(r"tiny\d*: is another on .*; put the same model on all machines", tmp_path, tiny_model, other)
    module._Parts(str(tmp_path), str(tmp_path / "out"), str(tiny_model), sums, "auto", columns, OPTIONS)


def test_of_an_error_on_a_machine_our_sentence_is_what_is_shown() -> None:
    class WrappedError(Exception):
        def __init__(self, cause: BaseException | str) -> None:
            super().__init__(f"ray::_Parts()\n  File x\n{cause}")
            self.cause = cause

    error = ClusterError("model: is another on a; put the same model on all machines")
    assert module._root(WrappedError(WrappedError(error))) is error
    assert module._sentence(error) == str(error)
    assert module._sentence(module._root(WrappedError("ray.exceptions.ActorDiedError: it died"))) == "it died"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, the head among them, on the loopback device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray = pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        node = {
            "num_cpus": 1,
            "include_dashboard": False,
            "node_ip_address": "127.0.0.2",
            "object_store_memory": 80 << 20,
        }
        # A dead node is noticed in two seconds rather than thirty.
        quick = {
            "health_check_initial_delay_ms": 1000,
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 4,
        }
        made = Cluster(initialize_head=True, head_node_args={**node, "_system_config": quick})
        made.other = made.add_node(**node)
        ray.init(made.address, logging_level=logging.ERROR, log_to_driver=False)
        made.wait_for_nodes()
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.mark.slow
def test_a_data_set_has_the_columns_of_its_records(cluster: Any, tmp_path: Path, tiny_model: Path) -> None:
    from ray import data

    corpus(tmp_path / "in", 80)
    pages = data.read_parquet(str(tmp_path / "in/table.parquet"))
    found = extract_dataset(pages, tiny_model, batch_documents=8, **OPTIONS)
    found.write_parquet(str(tmp_path / "out"))
    rows = need("pyarrow.parquet", "ray").read_table(tmp_path / "out").to_pylist()
    rows.sort(key=lambda row: (row["text"] or "", row["error"] is None))
    expected = [record for record in plain([str(tmp_path / "in/table.parquet")], tiny_model) if "error" not in record]
    expected.sort(key=lambda record: record["text"])
    [failed] = [row for row in rows if row["error"]]
    assert failed["error"] == {"type": "TypeError", "message": "the text is a NoneType; a document's text is a str"}
    assert failed["entities"] == []
    keys = ("text", "entities", "roles", "rosters", "event_types")
    ok = [{"id": "", **{key: row[key] for key in keys}} for row in rows if not row["error"]]
    same(ok, [{"id": "", **{key: record[key] for key in keys}} for record in expected])


@pytest.mark.slow
def test_the_command_makes_a_cluster_of_this_machine(tmp_path: Path, tiny_model: Path) -> None:
    """In a process of its own, names relative to its folder; what it leaves is what one process finds, and no process."""
    corpus(tmp_path / "in", 60)
    options = ["--engine", "ray", "-o", "out/", "--actors", "2", "--part-mb", "0.005", "--dtype", "float32"]
    command = [sys.executable, "-m", "renshi", "extract", "in", "nowhere.txt", *options, "--model", str(tiny_model)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "renshi: nowhere.txt: there is no such file; check the name and the folder" in done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        expected = plain(["in", "nowhere.txt"], tiny_model)
    same(written(tmp_path / "out"), expected)
    # Ray's core says one line of its own, of what it keeps of an actor's arguments.
    assert "Traceback" not in done.stderr
    failed = sum("error" in record for record in expected)
    assert f"renshi: {failed} of {len(expected)} documents failed" in done.stderr


@pytest.mark.slow
def test_a_killed_node_loses_nothing_and_repeats_nothing(cluster: Any, tmp_path: Path, tiny_model: Path) -> None:
    """Two actors, one a node; one node is killed while its actor works. Then the same command, resumed."""
    inputs, out = corpus(tmp_path / "in", 2000), tmp_path / "out"
    expected = plain(inputs, tiny_model)
    results: list[Any] = []
    arguments: dict[str, Any] = {"part_bytes": 8000, **OPTIONS}
    run = threading.Thread(target=lambda: results.append(extract_files(inputs, out, tiny_model, **arguments)))
    run.start()
    total = len(module._plan(inputs, 8000, None))
    manifest = out / "manifest.jsonl"
    working: list[Path] = []  # what is half written; between two parts there is nothing for a moment
    while run.is_alive() and not working:
        time.sleep(0.02)
        if manifest.exists() and manifest.read_text().count("\n") >= total // 4:
            working = list(out.glob(".part-*"))
    assert len(working) >= 1
    cluster.remove_node(cluster.other, allow_graceful=False)
    done = manifest.read_text().count("\n") - 1
    assert done < total / 2
    run.join(timeout=120)
    assert results == [
        module.Result(total, len(expected), sum("error" in record for record in expected), results[0].messages)
    ]
    assert len(results[0].messages) == 20
    same(written(out), expected)
    assert extract_files(inputs, out, tiny_model, resume=True, **arguments).documents == len(expected)
