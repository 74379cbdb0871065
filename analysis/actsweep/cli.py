"""`python -m actsweep`: reports, pictures and a summary of sweep files.

In: a subcommand and sweep files. Out: what it writes with its path printed, or a summary. A file or
prompt that does not serve is one line on stderr and exit code 2, an output that cannot be written 6;
a comparison beyond its bounds is exit code 1.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from . import info
from .compare import (
    SUM_TOLERANCE,
    Difference,
    differences,
    identity_differences,
    overview,
    same_model,
)
from .export import export_imatrix, export_llm_compressor, export_smoothquant
from .export_store import SHARD_BYTES, export_activations
from .linear_layers import missing_inputs
from .output import OutputError
from .pictures import layer_curve, magnitude_3d, save
from .report import write_report
from .report.cells import cell_text
from .report.write import labelled
from .results.tasks import accuracies, perplexities
from .sweep import KEYS, Sweep, open_sweep
from .sweep_command import SweepRequest, sweep
from .verify import BOUND, ProgramFailed, Request, verify

BAD_INPUT, BAD_OUTPUT = 2, 6
EXPORTS = {
    "imatrix": export_imatrix,
    "llm-compressor": export_llm_compressor,
    "smoothquant": export_smoothquant,
}
OF_STORE = "safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    try:
        return options.command(options) or 0
    except OutputError as error:
        print(f"actsweep: {error}", file=sys.stderr)
        return BAD_OUTPUT
    except ValueError as error:
        print(f"actsweep: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        # HDF5's have no number: of a dataset that it cannot read.
        fault = error.strerror if error.errno else "a dataset is damaged"
        print(f"actsweep: {_named_files(options)}: cannot be read: {fault}", file=sys.stderr)
        return BAD_INPUT


def _named_files(options: argparse.Namespace) -> str:
    """The inputs of a command, for an error that names none."""
    given = vars(options)
    named = [given[key] for key in ("file", "first", "second", "job") if key in given]
    return ", ".join(map(str, named + given.get("files", [])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actsweep", description="Reads sweep files.")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    pictures = commands.add_parser("pictures", help="draw the pictures of a sweep file")
    pictures.add_argument("file", type=Path, metavar="FILE.h5")
    pictures.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    pictures.add_argument("--prompt", metavar="NAME", help="one captured prompt (default: all)")
    pictures.set_defaults(command=_draw)
    report = commands.add_parser("report", help="write one page about one file or many")
    report.add_argument("files", type=Path, nargs="+", metavar="FILE.h5")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    report.set_defaults(command=_report)
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
    compare.set_defaults(command=_compare)
    _add_export(commands)
    tasks = commands.add_parser("tasks", help="print the accuracies of a sweep of tasks")
    tasks.add_argument("file", type=Path, metavar="FILE.h5")
    tasks.set_defaults(command=_tell_tasks)
    _add_verify(commands)
    _add_sweep(commands)
    summary = commands.add_parser("info", help="print a summary of a sweep file")
    summary.add_argument("file", type=Path, metavar="FILE.h5")
    summary.set_defaults(command=_inform)
    return parser


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
    parser.set_defaults(command=_export)


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
    parser.set_defaults(command=_verify)


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
    parser.set_defaults(command=_sweep)


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


def _verify(options: argparse.Namespace) -> int:
    request = Request(
        options.job,
        options.windows,
        options.bound,
        options.program,
        options.reference,
        options.layer_by_layer,
    )
    return _until_failed(lambda: None if verify(request) else 1)


def _until_failed(work: Callable[[], int | None]) -> int:
    try:
        return work() or 0
    except ProgramFailed as error:
        print(f"actsweep: {error}", file=sys.stderr)
        return error.code


def _sweep(options: argparse.Namespace) -> int:
    request = SweepRequest(
        model=options.model,
        text=options.text,
        output=options.output,
        ranks=options.ranks,
        sequence_length=options.sequence_length,
        windows=options.windows,
        sets=options.set,
        preparing=options.prepare,
        program=options.program,
        data=options.data,
    )
    return _until_failed(lambda: sweep(request))


def _report(options: argparse.Namespace) -> None:
    print(write_report(options.files, options.output))


def _compare(options: argparse.Namespace) -> int:
    with open_sweep(options.first) as first, open_sweep(options.second) as second:
        if not same_model(first, second):
            labels = [model.label for model in labelled([first, second])]
            table = pd.DataFrame([overview(first), overview(second)], index=labels).T
            print(table.map(cell_text).to_string())
            return 0
        for difference in identity_differences(first, second):
            print(f"the jobs differ in {difference}")
    return _check(differences(options.first, options.second, options.tolerance))


def _check(found: list[Difference]) -> int:
    """Prints what differs; 1 where a bound is exceeded."""
    for one in found:
        if not one.passes or one.found:
            verdict = "within" if one.passes else "EXCEEDS"
            amount = one.remark or f"{one.found:.3g}, {verdict} the bound {one.bound:g}"
            print(f"{one.dataset}: {amount}")
    beyond = sum(not one.passes for one in found)
    equal = sum(one.passes and not one.found for one in found)
    print(
        f"{len(found)} datasets: {equal} equal, {len(found) - equal - beyond} within their bounds,"
        f" {beyond} beyond"
    )
    return 1 if beyond else 0


def _export_store(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        shards = export_activations(
            sweep, options.output, options.sites, options.layers, options.shard_bytes or SHARD_BYTES
        )
        print(
            f"{options.output}: {len(shards.tensors)} tensors of {shards.rows:,} rows"
            f" in {len(shards.files)} shards"
        )
        for note in shards.notes:
            print(note, file=sys.stderr)


def _export(options: argparse.Namespace) -> None:
    if options.format == OF_STORE:
        return _export_store(options)
    for name in ("sites", "layers", "shard_bytes"):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option}: is of export {OF_STORE}, found export {options.format}")
    with open_sweep(options.file) as sweep:
        export = EXPORTS[options.format](sweep, options.output)
        print(f"{options.output}: {len(export.tensors)} linear layers")
        for note in export.notes:
            print(f"warning: {note}", file=sys.stderr)
        missing = missing_inputs(sweep)
        if missing:
            print(f"without {', '.join(missing)}: not in the file", file=sys.stderr)


def _draw(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        # The prompts first: a name that the file lacks is refused before anything is written.
        wanted = options.prompt
        prompts = [wanted] if wanted is not None else sweep.captured("residual")
        has_curve = sweep.has("residual")
        if not prompts and not has_curve:
            raise ValueError(
                f"{sweep.path}: nothing to draw: no residual stream, which the job keys"
                f" {KEYS['residual']} and {KEYS['capture']} bring"
            )
        for prompt in prompts:
            stem = "magnitude_3d_" + re.sub(r"[^\w.-]", "_", prompt)
            _print_paths(save(magnitude_3d(sweep, prompt), options.output, stem))
        if has_curve:
            _print_paths(save(layer_curve(sweep), options.output, "layer_curve"))
        else:
            key = KEYS["residual"]
            print(f"no layer curve: the job key {key} brings it", file=sys.stderr)
        if not prompts:
            print(_why_no_prompts(sweep), file=sys.stderr)


def _why_no_prompts(sweep: Sweep) -> str:
    if not sweep.prompts:
        return "no captured prompts: no 3-D pictures"
    names = ", ".join(sweep.prompts)
    return (
        f"no residual stream of the captured prompts {names}: no 3-D pictures; the job key"
        ' [capture] sites = ["residual"] brings them'
    )


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        print(path)


def _tell_tasks(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        for table in (accuracies(sweep), perplexities(sweep)):
            if len(table):
                print(table.map(cell_text).to_string(index=False))


def _inform(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        for line in info.lines(sweep):
            print(line)
