"""Many config.json through the program and through transformers: refusals, facts, streams."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .bounds import FLOOR, assert_rounds_as_transformers, channel_scale, largest_error
from .config_reference import VISION, Reference, Refused
from .config_variants import Variant
from .family_sweeps import run_jobs
from .image_files import write_image_file
from .sweeps import read_datasets, to_toml
from .token_files import random_corpus, write_token_file

MORE_SAMPLES = 4
SAME = 1e-5  # of a channel's largest magnitude: what transformers makes of equal facts


def facts_program() -> Path:
    build = Path(__file__).resolve().parents[2] / "build"
    return Path(os.environ.get("ACTSWEEP_BUILD", build)) / "tests" / "oracle" / "config_facts"


def read_facts(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """What the program makes of each config.json: one process for all."""
    result = subprocess.run(
        [str(facts_program())], input="".join(f"{path}\n" for path in directories),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == len(directories)
    return lines


def count_elements(mine: dict[str, Any]) -> int:
    """Of all parameters; a tied head is none of its own."""
    names = ("lm_head.weight", "embed_out.weight", "output_projection.weight")
    heads = names if mine["facts"]["ties"] else ()
    return sum(count for name, count in mine["elements"].items() if name not in heads)


@dataclass
class Group:
    """Variants whose facts are equal: one checkpoint serves them all."""

    directory: Path
    stream: np.ndarray  # of the first of them, float32
    exact: np.ndarray  # the same in float64
    reference: Reference
    members: list[str] = field(default_factory=list)


class Comparison:
    """One family's variants, through both."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family, self.folder = family, folder
        self.problems: list[str] = []
        self.refused: list[tuple[Variant, str]] = []  # by the program alone
        self.groups: dict[str, Group] = {}
        self.weights: dict[Any, torch.Tensor] = {}
        self.read = 0

    def compare(self, variants: Sequence[Variant]) -> None:
        directories = []
        for number, variant in enumerate(variants):
            directory = self.folder / f"c{number}"
            directory.mkdir()
            (directory / "config.json").write_text(json.dumps(variant.config))
            directories.append(directory)
        for variant, directory, mine in zip(
            variants, directories, read_facts(directories), strict=True
        ):
            try:
                self._compare_one(variant, directory, mine)
            except AssertionError as error:
                self.problems.append(f"{variant.name}: {str(error)[:600]}")
        self._sweep()

    def _compare_one(self, variant: Variant, directory: Path, mine: dict[str, Any]) -> None:
        try:
            elements = count_elements(mine) if "facts" in mine else None
            reference = Reference(directory, self.family, elements, variant.is_idle)
            stream = None
            if reference.is_small and not variant.is_idle:
                reference.fill(self.weights)
                stream = reference.stream()
        except Refused as refused:
            assert "error" in mine, f"read, though transformers refuses: {refused}"
            self._check_refusal(variant, mine)
            return
        if "error" in mine:
            self._check_refusal(variant, mine)
            self.refused.append((variant, mine["error"]))
            return
        self.read += 1
        facts = mine["facts"]
        if variant.is_idle:
            assert json.dumps(facts) in self.groups, "other facts than any variant that is swept"
            return
        theirs = reference.elements()
        assert elements == theirs, f"{elements} elements of all tensors, transformers has {theirs}"
        for name, value in reference.facts().items():
            assert facts[name] == value, f"{name}: {facts[name]}, transformers has {value}"
        reference.ropes(facts["ropes"])
        if stream is not None:
            self._add(variant, directory, facts, reference, stream)

    def _check_refusal(self, variant: Variant, mine: dict[str, Any]) -> None:
        message = mine["error"]
        assert mine["code"] == 4 and "\n" not in message, message
        assert "config.json: " in message and len(message) < 800, message
        # A type of rotary positions that a family does not have, or that lacks its own parameters.
        keys = (*variant.keys, "rope_type", "type", "short_factor", "short_mscale", "head_dim",
                "llama_4_scaling_beta")  # fmt: skip
        assert any(f'{key}"' in message for key in keys), message

    def _add(
        self, variant: Variant, directory: Path, facts: dict[str, Any], reference: Reference,
        stream: np.ndarray,
    ) -> None:  # fmt: skip
        key = json.dumps(facts)
        if key not in self.groups:
            config = (directory / "config.json").read_text()
            reference.module.save_pretrained(directory)
            (directory / "config.json").write_text(config)
            self._write_job(directory, reference)
            self.groups[key] = Group(directory, stream, reference.exact_stream(), reference)
        group = self.groups[key]
        group.members.append(variant.name)
        assert stream.shape == group.stream.shape, group.members[0]
        same = largest_error([stream], [group.stream], channel_scale([group.stream]))
        assert (same < SAME).all(), f"facts as {group.members[0]}, but another stream: {same}"

    def _write_job(self, directory: Path, reference: Reference) -> None:
        corpus: dict[str, Any] = {"path": str(directory / "corpus.h5")}
        if self.family in VISION:
            write_image_file(directory / "corpus.h5", reference.image[None])
            prompt = "0"
        else:
            ids, prompt = reference.ids, "p"
            text = random_corpus(reference.config.vocab_size, [len(ids)])
            write_token_file(directory / "corpus.h5", text, {prompt: ids})
            corpus["sequence_length"] = len(ids)
        job = {
            "model": {"path": str(directory)},
            "corpus": corpus,
            "parallel": {"threads": 1},
            "statistics": {"loss": False},
            "capture": {"prompts": [prompt]},
            "output": {"path": str(directory / "sweep.h5")},
        }
        (directory / "job.toml").write_text(to_toml(job))

    def _sweep(self) -> None:
        """Each group's checkpoint through the program."""
        groups = {group.directory / "job.toml": group for group in self.groups.values()}
        for path, said in run_jobs(list(groups), 1, self.folder / "log").items():
            group = groups[path]
            name = group.members[0]
            if said:
                self.problems.append(f"{name}: {said}")
                continue
            datasets = read_datasets(group.directory / "sweep.h5")
            (found,) = [d for key, d in datasets.items() if key.endswith("/residual")]
            if found.shape != group.stream.shape:
                self.problems.append(f"{name}: shape {found.shape}, expected {group.stream.shape}")
                continue
            try:
                assert_is_stream(name, found, group)
            except AssertionError as error:
                self.problems.append(f"{name}: another residual stream: {error}")


def assert_is_stream(name: str, found: np.ndarray, group: Group) -> None:
    """A short text is a small sample of transformers' roundings: where it allows too little, so small
    as to be chance, more samples are taken."""
    try:
        assert_rounds_as_transformers(name, [found], [group.stream], [group.exact])
    except AssertionError:
        samples = [[stream] for stream in group.reference.rounded_streams(MORE_SAMPLES)]
        # Where all tokens have one row, a channel's largest is one value, and small by chance.
        has_one_row = bool((np.ptp(group.exact[-1], axis=0) < SAME).all())
        assert_rounds_as_transformers(
            name, [found], [group.stream], [group.exact], samples, 1.0 if has_one_row else FLOOR
        )
