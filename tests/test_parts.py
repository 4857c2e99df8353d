"""Runs into a folder: killed anywhere they go on, and in the end every byte is that of a run left in peace."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from renshi.cli import app
from renshi.labels import TAGS
from renshi.parts import open_run
from renshi.records import Document, Failure, Record
from tests.conftest import TEXT, heeds, make_model

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals, limits and mounts")


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)], prog_name="renshi")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "renshi", "extract", *map(str, arguments)]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def ids(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for path in sorted(folder.glob("part-*")) for line in path.open(encoding="utf-8")]


class Nothing:
    """An extractor that finds nothing, is interrupted at a document that says so, and knows how often it was called."""

    calls: list[list[str]]  # the ids of each call

    class model:  # noqa: N801
        device, name = "cpu", "nothing"

    model_name, batch_tokens, min_score = "nothing", 4096, None

    @classmethod
    def from_pretrained(cls, *_: object, **__: object) -> Nothing:
        return cls()

    def extract(self, documents: Iterable[Document | Failure]) -> Iterator[Record | Failure]:
        Nothing.calls.append([])
        for document in documents:
            if isinstance(document, Document) and document.text in ("^C", "full"):
                raise KeyboardInterrupt if document.text == "^C" else OSError(28, "No space left on device")
            Nothing.calls[-1].append(document.id)
            yield document if isinstance(document, Failure) else Record(document.id, document.text)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Nothing.calls = []
    monkeypatch.setattr("renshi.extractor.Extractor", Nothing)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Twelve documents: two wrong lines, two texts of a file each, and JSON lines."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in ("a.txt", "z.txt"):
        (folder / name).write_text("会长", encoding="utf-8")
    lines = [json.dumps({"id": str(n), "text": f"{n}王强"}) for n in range(8)]
    (folder / "lines.jsonl").write_text("\n".join([*lines[:3], "{", "", *lines[3:], "[]"]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.usefixtures("nothing")
def test_parts_and_a_manifest(pages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("extract", pages, "-o", f"{out}/", "--part-documents", 5)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "renshi: 2 of 12 documents failed; the others were written"
    assert list(content(out)) == ["manifest.json", "part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"]
    assert [len(call) for call in Nothing.calls] == [5, 5, 2]  # a part is a call of its own
    assert ids(out)[:4] == [f"{pages}/a.txt", "0", "1", "2"]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["documents"], manifest["failures"], manifest["finished"]) == (12, 2, True)
    assert [(part["documents"], part["failures"]) for part in manifest["parts"]] == [(5, 1), (5, 0), (2, 1)]
    assert manifest["options"] == {"encoding": "auto", "text_column": "text", "id_column": None, "part_documents": 5}
    assert manifest["inputs"][0]["files"] == 3
    if os.name != "nt":
        sums = "".join(f"{part['sha256']}  {part['name']}\n" for part in manifest["parts"])
        subprocess.run(["sha256sum", "--check", "--quiet"], input=sums, text=True, cwd=out, check=True)


@pytest.mark.usefixtures("nothing")
def test_the_parts_are_the_lines_of_the_one_file(pages: Path, tmp_path: Path) -> None:
    run("extract", pages, "-o", tmp_path / "out.jsonl")
    (tmp_path / "parts").mkdir()
    assert run("extract", pages, "-o", tmp_path / "parts", "--part-documents", 4).exit_code == 1
    whole = b"".join(path.read_bytes() for path in sorted((tmp_path / "parts").glob("part-*")))
    assert whole == (tmp_path / "out.jsonl").read_bytes()
    assert len(list((tmp_path / "parts").glob("part-*"))) == 3  # 12 documents: no empty fourth


@pytest.mark.usefixtures("nothing")
def test_broken_off_it_goes_on_unless_an_input_was_changed(pages: Path, tmp_path: Path) -> None:
    out, stop = tmp_path / "out", pages / "m.txt"
    stop.write_text("^C", encoding="utf-8")
    os.utime(stop, (0, 0))
    arguments = ("extract", pages, "-o", f"{out}/", "--part-documents", 5)
    result = run(*arguments)
    message = f"renshi: interrupted; what is finished in {out}/ stays, and --resume goes on with it"
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, message)
    assert list(content(out)) == ["manifest.json", "part-00000.jsonl", "part-00001.jsonl"]
    for text, difference in (
        ("^C ", rf"{pages} had 4 files, (\d+) bytes, has 4 files, \d+ bytes"),
        ("^D", f"of {pages}, a file was changed or renamed"),  # as long as before, but later
    ):
        stop.write_text(text, encoding="utf-8")
        result = run(*arguments, "--resume")
        assert result.exit_code == 2
        assert re.fullmatch(
            rf"renshi: {out}/: this run is made of something else \({difference}\); give the command as it was, or name "
            "another folder\n",
            result.stderr,
        )
    os.utime(stop, (0, 0))  # to the manifest the file as it was
    result = run(*arguments, "--resume")
    assert (result.exit_code, len(ids(out))) == (1, 13)
    first, *_ = result.stderr.splitlines()
    assert first == f"renshi: {out}/: 10 documents in 2 parts were finished"


@pytest.mark.usefixtures("nothing")
def test_resumed_it_reads_no_more_than_it_must(pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("extract", pages, "--part-documents", 5, "-o")
    run(*arguments, f"{tmp_path}/calm/")
    run(*arguments, f"{tmp_path}/out/")
    calm, out = content(tmp_path / "calm"), tmp_path / "out"
    (out / "part-00002.jsonl").write_bytes(b"altered")
    (out / ".renshi-part-00002.jsonl").touch()  # as a kill leaves it
    Nothing.calls = []
    opened: list[str] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: (opened.append(path.name), real(path, *a, **k))[1])
    result = run(*arguments, f"{out}/", "--resume")
    assert content(out) == calm
    assert "a.txt" not in opened
    assert Nothing.calls == [[f"{pages}/lines.jsonl:11", f"{pages}/z.txt"]]
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"renshi: {out}/: 10 documents in 2 parts were finished; part-00002.jsonl is gone or altered, and is made again with "
        "those behind it",
        f"renshi: {pages}/lines.jsonl:11: is a JSON array; a line is an object, {{\"id\": \"…\", \"text\": \"…\"}}",
        "renshi: 2 of 12 documents failed (1 not shown here); the others were written",
    ]  # fmt: skip
    Nothing.calls = []
    result = run(*arguments, f"{out}/", "--resume")
    assert (result.exit_code, Nothing.calls, content(out)) == (1, [], calm)
    assert "12 documents in 3 parts are finished, nothing is left to do" in result.stderr


OTHERWISE = [
    (["--text-column", "body"], "options text_column was text, is body"),
    (["--part-documents", "4"], "options part_documents was 5, is 4"),
    (["{pages}/a.txt"], "the inputs were {pages}, are {pages} {pages}/a.txt"),
]


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(("more", "difference"), OTHERWISE)
def test_what_differs_is_said(pages: Path, tmp_path: Path, more: list[str], difference: str) -> None:
    arguments = ["extract", pages, "-o", f"{tmp_path}/out/", "--part-documents", "5"]
    run(*arguments)
    before = content(tmp_path / "out")
    result = run(*arguments, "--resume", *(argument.format(pages=pages) for argument in more))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"({difference.format(pages=pages)}); give the command as it was, or name another folder" in result.stderr
    assert content(tmp_path / "out") == before


def test_another_model_is_refused(tiny_model: Path, pages: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    arguments = ("extract", pages, "-m", model, "-o", f"{tmp_path}/out/", "--dtype", "float32")
    assert run(*arguments).exit_code == 1
    tokenizer = model / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    result = run(*arguments, "--resume", "--min-score", "0.5")
    assert result.exit_code == 2
    assert "(the model's tokenizer_config.json is another; engine min_score was None, is 0.5)" in result.stderr


def refused(folder: Path, *more: str) -> str:
    page = folder.parent / "page.txt"
    page.touch()
    result = run("extract", page, "-o", f"{folder}/", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    return str(result.stderr).removeprefix(f"renshi: {folder}/: ").strip()


@pytest.mark.usefixtures("nothing")
def test_folders_that_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "page.txt").touch()
    message = f"renshi: {tmp_path}/no/out/: there is no folder {tmp_path}/no; make it first\n"
    assert run("extract", tmp_path / "page.txt", "-o", f"{tmp_path}/no/out/").stderr == message
    out.mkdir()
    (out / "notes.txt").touch()
    assert refused(out) == "holds other files, such as notes.txt, and no run of renshi; name a new folder"
    (out / "notes.txt").rename(out / "part-00000.jsonl")
    assert (
        refused(out, "--resume")
        == "holds other files, such as part-00000.jsonl, and no run of renshi; name a new folder"
    )
    (out / "manifest.json").write_text("{}")
    assert refused(out, "--resume") == "its manifest.json is not one of renshi; name another folder"
    (out / "manifest.json").write_text("{")
    assert refused(out, "--resume").startswith("its manifest.json is not JSON (")
    (out / "manifest.json").write_text("[" * 200_000)
    assert refused(out, "--resume").startswith("its manifest.json is not JSON (")
    (out / "manifest.json").unlink()
    (out / "manifest.json").mkdir()
    assert refused(out, "--resume") == (
        "its manifest.json cannot be read (Is a directory); mend that, or name another folder"
    )
    shutil.rmtree(out)
    run("extract", tmp_path / "page.txt", "-o", f"{out}/")
    assert refused(out) == "holds a finished run (1 documents in 1 parts); name another folder, or remove this one"
    assert refused(out, "-f", "csv") == f"is a folder; name a file in it, such as {out}/records.jsonl"
    assert "a folder gets parts, which are jsonl; to write csv, name a file" in refused(tmp_path / "new", "-f", "csv")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    wrong = manifest | {"parts": [manifest["parts"][0] | {"documents": "x"}]}
    (out / "manifest.json").write_text(json.dumps(wrong), encoding="utf-8")
    assert refused(out, "--resume") == "its manifest.json is not one of renshi; name another folder"
    manifest |= {"finished": False}
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert refused(out) == (
        "holds a run that was broken off (1 documents in 1 parts are finished); --resume goes on with it; or name another "
        "folder"
    )
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file") == "is a file; parts go into a folder, so name a new one"


@pytest.mark.usefixtures("nothing")
def test_options_that_go_with_a_folder(pages: Path, tmp_path: Path) -> None:
    for option in (["--resume"], ["--part-documents", "5"]):
        result = run("extract", pages, *option, "-o", tmp_path / "out.jsonl")
        message = f"renshi: {option[0]} goes with a folder, which gets parts: -o records/\n"
        assert (result.exit_code, result.stderr) == (2, message)
    result = run("extract", "-", "-o", f"{tmp_path}/out/")
    assert result.stderr == "renshi: -: standard input cannot be read once more by --resume; save it to a file\n"
    result = run("extract", pages, "-o", f"{pages}/out/")
    assert result.stderr == f"renshi: {pages}/out/part-00000.jsonl: is in the input {pages}; write elsewhere\n"
    assert run("extract", pages, "-f", "brat", "-o", f"{tmp_path}/brat/").exit_code == 1  # a format that is a folder
    assert (tmp_path / "brat" / "0.ann").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brat", "pages"]


@pytest.mark.usefixtures("nothing")
def test_inputs_that_change_meanwhile(pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Nothing.extract

    def changing(self: Nothing, documents: Iterable[Document | Failure]) -> Iterator[Record | Failure]:
        (pages / "zz.txt").touch()
        yield from real(self, documents)

    monkeypatch.setattr(Nothing, "extract", changing)
    result = run("extract", pages, "-o", f"{tmp_path}/out/")
    assert result.exit_code == 2
    assert f"the inputs changed while they were read ({pages} had 3 files" in result.stderr
    assert not json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))["finished"]


@pytest.mark.usefixtures("nothing")
def test_a_second_run_ends_at_once(pages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_run(str(out), resume=False):
        assert refused(out) == "another renshi is writing to it; wait for its end, or name another folder"
        assert refused(out, "--resume") == "another renshi is writing to it; wait for its end, or name another folder"
    assert not out.exists()  # nothing came of it


@pytest.mark.usefixtures("nothing")
def test_a_full_disk_leaves_what_is_finished(pages: Path, tmp_path: Path) -> None:
    (pages / "m.txt").write_text("full", encoding="utf-8")
    out = tmp_path / "out"
    result = run("extract", pages, "-o", f"{out}/", "--part-documents", 5)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2, f"renshi: {out}/: could not be written (No space left on device); what is finished there stays, and --resume goes "
        "on with it",
    )  # fmt: skip
    assert list(content(out)) == ["manifest.json", "part-00000.jsonl", "part-00001.jsonl"]


DYING = '''
"""Dies at the n-th step in the file system, n = 0, 1, 2 …, goes on, dies once more, and compares."""
import io, json, os, shutil, signal, sys
from pathlib import Path
from renshi.documents import read_documents
from renshi.parts import describe_inputs, open_run
from renshi.records import Record

lines, root = sys.argv[1], Path(sys.argv[2])

def work(folder):
    with open_run(str(folder), resume=True) as run:
        run.begin({"inputs": describe_inputs([lines])})
        if not run.finished:
            run.write(lambda ds: (Record(d.id, d.text) for d in ds), read_documents([lines], start=run.documents), 2)
            run.finish([lines])

def dying(step, function):
    def wrapped(*arguments, **keywords):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return wrapped

def child(steps):
    pid = os.fork()
    if pid == 0:
        left[0] = steps
        for owner, names in ((os, ("fsync", "open", "close")), (Path, ("replace", "unlink", "open", "mkdir"))):
            for name in names:
                setattr(owner, name, dying(steps, getattr(owner, name)))
        work(folder)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0

left, folder = [0], root / "calm"
work(folder)
calm = {path.name: path.read_bytes() for path in folder.iterdir()}
folder, deaths, steps = root / "out", 0, 0
while True:
    steps += 1
    shutil.rmtree(folder, ignore_errors=True)
    if child(steps):
        break
    deaths += 1
    while not child(1 + deaths % 23):  # and while it goes on
        deaths += 1
        whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] == "p"}
        assert all(calm[name] == data for name, data in whole.items()), whole.keys()
        if (folder / "manifest.json").exists():
            json.loads((folder / "manifest.json").read_text())
        if deaths % 3 == 0:
            assert child(10**9)
            break
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == calm, (steps, found.keys())
print(deaths)
'''


@pytest.mark.slow
@posix
def test_killed_at_every_step_of_the_file_system(tmp_path: Path) -> None:
    lines = tmp_path / "pages.jsonl"
    lines.write_text("".join(f'{{"text": "{n}会长"}}\n' for n in range(7)), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", DYING, lines, tmp_path], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40


# ---- real processes of the command ----


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that finds little, and 2,000 documents of all lengths to 100 characters."""
    folder = tmp_path_factory.mktemp("corpus")
    model = make_model(folder / "model", scale=2.0)
    weights = load_file(model / "model.safetensors")
    weights["classifier.bias"][TAGS.index("O")] += (
        2.0  # else nearly every token is an entity, and roles take all the time
    )
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    chance = random.Random(0)
    cuts = [(start, start + chance.randrange(5, 100)) for start in (chance.randrange(60) for _ in range(2000))]
    lines = [json.dumps({"id": str(n), "text": TEXT[a:b]}) for n, (a, b) in enumerate(cuts)]
    lines[77] = "{"
    (folder / "pages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return model, folder / "pages.jsonl"


def seen(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []  # noqa: PTH208 (a thousand times a second)


@pytest.mark.slow
@posix
def test_killed_at_random_moments_it_ends_as_one_left_in_peace(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    model, pages = corpus
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [pages, "-m", model, "--dtype", "float32", "--part-documents", "50", "-q", "-o"]
    calm = tmp_path / "calm"
    subprocess.run(command(*arguments, f"{calm}/"), env=environment, stderr=subprocess.PIPE, check=False)
    expected = content(calm)
    assert len(expected) == 41
    chance, kills, round = random.Random(1), 0, 0
    moments = ["part", "writing", "writing", "manifest", "start"]
    while kills < 24:
        round += 1
        out = tmp_path / f"out{round}"
        status = None
        while status is None:
            process = subprocess.Popen(
                command(*arguments, f"{out}/", "--resume"), env=environment, stderr=subprocess.PIPE, text=True
            )
            parts, moment, wanted = len(seen(out)), chance.choice(moments), chance.randrange(1, 4)
            while process.poll() is None:
                names = seen(out)
                if (
                    (moment == "part" and len([name for name in names if name[0] == "p"]) >= parts + wanted)
                    or (moment == "writing" and any(name.startswith(".renshi-part") for name in names))
                    or (moment == "manifest" and ".renshi-manifest.json" in names)
                    or (moment == "start" and ".lock" in names)
                ):
                    time.sleep(chance.random() * (0.6 if moment == "start" else 0.05))
                    break
            process.kill()
            _, errors = process.communicate()
            if process.returncode == -signal.SIGKILL:
                kills += 1
                for name, data in content(out).items() if out.exists() else ():
                    assert name[0] == "." or name == "manifest.json" or data == expected[name]  # whole, or not there
            else:
                status = process.returncode
                assert status == 1, errors
        assert content(out) == expected


@pytest.mark.slow
@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_asked_to_end_it_leaves_nothing_half_written(
    corpus: tuple[Path, Path], tmp_path: Path, number: signal.Signals
) -> None:
    model, pages = corpus
    folder, file, full = tmp_path / "parts", tmp_path / "out.jsonl", tmp_path / "full.jsonl"
    full.write_bytes(pages.read_bytes() * 20)
    runs = {
        folder: command(full, "-m", model, "-o", f"{folder}/", "--part-documents", "100"),
        file: command(full, "-m", model, "-o", file),
    }
    processes = {
        path: subprocess.Popen(
            line,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heeds(number),
        )
        for path, line in runs.items()
    }
    while len(list(folder.glob("part-*"))) < 2 or not [p for p in tmp_path.glob(".renshi-*") if p.stat().st_size]:
        assert all(process.poll() is None for process in processes.values())
        time.sleep(0.02)
    said = "interrupted" if number == signal.SIGINT else "asked to end"
    for path, message in (
        (folder, f"; what is finished in {folder}/ stays, and --resume goes on with it"),
        (file, f"; {file} was not written"),
    ):
        processes[path].send_signal(number)
        _, errors = processes[path].communicate(timeout=60)
        assert processes[path].returncode == 128 + number
        assert errors.splitlines()[-1] == f"renshi: {said}{message}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.jsonl", "parts"]
    assert {name[:5] for name in content(folder)} == {"manif", "part-"}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["documents"] == 100 * len(manifest["parts"])
    assert len(ids(folder)) - manifest["documents"] in (0, 100)  # between a part's renaming and the manifest's


@pytest.mark.slow
@posix
def test_two_real_runs_and_a_hangup_that_is_ignored(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    model, pages = corpus
    line = command(pages, "-m", model, "-q", "-o", f"{tmp_path}/out/", "--part-documents", "100")
    first = subprocess.Popen(["nohup", *line], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while ".lock" not in seen(tmp_path / "out"):
        time.sleep(0.01)
    second = subprocess.run([*line, "--resume"], capture_output=True, text=True)
    assert (second.returncode, second.stderr) == (
        2, f"renshi: {tmp_path}/out/: another renshi is writing to it; wait for its end, or name another folder\n",
    )  # fmt: skip
    first.send_signal(signal.SIGHUP)
    first.communicate(timeout=120)
    assert first.returncode == 1  # the wrong line
    assert len(ids(tmp_path / "out")) == 2000


@pytest.mark.slow
@posix
def test_a_disk_that_fills_up(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """A file system of 600 KB where one may be mounted, else a limit on the size of files."""
    model, pages = corpus
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True).returncode == 0
    )
    try:
        arguments = [pages, "-m", model, "--dtype", "float32", "-q", "--part-documents", "200", "-o"]
        line = " ".join(command(*arguments, f"{disk}/out/"))
        full = subprocess.run(
            ["bash", "-c", line if mounted else f"ulimit -f 50; exec {line}"], capture_output=True, text=True
        )
        reason = "No space left on device" if mounted else "File too large"
        assert (full.returncode, full.stderr.splitlines()[-1]) == (
            2, f"renshi: {disk}/out/: could not be written ({reason}); what is finished there stays, and --resume goes on with it",
        )  # fmt: skip
        assert {name[:5] for name in content(disk / "out")} <= {"manif", "part-"}
        manifest = json.loads((disk / "out/manifest.json").read_text(encoding="utf-8"))
        assert len(ids(disk / "out")) - manifest["documents"] in (
            0,
            200,
        )  # where it was the manifest that found no room
        if mounted:
            assert manifest["documents"] >= 200
            one = subprocess.run(
                command(pages, "-m", model, "-q", "-o", disk / "one.jsonl"), capture_output=True, text=True
            )
            assert (one.returncode, one.stderr.splitlines()[-1]) == (
                2,
                f"renshi: {disk}/one.jsonl: was not written ({reason})",
            )
            assert [path.name for path in disk.iterdir()] == ["out"]
            subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)  # room is made
        again = subprocess.run(command(*arguments, f"{disk}/out/", "--resume"), capture_output=True, text=True)
        assert again.returncode == 1, again.stderr  # the wrong line
        calm = subprocess.run(command(*arguments, f"{tmp_path}/calm/"), capture_output=True, text=True)
        assert calm.returncode == 1
        assert content(disk / "out") == content(tmp_path / "calm")
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@posix
def test_a_folder_that_may_not_be_written(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    model, pages = corpus
    (tmp_path / "closed").mkdir(mode=0o555)
    mounted = False
    if os.geteuid() == 0:  # root may write everywhere but on a disk that is read only
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path / "closed"]).returncode == 0
        if not mounted:
            pytest.skip("root may write everywhere, and may not mount here")
    try:
        for name in ("out/", "out.jsonl"):
            done = subprocess.run(
                command(pages, "-m", model, "-o", f"{tmp_path}/closed/{name}"), capture_output=True, text=True
            )
            assert done.returncode == 2
            assert ("Read-only file system" if mounted else "Permission denied") in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        if mounted:
            subprocess.run(["umount", tmp_path / "closed"], check=True)
