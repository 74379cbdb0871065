"""The tables of the study in docs/findings.md.

In: the study's sweeps, and the evidence of `verify` beside them. Out: rows of Markdown by the name of the table.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import actsweep
import numpy as np
from actsweep.results import (
    attention,
    constancy,
    geometry,
    interventions,
    location,
    quantisation,
    second_look,
    tasks,
    updates,
    value_updates,
)
from actsweep.results.events import SEQUENCE_READING, events_by

LAYERS_SHOWN = 8


def row(cells: list[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def layers_to_show(layers: int) -> list[int]:
    """The embedding, the last layer and some between."""
    return sorted({round(layers * i / (LAYERS_SHOWN - 1)) for i in range(LAYERS_SHOWN)})


class Study:
    """The sweeps of one model: its location sweep, and the others by name, where it has them."""

    def __init__(self, location_file: Path, stack: contextlib.ExitStack) -> None:
        self.name = location_file.stem.removesuffix("-location")
        self.location = stack.enter_context(actsweep.open(location_file))
        self.curves = location.layer_curves(self.location)
        self.peak = int(self.curves["top 1"].to_numpy().argmax())
        self.layers = self._massive_layers()
        self.others = {
            kind: stack.enter_context(actsweep.open(path))
            for kind in ("attention", "interventions", "tasks", "mechanisms")
            if (path := location_file.with_name(f"{self.name}-{kind}.h5")).exists()
        }

    def _massive_layers(self) -> list[int]:
        """First layer with an event, first and last in which most sequences have one; or none."""
        massive = self.location.massive
        official = (massive["reading"].values & SEQUENCE_READING) > 0
        pairs = {
            (int(layer), int(sequence))
            for layer, sequence in zip(
                massive["layer"].values[official], massive["sequence"].values[official], strict=True
            )
        }
        sequences = Counter(layer for layer, _ in pairs)
        many = [n for n in sequences if 2 * sequences[n] > self.location.sequences.sizes["sequence"]]
        return [min(sequences), min(many), max(many)] if many else []

    def spans(self, blocks: int) -> list[tuple[str, range]]:
        """Blocks by what their input holds: nothing massive yet, in few, in most sequences, past."""
        if not self.layers:
            return [("no event in any layer", range(1, blocks + 1))]
        first, most, last = self.layers
        spans = [("before any event", range(1, first + 1)), ("in few sequences", range(first + 1, most + 1)),
                 ("in most sequences", range(most + 1, min(last + 1, blocks) + 1)),
                 ("no longer", range(last + 2, blocks + 1))]  # fmt: skip
        return [(name, span) for name, span in spans if span]


def blocks_text(span: range) -> str:
    return str(span[0]) if len(span) == 1 else f"{span[0]} to {span[-1]}"


def existence_rows(study: Study) -> Iterator[list[object]]:
    official = location.existence(study.location, study.curves).iloc[0]
    yield [official["layer"], *(f"{official[f'top {i}']:,.1f}" for i in (1, 2, 3)), f"{official['median']:.2f}",
           f"{official['ratio']:,.0f}", f"{official['massive activations']:,.0f}",
           f"{int(study.location.events_left_out.sum()):,}", official["channels"],
           official["layers"],
           f"{study.layers[1]} to {study.layers[2]}" if study.layers else "none"]  # fmt: skip


def step_rows(study: Study) -> Iterator[list[object]]:
    for step in location.steps(study.location, study.curves).to_dict("records"):
        yield [f"{step['from layer']} → {step['to layer']}", step["step"], f"{step['before']:,.1f}",
               f"{step['after']:,.1f}", f"{step['factor']:.2f}"]  # fmt: skip


def text_rows(study: Study) -> Iterator[list[object]]:
    """By document: its windows, its largest activations in the peak's layer, where events are."""
    sweep = study.location
    if not sweep.is_text:
        return
    tokens, length = sweep.tokens, sweep.sequences["length"].values.astype(int)
    of_sequence = tokens["document"].values[np.cumsum(length) - length]
    top = np.abs(sweep.residual["sequence_top_value"].isel(layer=study.peak, order=0).values)
    massive = sweep.massive
    official = (massive["reading"].values & SEQUENCE_READING) > 0
    sequence, position = (massive[n].values[official].astype(int) for n in ("sequence", "position"))
    for document in np.unique(of_sequence):
        here = of_sequence == document
        events = here[sequence]
        others = events & (position != 0)
        yield [TEXTS[document] if document < len(TEXTS) else document, here.sum(),
               f"{top[here].mean():,.0f} ± {top[here].std():,.0f}", len(set(sequence[events])),
               events.sum(), f"{100 * others.sum() / max(events.sum(), 1):.1f} %"]  # fmt: skip


