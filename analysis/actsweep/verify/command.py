"""`python -m actsweep verify JOB.toml`: is the program's model transformers' model?

In: a job. Out: a table, layer by layer, of what differs in its first windows, and whether their
tokens are those of the checkpoint's tokenizer; whether all is within the bound. The job's interventions
and statistics are left out: it is the model that is compared, in float32 on both sides.
"""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from .agreement import Layer, compare_layers, loss_difference
from .program import Job, ProgramFailed, corpus_files, find_program, model_directory, read_job
from .reference import BAD_MODEL, Pass, Reference
from .tokens import Finding, check_tokens
from .windows import Measured, Window, measure_windows, read_images, read_windows

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


def verify(request: Request) -> bool:
    """Prints the comparison; whether all keeps its bound."""
    _check_packages()
    program = find_program(request.program)
    job = read_job(program, request.job)
    _silence_transformers()
    directory = request.reference or model_directory(program, job["model"]["path"])
    corpus = corpus_files(job)
    with h5py.File(corpus[0]) as file:
        is_text = "ids" in file
    with tempfile.TemporaryDirectory(prefix="actsweep-verify-") as name:
        folder = Path(name)
        if is_text:
            run = read_windows(program, job, request.windows, folder)
            windows, findings = run.windows, check_tokens(corpus, run.documents, directory)
        else:
            windows, measured = read_images(program, job, request.windows, folder)
            findings = []
        their = _their_side(directory, windows, is_text=is_text)
        if is_text:
            measured = measure_windows(program, job, windows, folder, loss=their.has_head)
    _print_head(job, windows, their, findings)
    is_same_model = _print_layers(request, windows, measured, their)
    wrong = [one for one in findings if not one.is_right]
    if wrong:
        print(f"DIFFER in the tokens: {wrong[0].text}")
    return is_same_model and not wrong


@dataclass(frozen=True)
class TheirSide:
    """What transformers computed."""

    name: str
    notes: list[str]
    has_head: bool
    passes: list[Pass]
    exact: list[Pass] | None  # in float64


def _their_side(directory: Path, windows: list[Window], *, is_text: bool) -> TheirSide:
    """Loads the model, and lets it go in the end."""
    tokens = max(len(window.inputs) for window in windows) if is_text else 0
    reference = Reference(directory, is_text=is_text, tokens=tokens)
    try:
        passes = [reference.run(window.inputs) for window in windows]
    except (RuntimeError, IndexError, ValueError) as error:  # a reference of another vocabulary, say
        words = " ".join(str(error).split())
        message = f"{directory}: transformers cannot run the windows: {words}"
        raise ProgramFailed(message, BAD_MODEL) from error
    exact, notes = None, list(reference.notes)
    try:
        if reference.in_double():
            exact = [reference.run(window.inputs) for window in windows]
        else:
            notes.append("transformers' own error not measured: float64 would take too much memory")
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


def _print_head(job: Job, windows: list[Window], their: TheirSide, findings: list[Finding]) -> None:
    corpus = job["corpus"]
    shapes = [len(window.inputs) for window in windows]
    if windows[0].inputs.ndim == 1:
        cut = f"{corpus.get('windows', 'packed')}, bos {corpus.get('bos', 'none')}"
        content = f"{len(shapes)} of {_range(shapes)} tokens, {cut}"
    else:
        _, height, width = windows[0].inputs.shape
        content = f"{len(shapes)} images of {height} × {width} pixels"
    print(f"{'model':<11}{job['model']['path']}; transformers: {their.name}, float32")
    print(f"{'windows':<11}the first {content}, of {', '.join(path.name for path in corpus_files(job))}")
    for finding in findings:
        print(f"{'tokens':<11}{'' if finding.is_right else 'DIFFER: '}{finding.text}")
    if job.get("intervention"):
        print(f"{'left out':<11}the job's interventions")
    unsure = sum(int((~one.is_sure).sum()) for one in their.passes)
    if unsure:
        total = sum(one.is_sure.size for one in their.passes)
        print(
            f"{'left out':<11}{unsure:,} of {total:,} tokens of layers: two experts tie there, or before"
        )
    if windows[0].inputs.ndim > 1:
        print(f"{'note':<11}pixels are those of the corpus: the checkpoint's processor is not run")
    for note in their.notes:
        print(f"{'note':<11}{note}")


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _print_layers(
    request: Request, windows: list[Window], measured: list[Measured], their: TheirSide
) -> bool:
    mine = [one.stream for one in measured]
    theirs = [one.stream for one in their.passes]
    if mine[0].shape != theirs[0].shape:
        shapes = [" × ".join(map(str, stream[0].shape)) for stream in (mine, theirs)]
        print(f"DIFFER: the streams are {shapes[0]} and {shapes[1]} (layers, tokens, channels)")
        return False
    exact = None if their.exact is None else [one.stream for one in their.exact]
    sure = [one.is_sure for one in their.passes]
    layers = compare_layers(mine, theirs, sure, exact, [window.norms for window in windows])
    print(f"\n{'layer':>5}{'difference':>12}{'own error':>11}{'norms':>10}  largest at")
    for number, layer in enumerate(layers):
        print(_row(number, layer, request.bound))
    loss = _loss(measured, their)
    if loss is not None:
        is_within = loss <= request.bound
        print(f"{'loss':>5}{loss:>12.2g}{'':>23}{'' if is_within else 'BEYOND'}".rstrip())
    return _print_verdict(layers, loss, request.bound)


def _row(number: int, layer: Layer, bound: float) -> str:
    own = "–" if np.isnan(layer.own) else f"{layer.own:.2g}"
    place = f"window {layer.window}, token {layer.token}, channel {layer.channel}"
    verdict = "" if layer.is_within(bound) else "  BEYOND"
    return f"{number:>5}{layer.difference:>12.2g}{own:>11}{layer.norms:>10.2g}  {place}{verdict}"


def _loss(measured: list[Measured], their: TheirSide) -> float | None:
    """The largest difference of the tokens' losses in windows whose experts are sure."""
    pairs = [
        (mine.nll, theirs.nll)
        for mine, theirs in zip(measured, their.passes, strict=True)
        if mine.nll is not None and theirs.nll is not None and theirs.is_sure.all()
    ]
    return loss_difference(*zip(*pairs, strict=True)) if pairs else None


def _print_verdict(layers: list[Layer], loss: float | None, bound: float) -> bool:
    wrong = [number for number, layer in enumerate(layers) if not layer.is_within(bound)]
    unit = "of a channel's largest magnitude"
    if wrong:
        largest = max(layers[wrong[0]].difference, layers[wrong[0]].norms)
        print(f"DIFFER from layer {wrong[0]} on: {largest:.2g} {unit}, bound {bound:g}")
        return False
    largest = max(layer.difference for layer in layers)
    if loss is not None and loss > bound:
        print(f"DIFFER in the loss alone: {loss:.2g} nats, bound {bound:g}")
        return False
    print(f"agree: all {len(layers)} layers within {largest:.2g} {unit}, bound {bound:g}")
    return True
