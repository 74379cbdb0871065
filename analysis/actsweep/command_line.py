"""The commands of `python -m actsweep` and their options.

In: nothing. Out: the parser. Refuses a number out of its range.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from .compare import SUM_TOLERANCE
from .export import export_imatrix, export_llm_compressor, export_smoothquant
from .export_store import SHARD_BYTES
from .verify import BOUND

EXPORTS = {
    "imatrix": export_imatrix,
    "llm-compressor": export_llm_compressor,
    "smoothquant": export_smoothquant,
}
OF_STORE = "safetensors"


def parser() -> argparse.ArgumentParser:
    """Of all commands; `command` is the name of the one that is given, or None."""
    program = argparse.ArgumentParser(prog="python -m actsweep", description="Reads sweep files.")
    commands = program.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    pictures = commands.add_parser("pictures", help="draw the pictures of a sweep file")
    pictures.add_argument("file", type=Path, metavar="FILE.h5")
    pictures.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    pictures.add_argument("--prompt", metavar="NAME", help="one captured prompt (default: all)")
    report = commands.add_parser("report", help="write one page about one file or many")
    report.add_argument("files", type=Path, nargs="+", metavar="FILE.h5")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    compare = commands.add_parser(
        "compare", help="check two files of one model, or tabulate two models"
    )
    compare.add_argument("first", type=Path, metavar="A.h5")
    compare.add_argument("second", type=Path, metavar="B.h5")
    compare.add_argument(
        "--tolerance",
        type=float,
        metavar="R",
        help="bound of every dataset of floats, relative to the largest magnitude of its layer"
        f" (default: {SUM_TOLERANCE:g} for sums, all else exact)",
    )
    _add_export(commands)
    tasks = commands.add_parser("tasks", help="print the accuracies of a sweep of tasks")
    tasks.add_argument("file", type=Path, metavar="FILE.h5")
    _add_verify(commands)
    _add_sweep(commands)
    summary = commands.add_parser("info", help="print a summary of a sweep file")
    summary.add_argument("file", type=Path, metavar="FILE.h5")
    return program


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export", help="write statistics for a quantizer, or stored activations"
    )
    parser.add_argument("format", choices=sorted([*EXPORTS, OF_STORE]))
    parser.add_argument("file", type=Path, metavar="FILE.h5")
    parser.add_argument("output", type=Path, metavar="OUT", help=f"of {OF_STORE}: a folder")
    of_store = parser.add_argument_group(f"of {OF_STORE}")
    of_store.add_argument("--sites", nargs="+", metavar="SITE", help="default: all that are stored")
    of_store.add_argument("--layers", nargs="+", type=int, metavar="L", help="default: all")
    of_store.add_argument(
        "--shard-bytes",
        type=_positive,
        metavar="N",
        help=f"of the values of a shard (default: {SHARD_BYTES:,})",
    )


def _add_verify(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "verify", help="run a job's first windows through transformers too, and compare"
    )
    parser.add_argument("job", type=Path, metavar="JOB.toml")
    parser.add_argument("--windows", type=_positive, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--bound",
        type=_bound,
        default=BOUND,
        metavar="R",
        help=f"bound of the difference, of a channel's largest magnitude or in nats (default: {BOUND:g})",
    )
    parser.add_argument("--program", type=Path, help="default: build/actsweep, or that of the PATH")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="checkpoint that transformers loads instead of the job's",
    )
    parser.add_argument(
        "--layer-by-layer",
        action="store_true",
        help="one layer of transformers' model in memory at a time (default: if memory holds no more)",
    )


def _add_sweep(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("sweep", help="from a model and texts to a report, in one command")
    parser.add_argument("--model", required=True, help="checkpoint directory, or hf:ORG/NAME[@REVISION]")
    parser.add_argument(
        "--text", required=True, nargs="+", metavar="FILE", help="files of texts, folders, patterns"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5")
    parser.add_argument("--ranks", type=_positive, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--sequence-length", type=_positive, default=512, metavar="T", help="default: 512"
    )
    parser.add_argument("--windows", type=_positive, metavar="N", help="default: all of the corpus")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the job, as in actsweep run"
    )
    parser.add_argument(
        "--prepare",
        type=shlex.split,
        default=[],
        metavar="OPTIONS",
        help="options for data/prepare_corpus.py, in one text: --prepare='--text-field body'",
    )
    parser.add_argument("--program", type=Path, help="default: build/actsweep, or that of the PATH")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with prepare_corpus.py")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {number}")
    return number


def _bound(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, found {text}")
    return number
