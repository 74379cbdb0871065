"""`python -m actsweep`: reports, pictures and a summary of sweep files.

In: a subcommand and sweep files. Out: what it writes with its path printed, or a summary. A file or
prompt that does not serve is one line on stderr and exit code 2; a comparison beyond its bounds is
exit code 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .compare import (
    SUM_TOLERANCE,
    Difference,
    differences,
    identity_differences,
    overview,
    same_model,
)
from .export import export_imatrix, export_smoothquant
from .findings import massive_channels
from .labels import number_label
from .linear_layers import missing_inputs
from .pictures import layer_curve, magnitude_3d, save
from .report import write_report
from .report.cells import cell_text
from .report.write import labelled
from .sweep import Sweep, open_sweep

CHANNELS_LISTED = 10
EXPORTS = {"imatrix": export_imatrix, "smoothquant": export_smoothquant}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (ValueError, OSError) as error:
        print(f"actsweep: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actsweep", description="Reads sweep files.")
    commands = parser.add_subparsers(required=True)
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
        "compare", help="one model twice: a check of every dataset; two models: a table"
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
    export = commands.add_parser("export", help="write statistics for a quantizer")
    export.add_argument("format", choices=sorted(EXPORTS))
    export.add_argument("file", type=Path, metavar="FILE.h5")
    export.add_argument("output", type=Path, metavar="OUT")
    export.set_defaults(command=_export)
    info = commands.add_parser("info", help="print a summary of a sweep file")
    info.add_argument("file", type=Path, metavar="FILE.h5")
    info.set_defaults(command=_inform)
    return parser


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


def _export(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        layers = EXPORTS[options.format](sweep, options.output)
        print(f"{options.output}: {layers} linear layers")
        missing = missing_inputs(sweep)
        if missing:
            print(f"without {', '.join(missing)}: not in the file", file=sys.stderr)


def _draw(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        _draw_sweep(sweep, options)


def _draw_sweep(sweep: Sweep, options: argparse.Namespace) -> None:
    # The prompts first: a name that the file lacks is refused before anything is written.
    prompts = [options.prompt] if options.prompt is not None else sweep.prompts
    for prompt in prompts:
        stem = "magnitude_3d_" + re.sub(r"[^\w.-]", "_", prompt)
        _print_paths(save(magnitude_3d(sweep, prompt), options.output, stem))
    _print_paths(save(layer_curve(sweep), options.output, "layer_curve"))
    if not prompts:
        print("no captured prompts: no 3-D pictures", file=sys.stderr)


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        print(path)


def _inform(options: argparse.Namespace) -> None:
    with open_sweep(options.file) as sweep:
        _print_summary(sweep)
        _print_massive(sweep)


def _print_summary(sweep: Sweep) -> None:
    attributes, residual = sweep.attributes, sweep.residual
    nonfinite = residual["nonfinite_tokens"].values  # [layer]
    tokens = int(residual["count"][0]) + nonfinite[0]
    sequences = sweep.sequences.sizes["sequence"]
    rows = [
        ("file", f"{sweep.path}, of {attributes['created']}"),
        ("model", f"{attributes['model_name']} ({attributes['model_family']})"),
        ("shape", f"{attributes['num_layers']} layers, {attributes['hidden_size']} channels"),
        ("program", f"actsweep {attributes['software_version']}, {attributes['git_commit'][:12]}"),
        ("dtype", f"{attributes['dtype']}, residual {attributes['residual_dtype']}"),
        ("ranks", f"model group of {attributes['model_group_size']}"),
        ("corpus", f"{tokens:,} tokens in {sequences:,} sequences"),
        ("prompts", ", ".join(sweep.prompts) or "none captured"),
    ]
    if nonfinite.any():
        layers = ", ".join(f"{layer}: {nonfinite[layer]:,}" for layer in nonfinite.nonzero()[0])
        rows.insert(0, ("NON-FINITE", f"tokens left out by layer: {layers}"))
    if sweep.perplexity is not None:
        rows.append(("perplexity", f"{sweep.perplexity:.4f}"))
    for name, value in rows:
        print(f"{name:<11}{value}")


def _print_massive(sweep: Sweep) -> None:
    criterion = sweep.criterion
    table = massive_channels(sweep.massive, int(sweep.attributes["hidden_size"]))
    events = sweep.massive.sizes["event"]
    left_out = int(sweep.events_left_out.sum())
    print(
        f"{'massive':<11}{events:,} events in {table.sizes['channel']} channels"
        f" (> {number_label(criterion.magnitude)} and ≥ {number_label(criterion.ratio)} × median;"
        f" {left_out:,} more not listed in the file)"
    )
    if not events:
        return
    print(f"\n{'channel':>8}{'layers':>10}{'events':>12}{'position 0':>12}{'largest':>12}")
    for index in range(min(table.sizes["channel"], CHANNELS_LISTED)):
        row = table.isel(channel=index)
        layers = f"{int(row['first_layer'])}–{int(row['last_layer'])}"
        share = int(row["events_at_position_0"]) / int(row["events"])
        largest = number_label(float(row["max_magnitude"]))
        print(
            f"{int(row['channel']):>8}{layers:>10}{int(row['events']):>12,}"
            f"{share:>12.1%}{largest:>12}"
        )
    hidden = table.sizes["channel"] - CHANNELS_LISTED
    if hidden > 0:
        print(f"{'…':>8}  {hidden} more channels")
