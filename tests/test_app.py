"""The page: its parts alone, and `renshi serve` in a process of its own with the packaged model, driven by a real Chromium."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

pytest.importorskip("gradio", reason='needs pip install "renshi[app]"')
openpyxl = pytest.importorskip("openpyxl", reason='needs pip install "renshi[app]"')

from renshi.app import _WORDS, LANGUAGES, label_name, preferred_language, record_html, select  # noqa: E402
from renshi.labels import LABELS  # noqa: E402
from renshi.records import Entity, EventType, Record, Role, Roster  # noqa: E402

ROOT = Path(__file__).parents[1]
TEXT = "省学会会长王进龙出席肺转移瘤专业委员会成立大会并致辞。"
RECORD = Record(
    "页", "省学会会长王进龙出席成立大会。",
    [Entity(0, 3, "省学会", "ORG", 0.4), Entity(3, 5, "会长", "TITLE", 0.8), Entity(5, 8, "王进龙", "PER", 0.9), Entity(10, 14, "成立大会", "EVENT.FOUNDING", 0.7)],
    [Role(2, 1, 0, 0.8)], [Roster(1, 12, 1)], [EventType("FOUNDING", 0.7)],
)  # fmt: skip


# ---- the parts ----


def test_select_leaves_out_what_hangs_on_what_is_left_out() -> None:
    assert select(RECORD, 0.0) is RECORD
    no_organization = select(RECORD, 0.5)
    assert [entity.text for entity in no_organization.entities] == ["会长", "王进龙", "成立大会"]
    assert (no_organization.roles, no_organization.rosters) == ([Role(1, 0, None, 0.8)], [Roster(0, 12, 1)])
    assert select(RECORD, 0.0, ["PER", "ORG", "EVENT"]).roles == []
    assert select(RECORD, 0.75).event_types == []
    assert select(RECORD, 0.0, []).entities == []


def test_every_word_is_there_in_every_language() -> None:
    for key, words in _WORDS.items():
        assert len(words) == len(LANGUAGES)
        assert all(words)
        assert len({tuple(sorted(name or "" for _, name, _, _ in Formatter().parse(word))) for word in words}) == 1, key
    for language in LANGUAGES:
        assert len({label_name(label, language) for label in LABELS}) == len(LABELS)
    assert [label_name("EVENT.MEETING", language) for language in LANGUAGES] == ["會議", "会议", "Meeting"]


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh-TW", 0), ("zh-Hant-HK", 0), ("zh-HK", 0), ("zh-CN", 1), ("zh", 1), ("zh-Hans-CN", 1), ("en-US", 2), ("", 2)],
)
def test_the_browsers_language_is_the_first(tag: str, language: int) -> None:
    assert preferred_language(tag) == LANGUAGES[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_record_is_shown_whole_and_escaped(language: str) -> None:
    html = record_html(RECORD, language)
    assert html.count("<mark") == 4
    assert f'title="{label_name("ORG", language)} 0.40 [0, 3)"' in html
    hostile = "<img src=x onerror=alert(1)>"
    entities = [Entity(0, len(hostile), hostile, "PER"), Entity(len(hostile), 2 * len(hostile), hostile, "TITLE")]
    assert "<img" not in record_html(
        Record(hostile, hostile * 2, entities, [Role(0, 1, None)], [Roster(1, 3, 1)]), language
    )


# ---- the page ----

# Says on standard error where the process connects to: nowhere but to itself.
SERVER = """
import sys
def tell(event, arguments):
    if event == "socket.connect": print("CONNECT", arguments[1], file=sys.stderr, flush=True)
sys.addaudithook(tell)
from renshi.cli import main
main()
"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of `renshi serve --max-mb 1` and the file that its standard error goes to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "stderr"
    command = [sys.executable, "-c", SERVER, "serve", "--port", str(port), "--max-mb", "1"]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(log.parent / "files")}
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, env=environment) as process:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 180
        while address not in log.read_text() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        assert address in log.read_text(), log.read_text()
        yield address, log
        process.terminate()


