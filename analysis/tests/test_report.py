"""The page of a report: it is whole by itself, and its numbers are those of its CSV files."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sample_sweep import Sample, write_sweep

import actsweep
from actsweep.cli import main
from actsweep.report import cells, effects, location, write_report
from actsweep.report.chapters import CHAPTERS
from actsweep.report.content import Model
from actsweep.report.panels import Axis, curves
from actsweep.report.write import labelled

KEYS = (
    "[statistics] sites = ",
    '[statistics] attention = ["position:0"]',
    "[statistics] attention_received = true",
    "[statistics] score_extrema = true",
    "[statistics] value_updates = true",
    "[statistics] query_key = true",
    "[statistics] quantisation = true",
    "[statistics] channel_quantiles = true",
    "[statistics] geometry = true",
    "[statistics] event_updates = true",
    "[statistics] lifecycle = true",
    "[statistics] formats = ",
    "[statistics] experts = true",
    "[[intervention]]",
    "attention = true",
)


class Page(HTMLParser):
    """The tables of a page by the name of their CSV file, its links and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.links: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self._name, self._cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        if tag == "a":
            self.links.append(values["href"])
            if values["href"].endswith(".csv"):
                self._name = Path(values["href"]).stem
        if tag in ("script", "img", "iframe", "image") and ("src" in values or "href" in values):
            self.loads.append(values.get("src") or values["href"])
        if tag == "link":
            self.loads.append(values["href"])
        if tag == "table":
            self.tables[self._name] = []
        if tag == "tr":
            self.tables[self._name].append([])
        if tag in ("td", "th"):
            self.tables[self._name][-1].append(values.get("data-value", ""))
            self._cell = not self.tables[self._name][-1][-1]

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[self._name][-1][-1] += data


@pytest.fixture(scope="session")
def page(report: Path) -> Page:
    return Page((report / "index.html").read_text())


def test_every_table_is_its_csv_file(report: Path, page: Page) -> None:
    assert len(page.tables) >= 20
    for name, rows in page.tables.items():
        frame = pd.read_csv(report / "data" / f"{name}.csv", keep_default_na=False)
        heads, body = rows[0], rows[1:]
        assert heads == list(frame.columns)
        shown = cells.rows_shown(frame).astype(str)
        assert len(body) == len(shown) > 0
        for row, expected in zip(body, shown.values.tolist(), strict=True):
            for found, wanted in zip(row, expected, strict=True):
                if wanted in ("", "nan"):
                    assert found in ("", "nan")
                elif re.fullmatch(r"-?[\d.]+(e[-+]\d+)?", found):
                    assert float(found) == float(wanted)
                else:
                    assert found == wanted


def test_every_picture_has_its_files_and_numbers(report: Path, page: Page) -> None:
    svgs = {path.stem for path in report.glob("*.svg")}
    assert len(svgs) > 20
    assert svgs == {path.stem for path in report.glob("*.png")}
    assert svgs <= {path.stem for path in (report / "data").glob("*.csv")}
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (report / link).stat().st_size > 20
    linked = {report / link for link in page.links if not link.startswith("#")}
    written = {path for path in report.rglob("*") if path.is_file()}
    assert linked == written - {report / "index.html"}


def test_the_page_loads_nothing_from_elsewhere(report: Path, page: Page) -> None:
    assert all(target.startswith("data:") for target in page.loads)
    text = (report / "index.html").read_text()
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_ids_are_unique(page: Page) -> None:
    assert len(page.ids) > 100 and len(set(page.ids)) == len(page.ids)


def test_every_figure_names_its_datasets(report: Path) -> None:
    text = (report / "index.html").read_text()
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    assert len(figures) > 40
    for figure in figures:
        assert re.search(r'class="source">From <code>(/|root)', figure)


def test_datasets_that_are_named_are_in_the_file(report: Path, study_path: Path) -> None:
    text = (report / "index.html").read_text()
    names = {
        name.replace("SITE", "residual") for name in re.findall(r"<code>(/\w[^<]*)</code>", text)
    }
    with h5py.File(study_path) as file:
        assert len(names) > 50 and {name for name in names if name not in file} == set()


def test_every_section_stands_in_the_page_in_order(page: Page) -> None:
    found = [link[1:] for link in page.links if link.startswith("#")]
    assert len(found) == len(CHAPTERS) and [one for one in page.ids if one in found] == found


def test_what_is_missing_names_its_job_key(small_report: Path) -> None:
    text = small_report.read_text()
    missing = re.findall(r'<p class="absent">(.*?)</p>', text)
    for key in KEYS:
        assert any(key in line.replace("&quot;", '"') for line in missing), key
    assert all("sample_model" in line for line in missing)
    for section in re.findall(r'<section id="(\w+)">(.*?)</section>', text, re.S):
        assert "<figure" in section[1] or 'class="absent"' in section[1]


