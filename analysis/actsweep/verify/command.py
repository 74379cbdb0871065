"""`python -m actsweep verify JOB.toml`: is the program's model transformers' model?

In: a job. Out: a table, layer by layer, of what differs in its first windows, a line for each statistic that
the job asks for, and whether their tokens are those of the checkpoint's tokenizer; whether all is within the
bound; the same as files beside the job's output. The job's interventions are left out; both sides compute in
float32.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from .agreement import Layer, compare_layers, loss_difference
from .asked import (
    IN_CORPUS, OF_IMAGES, OF_SETS, SHAPES_IN_CORPUS, STATISTICS, asked, readers, stored, wanted_of_windows,
)  # fmt: skip
from .evidence import Report, fingerprints, keep, layer_rows, statistic_rows, versions
from .key_sets import KeySets
from .program import Job, ProgramFailed, corpus_files, find_program, model_facts, read_job
from .reference import BAD_MODEL, Pass, load
from .statistics import Line, compare_statistics
from .table import say_layers, say_statistics, say_verdict
from .tokens import Finding, check_tokens
from .windows import Measured, Statistics, Window, measure_windows, read_images, read_windows

BOUND = 1e-3
NEEDED = ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line."""

    job: Path
    windows: int = 2
    bound: float = BOUND
    program: Path | None = None
    reference: Path | None = None  # a checkpoint for transformers in the place of the job's
    is_layered: bool = False  # transformers' side layer by layer, even where memory holds the model


@dataclass(frozen=True)
class Watched:
    """What hooks look at inside of blocks."""

    readers: Mapping[str, str]  # by site a linear layer that reads it
    sets: KeySets


@dataclass(frozen=True)
class TheirSide:
    """What transformers computed."""

    name: str
    notes: list[str]
    has_head: bool
    passes: list[Pass]
    exact: list[Pass] | None  # in float64


@dataclass(frozen=True)
class OurSide:
    """What actsweep computed, and of what."""

    windows: list[Window]
    findings: list[Finding]  # of tokens
    measured: list[Measured]
    statistics: Statistics
    attributes: Mapping[str, Any]  # of the sweep file


def verify(request: Request) -> bool:
    """Prints the comparison and keeps it; whether all keeps its bound."""
    _check_packages()
    program = find_program(request.program)
    job = read_job(program, request.job)
    _silence_transformers()
    facts = model_facts(program, job["model"]["path"])
    directory = request.reference or Path(facts["path"])
    our, their = _both_sides(request, program, job, directory, facts)
    report = Report()
    _say_head(report, job, our, their)
    is_same_model = _say_layers(report, request, our, their)
    wrong = [one for one in our.findings if not one.is_right]
    if wrong:
        report.say(f"DIFFER in the tokens: {wrong[0].text}")
    report.facts |= _facts(request, job, directory, our, their)
    keep(report, request.job, Path(job["output"]["path"]), is_same_model and not wrong)
    return is_same_model and not wrong


def _both_sides(
    request: Request, program: Path, job: Job, directory: Path, facts: Mapping[str, Any]
) -> tuple[OurSide, TheirSide]:
    corpus = corpus_files(job)
    with h5py.File(corpus[0]) as file:
        is_text = "ids" in file
    both = _text_sides if is_text else _image_sides
    with tempfile.TemporaryDirectory(prefix="actsweep-verify-") as name:
        return both(request, program, job, directory, facts, Path(name))