@pytest.fixture
def page(browser: Any, server: tuple[str, Path]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US", accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(server[0])
    page.get_by_role("button", name="Read", exact=True).wait_for()
    yield page
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {server[0].removeprefix("http://")}
    assert dialogs == []
    context.close()


def read(page: Any) -> None:
    page.click("#read")
    page.wait_for_selector("#summary p:not(.soft), #summary .failed")


def test_paste_look_filter_and_switch_the_language(page: Any) -> None:
    page.fill("#text textarea", TEXT)
    read(page)
    page.wait_for_selector("#shown mark.per")
    assert page.inner_text("#shown mark.per").startswith("王进龙")
    assert page.get_attribute("#shown mark.per", "title").startswith("Person ")
    assert page.inner_text("#shown tbody th") == "省学会"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Person", exact=True).uncheck()
    page.wait_for_selector("#shown mark.per", state="detached")
    page.get_by_label("中文繁體").check()
    page.get_by_role("button", name="讀取").wait_for()
    page.wait_for_selector("#shown mark.org[data-label='機構']")


def test_upload_and_download(page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<meta charset=utf-8><script>x</script><p>{TEXT}", encoding="utf-8")
    (tmp_path / "b.txt").write_text("=1+1", encoding="utf-8")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-")
    (tmp_path / "large.txt").write_bytes(b"a" * 1_200_000)
    page.set_input_files("#files input[type=file]", sorted(map(str, tmp_path.iterdir())))
    # Gradio shows names in parts, and not always as visible text: what the list holds is looked at, not what shows.
    for _ in range(100):
        page.wait_for_timeout(200)
        if all(name in page.inner_html("#files") for name in ("a", "large", "MB")):
            break
    page.wait_for_timeout(500)
    read(page)
    page.wait_for_selector("#shown mark.per")
    told = page.inner_text("#summary .failed")
    assert "bad.pdf: is no PDF that can be read; print it to a new PDF" in told
    assert "large.txt: has 1.2 MB; at most 1 MB are read: split it, or start renshi serve --max-mb" in told
    files = {}
    for name in ("JSONL", "CSV", "XLSX", "HTML"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        files[download.value.suggested_filename] = Path(download.value.path())
    assert sorted(files) == ["renshi.csv", "renshi.html", "renshi.jsonl", "renshi.xlsx"]
    records = [json.loads(line) for line in files["renshi.jsonl"].read_text(encoding="utf-8").splitlines()]
    assert [record["id"] for record in records] == ["a.html", "b.txt", "bad.pdf", "large.txt"]
    assert records[0]["text"] == f"{TEXT}\n"
    rows = list(
        openpyxl.load_workbook(io.BytesIO(files["renshi.xlsx"].read_bytes()))["roles"].iter_rows(
            min_row=2, values_only=True
        )
    )
    assert ("a.html", "王进龙", "会长", "省学会") in [row[:4] for row in rows]


def test_html_in_the_text_is_shown_and_not_run(page: Any) -> None:
    hostile = (
        "<script>alert(1)</script><img src=x onerror=alert(1)> ${alert(1)} {{x}} http://example.com/a.png 会长王进龙"
    )
    page.fill("#text textarea", hostile)
    read(page)
    page.wait_for_selector("#shown .text")
    assert page.locator("#shown script, #shown img, #shown a").count() == 0
    assert hostile[:60] in page.evaluate("document.querySelector('#shown .text').textContent")


def test_what_cannot_be_read_is_told(page: Any) -> None:
    read(page)
    assert page.inner_text("#summary .failed") == "Paste a text or choose a file first."
    page.fill("#text textarea", "https://example.com/news/1.html")
    page.click("#read")
    page.wait_for_selector("#summary >> text=This is a link, and links are not fetched")


def test_the_server_connects_to_nobody(page: Any, server: tuple[str, Path]) -> None:
    connections = [line for line in server[1].read_text().splitlines() if line.startswith("CONNECT")]
    assert all("127.0.0.1" in line for line in connections), connections


def test_a_port_that_is_taken(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from renshi.cli import app

    monkeypatch.setattr("renshi.cli._load", lambda *_, **__: None)
    port = server[0].rpartition(":")[2]
    result = CliRunner().invoke(app, ["serve", "--port", port])
    assert result.exit_code == 2
    assert f"renshi: 127.0.0.1:{port} cannot be listened on" in result.stderr
    assert result.stderr.endswith("choose another with --host and --port\n")