def constancy_rows(study: Study) -> Iterator[list[object]]:
    """At the channel with the most events, in the first layer of most sequences and the peak's."""
    if not study.layers:
        return
    table = constancy.constancy(study.location)
    groups = ("position 0", "every other position", "delimiter")
    for layer in sorted({study.layers[1], study.peak, study.layers[2]}):
        events = events_by(study.location, ["layer", "channel"], SEQUENCE_READING)
        in_layer = events[events["layer"] == layer]
        channel = int(in_layer.loc[in_layer["events"].idxmax(), "channel"])
        here = table[(table["layer"] == layer) & (table["channel"] == channel)]
        for one in here[here["tokens"].isin(groups)].to_dict("records"):
            yield [layer, channel, one["tokens"], f"{one['count']:,}", f"{one['mean']:,.1f} ± {one['std']:,.1f}",
                   f"{one['CV']:.3f}", one["events"], one["remark"]]  # fmt: skip


def intervention_rows(study: Study) -> Iterator[list[object]]:
    if "interventions" not in study.others:
        return
    for one in interventions.effects(study.others["interventions"]).to_dict("records"):
        original = np.isnan(one["matched tokens"])
        yield [one["variant"], f"{one['perplexity']:,.3f}", f"{one['perplexity, mean of windows']:,.3f}",
               "" if original else f"{one['difference, nats']:+.4f} ± {one['its standard error']:.4f}",
               "" if original else f"{100 * one['tokens that got worse']:.0f} %",
               "" if original else f"{one['matched tokens']:,.0f}"]  # fmt: skip


def task_rows(study: Study) -> Iterator[list[object]]:
    """By variant, as the paper's table 3: perplexity of each text, accuracy of each task, and their mean."""
    if "tasks" not in study.others:
        return
    sweep = study.others["tasks"]
    texts = tasks.perplexities(sweep).pivot(index="variant", columns="task", values="byte perplexity")
    table = tasks.accuracies(sweep)
    accuracies = table.pivot(index="variant", columns="task", values="accuracy by bytes")
    p_values = table.pivot(index="variant", columns="task", values="McNemar p")
    for variant in dict.fromkeys(table["variant"]):
        changed = [f"{name} (p = {p_values.loc[variant, name]:.3f})" for name in LANGUAGES
                   if p_values.loc[variant, name] < 0.05]  # fmt: skip
        yield [variant, *(f"{texts.loc[variant, f'{name}-text']:,.4g}" for name in LANGUAGES),
               *(f"{100 * accuracies.loc[variant, name]:.1f} %" for name in LANGUAGES),
               f"{100 * accuracies.loc[variant, list(LANGUAGES)].mean():.1f} %", ", ".join(changed)]  # fmt: skip


def writer_rows(study: Study) -> Iterator[list[object]]:
    """Steps of most windows' events, and of no fewer events than half of the windows."""
    if "mechanisms" not in study.others:
        return
    sweep = study.others["mechanisms"]
    table = updates.steps(sweep)
    table = table[2 * table["events"] > sweep.sequences.sizes["sequence"]]
    for one in table.sort_values(["layer", "channel"]).to_dict("records"):
        yield [one["step"], one["layer"], one["channel"], one["events"], *(f"{one[name]:,.1f}" for name in
               ("before", "attention", "MLP", "behind")), one["by"]]  # fmt: skip


def received_rows(study: Study) -> Iterator[list[object]]:
    """The three largest secondary sinks with QUERIES or more behind them, each token's text once."""
    if "mechanisms" not in study.others:
        return
    sweep = study.others["mechanisms"]
    tops = second_look.top_keys(sweep)
    first = 100 * (tops["at position 0"] * tops["windows × heads"]).sum() / tops["windows × heads"].sum()
    longest = int(sweep.sequences["length"].max())
    sinks = second_look.secondary_sinks(sweep, 4000).query("position < @longest - @QUERIES")
    sinks = sinks.drop_duplicates("text")
    for one in sinks.head(3).to_dict("records"):
        text = one["text"].replace("|", "\\|").replace("`", "'")
        yield [f"{first:.1f} %", f"`{text}`", one["position"], one["layer"], f"{one['mean over heads']:.3f}",
               f"{one['largest head']:.3f}"]  # fmt: skip


