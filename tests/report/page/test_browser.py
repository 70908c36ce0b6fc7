"""Pages in the Chromium of the distribution: nothing is fetched, said, cut off or unreadable."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents

from driftgate.report.page.html import render_html
from driftgate.report.page.make_report import make_report
from driftgate.report.page.node import Node
from driftgate.report.page.runs import view_run
from driftgate.report.page.side_by_side import show_side_by_side

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (360, 1024, 1920)
PAGES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "passing": lambda: [documents.passing()],
    "failing": lambda: [documents.failing()],
    "not-shown": lambda: [documents.not_shown()],
    "unlabelled": lambda: [documents.unlabelled()],
    "single-label": lambda: [documents.single_label()],
    "200-labels": lambda: [documents.of_labels(200)],
    "merged": lambda: [documents.passing(), documents.not_shown()],
    "hostile": lambda: [documents.hostile()],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all pages."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed; the extra dev brings it"
    )
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on the PATH; apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox what root starts
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


OFTEN = ("passing", "failing", "merged", "hostile")
"""The others have no part that these lack, in other numbers."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow) for name in PAGES]
)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on the disk, as it would be opened from a mail."""
    runs = [view_run(Node(json.loads(json.dumps(one)), "results"), "results.json") for one in PAGES[request.param]()]
    path = tmp_path_factory.mktemp(f"page-{request.param}") / "report.html"
    path.write_text(render_html(make_report(runs, show_side_by_side(runs))), encoding="utf-8")
    return path


def test_a_page_fetches_nothing_says_nothing_and_fits_every_screen(browser: Any, file: Path) -> None:
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    widths = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            widths[scheme, width] = page.evaluate("document.documentElement.scrollWidth")
    title = page.title()
    page.close()
    assert said == []
    assert asked == [file.as_uri()]
    assert widths == {(scheme, width): width for scheme in ("light", "dark") for width in WIDTHS}
    assert title.startswith("driftgate report: ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, file: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    if scheme == "dark" and "failing" not in str(file):
        pytest.skip("the failing page has every colour that the others have")
    page = browser.new_page(viewport={"width": 1024, "height": 900}, color_scheme=scheme)
    page.goto(file.as_uri())
    response = Axe().run(page).response
    page.close()
    assert {"color-contrast", "landmark-one-main", "svg-img-alt"} <= {one["id"] for one in response["passes"]}
    found = response["violations"]
    serious = {
        one["id"]: [node["html"][:200] for node in one["nodes"]][:3]
        for one in found
        if one["impact"] in ("serious", "critical")
    }
    assert serious == {}


def test_the_keyboard_reaches_the_content_and_what_scrolls(browser: Any, file: Path) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 900})
    page.goto(file.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.querySelector('main').contains(document.activeElement)")
    page.close()
    assert inside


def test_on_paper_nothing_is_folded(browser: Any, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    heights = page.evaluate(
        "[...document.querySelectorAll('details table')].map(each => each.getBoundingClientRect().height)"
    )
    page.close()
    assert all(height > 0 for height in heights)