def _text_sides(
    request: Request, program: Path, job: Job, directory: Path, facts: Mapping[str, Any], folder: Path
) -> tuple[OurSide, TheirSide]:
    wanted, in_corpus, store = wanted_of_windows(job), asked(job, (IN_CORPUS,), SHAPES_IN_CORPUS), stored(job)
    run = read_windows(program, job, request.windows, folder, in_corpus)
    findings = check_tokens(corpus_files(job), run.documents, directory)
    watched = Watched(readers(facts), run.sets) if wanted or in_corpus or store else None
    their = _their_side(directory, run.windows, request, watched, is_text=True)
    keys = {**wanted, "loss": their.has_head}
    measured, statistics = measure_windows(program, job, run.windows, folder, keys, store)
    of_corpus = {
        name: values for name, values in run.statistics.datasets.items() if name.split("/")[0] in OF_SETS
    }
    all_statistics = Statistics({**statistics.datasets, **of_corpus}, statistics.formats)
    return OurSide(run.windows, findings, measured, all_statistics, run.attributes), their


def _image_sides(
    request: Request, program: Path, job: Job, directory: Path, facts: Mapping[str, Any], folder: Path
) -> tuple[OurSide, TheirSide]:
    wanted = asked(job, OF_IMAGES, SHAPES_IN_CORPUS)
    run = read_images(program, job, request.windows, folder, wanted)
    watched = Watched(readers(facts), run.sets) if wanted else None
    their = _their_side(directory, run.windows, request, watched, is_text=False)
    found = run.statistics if wanted else Statistics()
    return OurSide(run.windows, [], run.measured, found, run.attributes), their


def _their_side(
    directory: Path,
    windows: list[Window],
    request: Request,
    watched: Watched | None,
    *,
    is_text: bool,
) -> TheirSide:
    """Loads the model, whole if memory holds it, and lets it go in the end."""
    tokens = max(len(window.inputs) for window in windows) if is_text else 0
    reference = load(directory, is_text=is_text, tokens=tokens, is_layered=request.is_layered)
    if watched is not None:
        reference.watch(watched.readers, watched.sets)
    inputs = [window.inputs for window in windows]
    try:
        passes = reference.run_all(inputs)
    except (RuntimeError, IndexError, ValueError) as error:  # a reference of another vocabulary, say
        words = " ".join(str(error).split())
        message = f"{directory}: transformers cannot run the windows: {words}"
        raise ProgramFailed(message, BAD_MODEL) from error
    exact, notes = None, list(reference.notes)
    try:
        if reference.in_double():
            exact = reference.run_all(inputs)
        else:
            notes.append(reference.without_double)
    except RuntimeError:  # a model that mixes types by itself
        notes.append("transformers' own error not measured: it does not run in float64")
    side = TheirSide(reference.name, notes, reference.has_head, passes, exact)
    del reference
    gc.collect()
    return side


def _check_packages() -> None:
    import importlib.util

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"verify needs {', '.join(missing)}:"
            " pip install './analysis[verify]' brings what is missing"
        )


