"""What is written takes the place of its name whole, whoever else writes there."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from actsweep.output import whole_file


def write_fully(path: Path, source: Path) -> None:
    with whole_file(path, source) as partial:
        partial.write_text("second")


def test_two_processes_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    source = tmp_path / "sweep.h5"
    source.touch()
    path = tmp_path / "export"
    with whole_file(path, source) as partial:
        partial.write_text("first")
        second = multiprocessing.get_context("fork").Process(target=write_fully, args=(path, source))
        second.start()
        second.join()
        assert second.exitcode == 0 and path.read_text() == "second"
        assert partial.read_text() == "first"
    assert path.read_text() == "first"
    assert {file.name for file in tmp_path.iterdir()} == {"export", "sweep.h5"}


def test_what_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    source = tmp_path / "sweep.h5"
    source.touch()
    path = tmp_path / "export"
    path.write_text("before")
    try:
        with whole_file(path, source) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert path.read_text() == "before"
    assert {file.name for file in tmp_path.iterdir()} == {"export", "sweep.h5"}
