"""The report in a real browser: Chromium, headless, driven through chromedriver."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from actsweep.report import write_report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)
SORTABLE = "#existence table.sortable"


@pytest.fixture(scope="module")
def pages(
    report: Path, sweep_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The addresses of a report with everything in it, and of one with hardly anything."""
    small = write_report([sweep_path], tmp_path_factory.mktemp("small"))
    return {"full": (report / "index.html").as_uri(), "small": small.as_uri()}


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    arguments = ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,900")
    for argument in arguments:
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
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