def _silence_transformers() -> None:
    """Errors alone: what it leaves out or cannot do is in our own lines."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _say_head(report: Report, job: Job, our: OurSide, their: TheirSide) -> None:
    path = job["model"]["path"]
    report.say(f"{'model':<11}{path}; transformers: {their.name}, float32")
    names = ", ".join(path.name for path in corpus_files(job))
    report.say(f"{'windows':<11}the first {_content(job, our.windows)}, of {names}")
    for finding in our.findings:
        report.say(f"{'tokens':<11}{'' if finding.is_right else 'DIFFER: '}{finding.text}")
    if job.get("intervention"):
        report.say(f"{'left out':<11}the job's interventions")
    if job.get("statistics", {}).get("classifier"):
        report.say(f"{'left out':<11}the job's classifier")
    unsure = sum(int((~one.is_sure).sum()) for one in their.passes)
    if unsure:
        total = sum(one.is_sure.size for one in their.passes)
        report.say(
            f"{'left out':<11}{unsure:,} of {total:,} tokens of layers: two experts tie there, or before"
        )
    if our.windows[0].inputs.ndim > 1:
        report.say(f"{'note':<11}pixels are those of the corpus: the checkpoint's processor is not run")
    for note in (*their.notes, *_statistics_left_out(job, our, their)):
        report.say(f"{'note':<11}{note}")


def _content(job: Job, windows: Sequence[Window]) -> str:
    corpus = job["corpus"]
    shapes = [len(window.inputs) for window in windows]
    if windows[0].inputs.ndim == 1:
        cut = f"{corpus.get('windows', 'packed')}, bos {corpus.get('bos', 'none')}"
        return f"{len(shapes)} of {_range(shapes)} tokens, {cut}"
    _, height, width = windows[0].inputs.shape
    return f"{len(shapes)} images of {height} × {width} pixels"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _statistics_left_out(job: Job, our: OurSide, their: TheirSide) -> list[str]:
    """What the job asks for and is not compared, and why."""
    wanted = [key for key in (IN_CORPUS, *STATISTICS) if job.get("statistics", {}).get(key)]
    if not wanted:
        return []
    if not all(one.is_sure.all() for one in their.passes):
        return ["statistics not compared: two experts tie"]
    notes, inside = [], their.passes[0].inside
    is_text = our.windows[0].inputs.ndim == 1
    has = {
        "attention": inside.attention, "attention_received": inside.attention, "score_extrema": inside.attention,
        "event_updates": inside.between, "experts": inside.experts,
        "lifecycle": inside.between, "expert_rows": inside.experts,
    }  # fmt: skip
    for key in wanted:
        if not is_text and key not in OF_IMAGES:
            notes.append(f"{key} not compared: the corpus has images")
        elif key in has and not has[key]:
            notes.append(f"{key} not compared: transformers' blocks do not show it")
    return notes


def _say_layers(report: Report, request: Request, our: OurSide, their: TheirSide) -> bool:
    mine = [one.stream for one in our.measured]
    theirs = [one.stream for one in their.passes]
    if mine[0].shape != theirs[0].shape:
        shapes = [" × ".join(map(str, stream[0].shape)) for stream in (mine, theirs)]
        report.say(f"DIFFER: the streams are {shapes[0]} and {shapes[1]} (layers, tokens, channels)")
        return False
    exact = None if their.exact is None else [one.stream for one in their.exact]
    sure = [one.is_sure for one in their.passes]
    layers = compare_layers(mine, theirs, sure, exact, [window.norms for window in our.windows])
    loss = _loss(our.measured, their)
    lines = _lines(our.statistics, their, request.bound)
    say_layers(report, layers, loss, request.bound)
    say_statistics(report, lines)
    report.facts |= {
        "layers": layer_rows(layers, request.bound), "loss": loss, "statistics": statistic_rows(lines),
    }  # fmt: skip
    return say_verdict(report, layers, loss, lines, request.bound)


def _lines(statistics: Statistics, their: TheirSide, bound: float) -> list[Line]:
    if not statistics.datasets or not all(one.is_sure.all() for one in their.passes):
        return []
    return compare_statistics(
        statistics.datasets, their.passes, their.exact, statistics.formats, bound
    )


def _loss(measured: list[Measured], their: TheirSide) -> float | None:
    """The largest difference of the tokens' losses in windows whose experts are sure."""
    pairs = [
        (mine.nll, theirs.nll)
        for mine, theirs in zip(measured, their.passes, strict=True)
        if mine.nll is not None and theirs.nll is not None and theirs.is_sure.all()
    ]
    return loss_difference(*zip(*pairs, strict=True)) if pairs else None


def _facts(
    request: Request, job: Job, directory: Path, our: OurSide, their: TheirSide
) -> dict[str, Any]:
    """What the evidence says beside the differences."""
    return {
        "job": str(request.job),
        "model": job["model"]["path"],
        "reference": str(directory),
        "transformers_side": their.name,
        "bound": request.bound,
        "windows": [list(window.inputs.shape) for window in our.windows],
        "versions": versions(our.attributes),
        "fingerprints": fingerprints(our.attributes, our.windows),
        "tokens": [{"is_right": one.is_right, "text": one.text} for one in our.findings],
        "notes": [*their.notes, *_statistics_left_out(job, our, their)],
    }