def test_models_of_one_name_are_told_apart(page: Page) -> None:
    labels = [row[0] for row in page.tables["files"][1:]]
    assert labels == ["sample_model (study)", "sample_model (sample)"]


def _models(stack: ExitStack, *paths: Path) -> list[Model]:
    return labelled([stack.enter_context(actsweep.open(path)) for path in paths])


def test_depth_aligns_models_of_different_length(
    sweep_path: Path, sample: Sample, tmp_path: Path
) -> None:
    short = Sample(**{**vars(sample), "residual": sample.residual[:3], "captures": {}})
    other = write_sweep(tmp_path / "short.h5", short)
    with ExitStack() as stack:
        parts = location.existence(_models(stack, sweep_path, other)).parts
        frame = next(part.frame for part in parts if part.name == "layer_curves_by_depth")
        drawn = next(part for part in parts if part.name == "layer_curves_by_depth").draw()
    depths = frame.groupby("model", sort=False)["depth"].apply(list).tolist()
    assert depths == [[0, 0.25, 0.5, 0.75, 1], [0, 0.5, 1]]
    lines = drawn.axes[0].lines
    assert [line.get_xdata().tolist() for line in lines] == depths
    assert [line.get_ydata().tolist() for line in lines] == (
        frame.groupby("model", sort=False)["top 1"].apply(list).tolist()
    )


def test_a_quiet_file_has_a_report(sample: Sample, tmp_path: Path) -> None:
    calm = Sample(**{**vars(sample), "criterion": (1e6, 1000.0), "captures": {}})
    path = write_sweep(tmp_path / "calm.h5", calm)
    text = write_report([path], tmp_path / "report").read_text()
    assert "<p>None.</p>" in text and ">none<" in text


def test_text_is_escaped(sample: Sample, tmp_path: Path) -> None:
    vocabulary = [b"<script>alert(1)</script>"] * 10
    evil = Sample(**{**vars(sample), "vocabulary": vocabulary, "model_name": "<b>&"})
    text = write_report([write_sweep(tmp_path / "evil.h5", evil)], tmp_path / "report").read_text()
    assert "alert(1)" in text and "<script>alert" not in text and "<b>" not in text


def test_intervened_files_say_so(study_path: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(study_path, tmp_path / "zero.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["intervention"] = '[[intervention]]\nlayer = 2\naction = "zero"\n'
    with ExitStack() as stack:
        models = _models(stack, study_path, path)
        tables = {
            part.name: part.frame
            for section in (location.files(models), effects.interventions(models))
            for part in section.parts
        }
    said = tables["interventions_of_files"].values.tolist()
    assert said == [["sample_model (zero)", '[[intervention]]\nlayer = 2\naction = "zero"']]
    pair = tables["interventions_across_files"].iloc[0]
    assert (pair["model"], pair["against"]) == ("sample_model (zero)", "sample_model (study)")
    assert pair["difference, nats"] == 0 and pair["paired tokens"] == 33


def test_the_command_prints_the_page_and_equal_files_give_equal_pages(
    sweep_path: Path, small_report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(sweep_path), "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'index.html'}\n"
    assert (tmp_path / "index.html").read_bytes() == small_report.read_bytes()


def test_nothing_is_written_where_a_file_is_refused(
    sweep_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "report"
    assert main(["report", str(sweep_path), str(tmp_path / "absent.h5"), "-o", str(folder)]) == 2
    assert "absent.h5: expected a sweep file" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345678, "12,345,678"),
        (24360.83, "24,361"),
        (0.0710123, "0.07101"),
        (1.5e-7, "1.5e-07"),
        (np.float32(0), "0"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        ("a", "a"),
    ],
)
def test_numbers_are_short(value: object, text: str) -> None:
    assert cells.cell_text(value) == text


def test_each_series_differs_by_more_than_colour() -> None:
    frame = pd.DataFrame(
        [("m", name, x, x + 1.0) for name in "abcdefg" for x in range(3)],
        columns=["model", "series", "layer", "y"],
    )
    figure = curves(frame, Axis("layer", "layer"), Axis("y", "y"), "series")
    lines = figure.axes[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(lines) == 7
    assert len({line.get_color() for line in lines}) == 7


def test_curves_draw_their_frame(studied: actsweep.Sweep) -> None:
    frame = pd.DataFrame({"model": "m", "series": "s", "layer": [1, 2], "y": [3.0, 4.0]})
    frame = frame.assign(low=[2.0, 3.5], high=[4.0, 4.5])
    axes = curves(frame, Axis("layer", "l"), Axis("y", "y"), "series", ("low", "high")).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 3], [2, 4]])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (2.0, 4.5)
