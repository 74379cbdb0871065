"""The report in a real browser: Chromium, headless, driven through chromedriver."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from actsweep.report.cells import ROWS_OF_PAGE, ROWS_SHOWN
from actsweep.report.chapters import CHAPTERS
from actsweep.report.content import Section
from actsweep.report.layout import page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)
LIMIT_S = 3600  # of a browser that hangs: a slow machine is no failure
SORTABLE = "#existence table.sortable"
LONG = np.random.default_rng(1).permutation(ROWS_SHOWN + 500)


@pytest.fixture(scope="module")
def pages(
    report: Path, small_report: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The addresses of a report with everything in it, of one with hardly anything, and of a long table."""
    long = tmp_path_factory.mktemp("long") / "index.html"
    section = Section("long", "Long", "")
    section.table("rows", "Rows.", pd.DataFrame({"row": LONG, "word": [f"w{i}" for i in LONG]}), "/a")
    long.write_text(page("Long", [section], long.parent))
    reports = {"full": report / "index.html", "small": small_report, "long": long}
    return {name: path.as_uri() for name, path in reports.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    arguments = ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,900")
    for argument in arguments:
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(LIMIT_S)
    driver.set_script_timeout(LIMIT_S)
    yield driver
    driver.quit()


def _column(browser: webdriver.Chrome, table: str, column: int) -> list[str]:
    script = """return Array.from(document.querySelector(arguments[0]).tBodies[0].rows,
      row => row.cells[arguments[1]].dataset.value ?? row.cells[arguments[1]].textContent)"""
    return browser.execute_script(script, table, column)


def _click(browser: webdriver.Chrome, table: str, column: int) -> str | None:
    """Clicks a heading and returns how it says that its column is sorted."""
    heading = browser.find_elements(By.CSS_SELECTOR, f"{table} th")[column]
    heading.find_element(By.TAG_NAME, "button").click()
    return heading.get_attribute("aria-sort")


@pytest.mark.parametrize("name", ["full", "small"])
def test_the_page_opens_without_errors(
    browser: webdriver.Chrome, pages: dict[str, str], name: str
) -> None:
    browser.get(pages[name])
    assert browser.title.startswith("Massive activations: sample_model")
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []
    width = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    scrolled, visible = browser.execute_script(width)
    assert scrolled <= visible


def test_an_error_would_be_seen(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["small"])
    browser.execute_script("setTimeout(() => { throw new Error('planted') }, 0)")
    browser.execute_async_script("setTimeout(arguments[0], 50)")
    assert any("planted" in entry["message"] for entry in browser.get_log("browser"))


def test_all_pictures_are_drawn(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["full"])
    figures = browser.find_elements(By.CSS_SELECTOR, "figure.picture")
    drawn = browser.execute_script(
        """return Array.from(document.querySelectorAll("figure.picture > svg"), svg => {
             const box = svg.getBoundingClientRect();
             return [box.width, box.height, svg.querySelectorAll("path, use, image").length];
           })"""
    )
    assert len(drawn) == len(figures) > 20
    assert all(width > 200 and height > 80 and shapes > 20 for width, height, shapes in drawn)


def test_pixels_inside_pictures_decode(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["full"])
    widths = browser.execute_async_script(
        """const done = arguments[0];
           Promise.all(Array.from(document.querySelectorAll("svg image"), async (element) => {
             const image = new Image();
             image.src = element.href.baseVal;
             await image.decode();
             return image.naturalWidth;
           })).then(done, (error) => done(String(error)));"""
    )
    assert len(widths) > 10 and all(width > 0 for width in widths)


def test_references_inside_pictures_stay_inside(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    browser.get(pages["full"])
    broken = browser.execute_script(
        """return Array.from(document.querySelectorAll("svg use")).filter(use => {
             const target = document.getElementById(use.href.baseVal.slice(1));
             return !target || target.closest("svg") !== use.closest("svg");
           }).length"""
    )
    assert broken == 0


def test_numbers_sort_up_and_down(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["full"])
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, f"{SORTABLE} th")]
    column = heads.index("ratio")
    before = [float(value) for value in _column(browser, SORTABLE, column)]
    assert before != sorted(before)
    for direction, falls in (("ascending", False), ("descending", True)):
        assert _click(browser, SORTABLE, column) == direction
        after = [float(value) for value in _column(browser, SORTABLE, column)]
        assert after == sorted(before, reverse=falls)
    marked = browser.find_elements(By.CSS_SELECTOR, f"{SORTABLE} th[aria-sort]")
    assert [head.text.split()[0] for head in marked] == ["ratio"]


