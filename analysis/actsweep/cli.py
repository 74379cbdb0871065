"""`python -m actsweep`: reports, pictures and a summary of sweep files.

In: a subcommand and sweep files. Out: what it writes with its path printed, or a summary. A file or
prompt that does not serve is one line on stderr and exit code 2, an output that cannot be written 6;
a comparison beyond its bounds is exit code 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from . import info
from .command_line import EXPORTS, OF_STORE, parser
from .compare import Difference, differences, identity_differences, overview, same_model
from .export_store import SHARD_BYTES, export_activations
from .linear_layers import missing_inputs
from .output import OutputError
from .pictures import layer_curve, magnitude_3d, save
from .report import write_report
from .report.cells import cell_text
from .report.write import labelled
from .results import image_classes
from .results.tasks import accuracies, perplexities
from .sweep import KEYS, Sweep, open_sweep
from .sweep_command import SweepRequest, sweep
from .verify import ProgramFailed, Request, verify

BAD_INPUT, BAD_OUTPUT = 2, 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code."""
    program = parser()
    options = program.parse_args(arguments)
    if options.command is None:
        program.print_help(sys.stderr)
        return BAD_INPUT
    try:
        return COMMANDS[options.command](options) or 0
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
        tables = []
        if sweep.has("classification"):
            tables.append(image_classes.accuracies(sweep))
        if sweep.has("requests") or not tables:
            tables += [accuracies(sweep), perplexities(sweep)]
        for table in tables:
            if len(table):
                print(table.map(cell_text).to_string(index=False))


def _inform(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        for line in info.lines(sweep):
            print(line)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "compare": _compare,
    "export": _export,
    "info": _inform,
    "pictures": _draw,
    "report": _report,
    "sweep": _sweep,
    "tasks": _tell_tasks,
    "verify": _verify,
}