def geometry_rows(study: Study) -> Iterator[list[object]]:
    """Of some layers: in how many directions a window's rows lie, and how rows turn."""
    if "mechanisms" not in study.others:
        return
    sweep = study.others["mechanisms"]
    ratios = geometry.participation_by_layer(sweep).pivot(
        index="layer", columns="rows", values="participation"
    )
    cosines = geometry.cosines_by_layer(sweep).set_index(["layer", "tokens"])
    for layer in sorted({*layers_to_show(len(ratios) - 1), study.peak}):
        others = cosines.loc[(layer, "others")]
        first = cosines.loc[(layer, "position 0"), "with the layer before"]
        turned = ["", ""] if layer == 0 else [f"{one:.3f}" for one in (first, others["with the layer before"])]
        yield [layer, f"{ratios.loc[layer, 'rows as they are']:.2f}", f"{ratios.loc[layer, 'rows normed']:.1f}",
               *turned, f"{others['with the first token']:.3f}",
               f"{100 * others['share above 0.9']:.1f} %"]  # fmt: skip


def score_rows(study: Study) -> Iterator[list[object]]:
    """The three layers with the largest scores."""
    if "mechanisms" not in study.others:
        return
    layers = second_look.largest_by_layer(second_look.largest_scores(study.others["mechanisms"]))
    at_first = f"{(layers['key'] == 0).sum()} of {len(layers)}"
    for one in layers.sort_values("score", ascending=False).head(3).to_dict("records"):
        yield [f"{one['score']:.1f}", one["layer"], one["head"], one["query"], one["key"],
               f"{one['‖q‖']:.1f}", at_first]  # fmt: skip


def format_rows(study: Study) -> Iterator[list[object]]:
    """By site: the median over layers of each format's signal over noise, and its least."""
    if "mechanisms" not in study.others:
        return
    sweep = study.others["mechanisms"]
    noise = quantisation.format_noise(sweep)
    for site in dict.fromkeys(noise["site"]):
        of_site = noise[noise["site"] == site].groupby("format")["SQNR, dB"]
        median, least = of_site.median(), of_site.min()
        yield [f"`{site}`", *(f"{median[name]:.1f} ({least[name]:.1f})" for name in FORMATS)]


def learned_rows(sweep: actsweep.Sweep) -> Iterator[list[object]]:
    by_layer = attention.attention_by_layer(attention.attention_to_sets(sweep))
    for layer, sets in by_layer.groupby("layer"):
        of_set = sets.set_index("key set")
        yield [layer, f"{100 * of_set.loc['learned', 'attention']:.2f} %",
               *(f"{100 * of_set.loc['learned', name]:.2f} %" for name in ("least", "most")),
               f"{100 * of_set.loc['position:0', 'attention']:.2f} %"]  # fmt: skip


def attention_rows(study: Study) -> Iterator[list[object]]:
    """To the massive tokens of the location sweep, where known, and to position 0, by span."""
    sweep = study.others.get("attention", study.location)
    by_layer = attention.attention_by_layer(attention.attention_to_sets(sweep))
    for key_set in sorted(set(by_layer["key set"]) & {"from", "position:0"}, reverse=True):
        of_set = by_layer[by_layer["key set"] == key_set].set_index("layer")
        for name, span in study.spans(int(of_set.index.max())):
            here = of_set.reindex(span).dropna()
            yield [key_set, name, blocks_text(span), f"{100 * here['attention'].mean():.1f} %",
                   f"{100 * here['attention'].min():.1f} to {100 * here['attention'].max():.1f} %",
                   f"{here['score'].mean():.1f}", f"{here['queries'].max():,.0f}"]  # fmt: skip


def sink_rows(study: Study) -> Iterator[list[object]]:
    metric = attention.sink_metric(attention.sink_shares(study.location))
    yield [f"{100 * one:.1f} %" for one in metric["metric"]]


def value_update_rows(study: Study) -> Iterator[list[object]]:
    table = value_updates.after_projection(study.location)
    table = table[table["key set"] == "position:0"].set_index("layer")
    chosen, random = (table[table["updates"] == name] for name in value_updates.SELECTIONS)
    ratio = attention.value_norm_ratios(study.location)
    ratio = ratio[ratio["key set"] == "position:0"].groupby("layer")["ratio"].mean()
    for name, span in study.spans(int(table.index.max())):
        medians = [frame.reindex(span)["constancy"].median() for frame in (chosen, random)]
        yield [name, blocks_text(span), *(f"{value:.2f}" for value in medians),
               *(f"{100 * frame.reindex(span)['share'].median():.1f} %" for frame in (chosen, random)),
               f"{ratio.reindex(span).median():.2f}"]  # fmt: skip