def test_words_sort_and_missing_numbers_are_last(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    browser.get(pages["full"])
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, f"{SORTABLE} th")]
    _click(browser, SORTABLE, heads.index("reading"))
    words = _column(browser, SORTABLE, heads.index("reading"))
    assert words == sorted(words) and len(set(words)) == 3
    column = heads.index("massive activations")
    for _ in range(2):
        _click(browser, SORTABLE, column)
        assert [value == "nan" for value in _column(browser, SORTABLE, column)] == (
            [False] * 4 + [True] * 2
        )


def _open_sections(browser: webdriver.Chrome) -> list[str]:
    script = """return Array.from(document.querySelectorAll("main > section"))
      .filter(section => section.querySelector("details").open).map(section => section.id)"""
    return browser.execute_script(script)


def test_every_section_stands_open_with_its_figures(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    """Of a file that has all; where it has nothing for a section, that is folded."""
    browser.get(pages["full"])
    sections = browser.find_elements(By.CSS_SELECTOR, "main > section")
    assert len(sections) == len(CHAPTERS) == len(_open_sections(browser))
    assert all(section.find_elements(By.TAG_NAME, "figure") for section in sections)
    assert not browser.find_elements(By.CSS_SELECTOR, "nav .empty")
    browser.get(pages["small"])
    found = browser.find_elements(By.CSS_SELECTOR, "main > section:has(figure)")
    assert [section.get_attribute("id") for section in found] == _open_sections(browser)
    pale = browser.find_elements(By.CSS_SELECTOR, "nav .empty")
    assert 0 < len(pale) == len(CHAPTERS) - len(found)


def test_sections_fold_and_a_link_opens_its_section(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    browser.get(pages["full"])
    figure = browser.find_element(By.CSS_SELECTOR, "#existence figure")
    assert figure.is_displayed()
    browser.find_element(By.CSS_SELECTOR, "#existence summary").click()
    assert not figure.is_displayed() and "existence" not in _open_sections(browser)
    fold = browser.find_element(By.CSS_SELECTOR, "nav button")
    fold.click()
    browser.execute_async_script("setTimeout(arguments[0], 50)")  # the event "toggle" comes later
    assert _open_sections(browser) == [] and fold.text == "Unfold all"
    for _ in range(2):  # the second time at the address that the page has already
        link = browser.find_element(By.CSS_SELECTOR, 'nav a[href="#existence"]')
        link.click()
        browser.execute_async_script("setTimeout(arguments[0], 50)")
        assert figure.is_displayed() and _open_sections(browser) == ["existence"]
        browser.find_element(By.CSS_SELECTOR, "#existence summary").click()
    browser.get(pages["full"] + "#kurtosis")
    assert browser.find_element(By.ID, "kurtosis").rect["y"] > 0
    top = browser.execute_script("return document.getElementById('kurtosis').getBoundingClientRect().top")
    assert -1 < top < 300


@pytest.mark.parametrize("width", [1200, 500])
def test_the_contents_stay_in_sight(
    browser: webdriver.Chrome, pages: dict[str, str], width: int
) -> None:
    browser.set_window_size(width, 900)
    try:
        browser.get(pages["full"])
        for name in ("registers", "sinks"):
            browser.get(f"{pages['full']}#{name}")
            browser.execute_async_script("setTimeout(arguments[0], 100)")
            box, title = browser.execute_script(
                """return [document.querySelector("nav"), document.querySelector(arguments[0] + " h2")]
                     .map(e => e.getBoundingClientRect()).map(r => [r.top, r.bottom, r.left, r.right])""",
                f"#{name}",
            )
            assert 0 <= box[0] < box[1] <= 900
            assert box[3] <= title[2] or box[1] <= title[0]  # beside it or above it
            current = browser.find_elements(By.CSS_SELECTOR, "nav a[aria-current]")
            assert [link.get_attribute("hash") for link in current] == [f"#{name}"]
    finally:
        browser.set_window_size(1200, 900)


def test_a_long_table_pages_and_sorts_as_a_whole(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    browser.get(pages["long"])
    back, on = browser.find_elements(By.CSS_SELECTOR, ".pager button")
    said = browser.find_element(By.CSS_SELECTOR, ".pager span")
    caption = browser.find_element(By.TAG_NAME, "figcaption").text
    assert f"{ROWS_SHOWN} of {len(LONG):,} rows; the CSV file has all." in caption
    assert said.text == f"rows 1 to {ROWS_OF_PAGE} of {ROWS_SHOWN}" and not back.is_enabled()
    found = _column(browser, "table", 0)
    while on.is_enabled():
        on.click()
        assert len(_column(browser, "table", 0)) <= ROWS_OF_PAGE
        found += _column(browser, "table", 0)
    assert [int(value) for value in found] == LONG[:ROWS_SHOWN].tolist()
    assert said.text.endswith(f" to {ROWS_SHOWN} of {ROWS_SHOWN}")
    assert _click(browser, "table", 0) == "ascending"  # of all rows, and to the first page
    first, second = sorted(LONG[:ROWS_SHOWN])[:ROWS_OF_PAGE], sorted(LONG[:ROWS_SHOWN])[ROWS_OF_PAGE]
    assert [int(value) for value in _column(browser, "table", 0)] == first
    on.click()
    assert int(_column(browser, "table", 0)[0]) == second
    back.click()
    assert [int(value) for value in _column(browser, "table", 0)] == first


def test_what_is_not_in_sight_is_not_laid_out(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    """So a page with many pictures and long tables opens fast."""
    browser.get(pages["full"])
    skipped = browser.execute_script(
        """return Array.from(document.querySelectorAll("main > section"))
             .filter(section => !section.querySelector("figure").checkVisibility(
               { contentVisibilityAuto: true })).length"""
    )
    assert skipped > len(CHAPTERS) / 2
    rows = "return Array.from(document.querySelectorAll('tbody'), body => body.rows.length)"
    assert max(browser.execute_script(rows)) <= ROWS_OF_PAGE


def test_paper_has_what_is_folded(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["small"])
    before = _open_sections(browser)
    browser.execute_script(
        """addEventListener("beforeprint", () => {
             window.printed = document.querySelectorAll("main details[open]").length; })"""
    )
    browser.print_page()
    assert browser.execute_script("return window.printed") == len(CHAPTERS) > len(before)
    assert _open_sections(browser) == before


def test_print_has_no_navigation_and_whole_tables(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    browser.get(pages["full"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    navigation = browser.find_element(By.TAG_NAME, "nav")
    assert navigation.value_of_css_property("display") == "none"
    scroll = browser.find_element(By.CLASS_NAME, "scroll")
    assert scroll.value_of_css_property("overflow-x") == "visible"
    paper = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)  # A4 within its margins
    wide = """return Array.from(document.querySelectorAll("table, svg, pre"))
      .filter(e => e.getBoundingClientRect().right > 718).map(e => e.closest("section").id)"""
    cut_off = browser.execute_script(wide)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert cut_off == []
    assert base64.b64decode(browser.print_page()).startswith(b"%PDF")