QUERIES = 64  # behind a secondary sink: the mean over few is large by chance
FORMATS = ("int8_token", "fp8_e4m3_token", "mxfp8_e4m3", "mxfp4", "nvfp4")
LANGUAGES = ("en", "de", "es", "fr")  # the tasks of scripts/write_questions
TEXTS = ("English", "German", "Spanish", "French", "Japanese", "Chinese", "Python code")  # of fetch_study_corpus.sh
TABLES: dict[str, tuple[list[str], Callable[[Study], Iterator[list[object]]]]] = {
    "existence": (["layer", "top 1", "top 2", "top 3", "median", "top 1 / median", "massive activations", "more, left out by `max_events`", "channels",
                   "layers with any", "layers where most sequences have one"], existence_rows),
    "steps": (["layers", "step", "top 1 before", "after", "factor"], step_rows),
    "texts": (["text", "windows", "top 1, mean ± std", "windows with an event", "events", "not at position 0"], text_rows),
    "constancy": (["layer", "channel", "tokens", "count", "mean ± std", "CV", "events", "remark"], constancy_rows),
    "interventions": (["variant", "perplexity", "mean of windows", "difference of the loss, nats", "tokens that got worse",
                       "matched tokens"], intervention_rows),
    "tasks": (["variant", *(f"perplexity {name}" for name in LANGUAGES), *LANGUAGES, "mean",
               "raw accuracy other than the original's"], task_rows),
    "writers": (["step", "layer", "channel", "events", "before", "attention", "MLP", "behind", "by"], writer_rows),
    "received": (["most attended key is at position 0", "secondary sink", "position", "layer", "received",
                  "from the largest head"], received_rows),
    "geometry": (["layer", "participation ratio", "of normed rows", "cos with the layer before, position 0", "others",
                  "cos with the first token, others' magnitude", "share above 0.9"], geometry_rows),
    "scores": (["largest score", "layer", "head", "query at", "key at", "largest ‖q‖ of the head",
                "layers whose largest is on position 0"], score_rows),
    "formats": (["site", *(f"`{name}`" for name in FORMATS)], format_rows),
    "attention": (["to", "massive in the block's input", "blocks", "attention", "least to most block", "score", "queries"],
                  attention_rows),
    "sinks": (["ε = 0.2", "0.3", "0.8", "0.2, first 64 tokens", "0.3, first 64", "0.8, first 64"], sink_rows),
    "value_updates": (["massive in the block's input", "blocks", "constancy", "of random tokens",
                       "share of the output's norm", "of random tokens", "‖v‖ / mean ‖v‖"], value_update_rows),
}  # fmt: skip


def verified_rows(folder: Path) -> Iterator[list[object]]:
    """Of each job that `verify` was run on; the bound is that of everything in its row."""
    for path in sorted(folder.glob("*.verify.json")):
        kept = json.loads(path.read_text())
        layers, datasets = kept["layers"], kept["statistics"]
        worst = max(datasets, key=lambda one: float(one["difference"]) / one["bound"], default=None)
        tokens = sum(shape[0] for shape in kept["windows"]) if len(kept["windows"][0]) == 1 else None
        yield [path.name.removesuffix(".verify.json"), len(kept["windows"]),
               "images" if tokens is None else f"{tokens:,}",
               f"{max(one['difference'] for one in layers):.1g}", f"{max(one['norms'] for one in layers):.1g}",
               "" if kept["loss"] is None else f"{kept['loss']:.1g}", len(datasets) or "",
               "" if worst is None else f"{float(worst['difference']):.1g} (`/{worst['name']}`)",
               "yes" if kept["agrees"] else "no"]  # fmt: skip


LEARNED = "gpt-oss-small-mechanisms.h5"
VERIFIED_HEADINGS = ["job", "windows", "tokens", "streams", "norms of tokens", "loss, nats", "datasets",
                     "largest difference of a dataset", "agrees"]  # fmt: skip
LEARNED_HEADINGS = ["layer", "mass on the learned sink", "least head", "largest head", "mass on position 0"]


def study_table(name: str, studies: list[Study], folder: Path) -> str:
    if name == "learned":
        with actsweep.open(folder / LEARNED) as sweep:
            return as_table(LEARNED_HEADINGS, learned_rows(sweep))
    if name == "verified":
        return as_table(VERIFIED_HEADINGS, verified_rows(folder))
    headings, rows = TABLES[name]
    return as_table(
        ["model", *headings], ([study.name, *cells] for study in studies for cells in rows(study))
    )


def as_table(headings: list[str], rows: Iterator[list[object]]) -> str:
    return "\n" + "\n".join([row(headings), "|---" * len(headings) + "|", *map(row, rows)]) + "\n\n"
