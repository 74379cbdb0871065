"""Adds the study's groups to a sample sweep file, from random states that the tests keep.

The states are those of a model with 4 blocks; what the file holds of them (sums, counts, extrema)
is computed here plainly. Names and axes are those of `actsweep schema`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from sample_sweep import MAGNITUDE_BINS, Sample, add_dataset, add_scale, write_site, write_sweep

LAYERS, SEQUENCES, LENGTH = 5, 3, 70
HEADS, KEY_HEADS, WIDTH, CHANNELS, NEURONS = 4, 2, 6, 24, 40
KEY_SETS = ("position:0", "class:delimiter:first")
STORED_LAYERS = [1, 3]
LIFECYCLE_CHANNELS = (4, 17, 20)
UPDATES = ("before", "attention_update", "mlp_update", "next_attention_update", "next_mlp_update")
EPSILONS = (0.2, 0.3, 0.8)
VARIANTS = ("zero", "mean")
QUARTER_EDGES = np.concatenate([[0], 2.0 ** (np.arange(-55, 72) / 4)])
TASKS = ("capitals", "pages")
# A question of two choices, and a text. By variant the better choice: the right one is the second.
REQUESTS = {
    "task": (0, 0, 1), "kind": (0, 0, 1), "part": (0, 1, 0), "parts": (2, 2, 1), "first_scored": (3, 3, 1),
    "is_answer": (0, 1, 0), "bytes": (5, 10, 40), "characters": (5, 8, 39), "words": (1, 2, 9),
}  # fmt: skip
SCORES = ((-8.0, -6.0, -60.0), (-3.0, -9.0, -90.0), (-8.0, -6.5, -60.5))  # the original, then variants
# Of three images; the original, then variants: where the label stands, and the log of its softmax.
LABEL_NAMES = ("tench", "goldfish", "shark", "ray", "cock", "hen", "ostrich")
LABELS = (1, 0, 6)
LABEL_RANKS = ((0, 4, 0), (2, 5, 6), (0, 0, 1))
LABEL_LIKELIHOODS = ((-0.5, -3.0, -0.25), (-2.0, -4.0, -9.0), (-0.5, -0.75, -1.0))
PREDICTED = ((1, 3, 6), (2, 2, 2), (1, 0, 5))
FORMATS, FORMAT_NOISE = ("int8_token", "nvfp4"), (0.001, 0.01)  # of x²
INTERVENTIONS = """
[[intervention]]
variant = "zero"
layer = 2
channels = [17]
tokens = "position:0"
action = "zero"

[[intervention]]
layer = "all"
channels = "random"
count = 2
seed = 5
tokens = "argmax"
action = "scale"
value = 0.5
"""


@dataclass
class Study:
    """Random states; layer 0 of each is not measured."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))

    def __post_init__(self) -> None:
        normal = self.random.standard_normal
        shape = (LAYERS, SEQUENCES, HEADS, LENGTH, LENGTH)
        self.score = normal(shape)
        self.score[3:, :, :3, :, 0] += 5  # a sink from block 3 on, in all heads but the last
        hidden = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
        weight = np.where(hidden, 0, np.exp(self.score))
        self.attention = weight / weight.sum(axis=-1, keepdims=True)
        self.value = normal((LAYERS, SEQUENCES, KEY_HEADS, LENGTH, WIDTH))
        self.first_delimiter = np.array([7, 20, 41])  # of each sequence; the last in the later half
        self.random_keys = self.random.integers(0, LENGTH // 2, (len(KEY_SETS), SEQUENCES))
        self.output_projection = normal((HEADS * WIDTH, CHANNELS))
        self.qk = {
            name: normal((LAYERS, SEQUENCES * LENGTH, heads, WIDTH))
            for name, heads in (
                ("query", HEADS),
                ("rotated_query", HEADS),
                ("key", KEY_HEADS),
                ("rotated_key", KEY_HEADS),
                ("value", KEY_HEADS),
            )
        }
        self.qk["key"][2, :, 1, 4] *= 400
        self.qk["query"][3, :, 0, 1] *= 4  # large, but not massive
        self.sites = {
            "attention_input": normal((LAYERS, 3, 12, CHANNELS)).astype(np.float32),
            "mlp_hidden": normal((LAYERS, 3, 12, NEURONS)).astype(np.float32),
            "final_norm": normal((1, 3, 12, CHANNELS)).astype(np.float32),
        }
        self.sites["attention_input"][1:4, :, :6, 9] = 8
        self.sites["mlp_hidden"][2, 1, 3, 33] = -77
        self.token_nll = self.random.gamma(2, 1.5, 36).astype(np.float32)
        self.token_nll[11::12] = np.nan  # the last token of a window has no target
        change = np.stack([self.random.gamma(2, 2, 36), 0.01 * normal(36)]).astype(np.float32)
        self.variant_nll = self.token_nll + change
        self.experts = np.array([[0] * 4, [0] * 4, [9, 0, 3, 24], [1, 2, 30, 3], [36, 0, 0, 0]])
        # Of the tokens that chose each expert, [layer][expert]: inputs of its projections.
        self.expert_inputs = [[normal((n, CHANNELS)) for n in counts] for counts in self.experts]
        self.expert_hidden = [[normal((n, NEURONS)) for n in counts] for counts in self.experts]
        self.expert_output = self.random.gamma(2, 3, (LAYERS, 4)).astype(np.float32)
        self.expert_gate = np.array([0.5, 0.25, 0.125, 0.0625])  # of every token
        self.expert_norm = np.array([2.0, 3.0, 5.0, 7.0])
        # Two experts of each token in layers 2 to 4; expert 3 is one of each first token's.
        order = self.random.random((LAYERS, 36, 4)).argsort(axis=2)[..., :2].astype(np.uint32)
        order[3, ::12, 0], order[3, ::12, 1] = 3, 1
        gates = self.random.random(order.shape).astype(np.float32)
        order[:2], gates[:2] = 2**32 - 1, np.nan
        self.token_experts = (order, gates)
        self.registers = 3 + normal((LAYERS, 6, 2, CHANNELS))  # [layer, image, register, channel]
        self.captured_score = normal((LAYERS, HEADS, 8, 8)).astype(np.float32)
        self.captured_score[:, :, np.triu(np.ones((8, 8), bool), 1)] = np.nan
        self.captured_score[0] = np.nan
        # Of the file's windows: tokens of one window lie near each other; the last of each is the
        # first one turned around in layer 3.
        self.residual = normal((LAYERS, 3, 12, CHANNELS)) + 2 * normal((3, 1, CHANNELS))
        self.residual[3, :, -1] = -3 * self.residual[3, :, 0]

    def captured_attention(self) -> np.ndarray:
        weight = np.nan_to_num(np.exp(self.captured_score), nan=0)
        total = weight.sum(axis=-1, keepdims=True)
        return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)

    def received(self, length: int = 12) -> np.ndarray:
        """[layer, sequence, head, token]: means over later queries of the first `length` tokens; NaN
        in layer 0 and for the last token."""
        weight = np.where(np.tri(length, dtype=bool), np.exp(self.score[..., :length, :length]), 0)
        others = weight / weight.sum(axis=-1, keepdims=True) * np.tri(length, k=-1)
        counts = np.arange(length - 1, -1, -1)
        means = np.full((*others.shape[:3], length), np.nan)
        means[1:, ..., :-1] = others[1:].sum(axis=3)[..., :-1] / counts[:-1]
        return means

    def keys_of(self, key_set: int, sequence: int) -> int:
        """The one key of a set in a sequence."""
        return 0 if key_set == 0 else int(self.first_delimiter[sequence])

    def updates(self, layer: int, selection: int, key_set: int) -> np.ndarray:
        """[query, head, D]: value updates of later queries that see the key."""
        parts = []
        for sequence in range(SEQUENCES):
            key = self.keys_of(key_set, sequence)
            if selection:
                key = int(self.random_keys[key_set, sequence])
            start = max(LENGTH // 2, key)
            weight = self.attention[layer, sequence, :, start:, key].T  # [query, head]
            value = self.value[layer, sequence, :, key].repeat(HEADS // KEY_HEADS, axis=0)
            parts.append(weight[..., None] * value)
        return np.concatenate(parts)


def write_study(path: Path, sample: Sample, study: Study) -> Path:
    """A sample sweep file with every group of the study."""
    write_sweep(path, sample)
    with h5py.File(path, "r+") as file:
        file.attrs["key_sets"] = json.dumps(KEY_SETS)
        file.attrs["formats"] = json.dumps(FORMATS)
        file.attrs["variants"] = json.dumps(VARIANTS)
        file.attrs["tasks"] = json.dumps(list(TASKS))
        file.attrs["label_names"] = json.dumps(list(LABEL_NAMES))
        file.attrs["job"] += INTERVENTIONS
        lengths = {
            "head": HEADS,
            "kv_head": KEY_HEADS,
            "head_channel": WIDTH,
            "key_set": len(KEY_SETS),
            "selection": 2,
            "variant": len(VARIANTS),
            "intervention": 2,
            "expert": 4,
            "expert_neuron": NEURONS,
            "expert_choice": 2,
            "register": 2,
            "neuron": NEURONS,
            "final_layer": 1,
            "format": len(FORMATS),
        }
        for name, length in lengths.items():
            add_scale(file, name, length)
        epsilon = file.create_dataset("epsilon", data=np.array(EPSILONS))
        epsilon.make_scale("epsilon")
        epsilon.attrs.update(units="1", long_name="threshold", merge="constant")
        quarters = file.create_dataset("quarter_octave", data=QUARTER_EDGES.astype("f4"))
        quarters.make_scale("quarter_octave")
        quarters.attrs.update(units="1", long_name="lower edges", merge="constant")
        writers = (
            _attention, _received, _scores, _updates, _query_key, _geometry,
            _event_updates, _lifecycle, _losses, _requests, _classes, _parts, _capture,
            _store,
        )  # fmt: skip
        for write in writers:
            write(file, study)
        _sites(file, sample, study)
    return path


def _add(file: h5py.File, path: str, values: np.ndarray, axes: str) -> None:
    group, name = path.split("/")
    scales = {axis: file[axis] for axis in axes.split()}
    add_dataset(file.require_group(group), name, values, scales)


def _attention(file: h5py.File, study: Study) -> None:
    shape = (LAYERS, HEADS, len(KEY_SETS))
    mass, score = np.zeros(shape), np.zeros(shape)
    queries = np.zeros((LAYERS, len(KEY_SETS)), np.int64)
    set_norm = np.zeros((LAYERS, KEY_HEADS, len(KEY_SETS)))
    norm = np.linalg.norm(study.value, axis=-1)  # [layer, sequence, kv_head, token]
    for key_set in range(len(KEY_SETS)):
        for sequence in range(SEQUENCES):
            key = study.keys_of(key_set, sequence)
            mass[1:, :, key_set] += study.attention[1:, sequence, :, key + 1 :, key].sum(-1)
            score[1:, :, key_set] += study.score[1:, sequence, :, key + 1 :, key].sum(-1)
            queries[1:, key_set] += LENGTH - key - 1
            set_norm[1:, :, key_set] += norm[1:, sequence, :, key]
    measured = (np.arange(LAYERS) > 0).astype(np.int64)
    of_sets = np.repeat(measured[:, None] * SEQUENCES, len(KEY_SETS), axis=1)
    _add(file, "attention/mass_sum", mass, "layer head key_set")
    _add(file, "attention/logit_sum", score, "layer head key_set")
    _add(file, "attention/query_count", queries, "layer key_set")
    _add(file, "attention/key_count", of_sets, "layer key_set")
    _add(file, "attention/sequence_count", of_sets, "layer key_set")
    _add(file, "attention/set_value_norm_sum", set_norm, "layer kv_head key_set")
    total = norm.sum(axis=(1, 3)) * measured[:, None]
    _add(file, "attention/value_norm_sum", total, "layer kv_head")
    _add(file, "attention/token_count", measured * SEQUENCES * LENGTH, "layer")
    for suffix, length in (("", LENGTH), ("_64", 64)):
        alpha = study.attention[..., :length, 0].mean(axis=-1)  # [layer, sequence, head]
        above = alpha[..., None] > np.array(EPSILONS)
        count = above.sum(axis=1) * measured[:, None, None]
        _add(file, f"attention/sink_count{suffix}", count, "layer head epsilon")
        _add(file, f"attention/sink_sequences{suffix}", measured * SEQUENCES, "layer")
        if not suffix:
            _add(file, "attention/sink_sum", alpha.sum(1) * measured[:, None], "layer head")
    rows = study.attention[..., 1:, :]
    entropy = -np.where(rows > 0, rows * np.log(np.where(rows > 0, rows, 1)), 0).sum(-1)
    share = (entropy / np.log(np.arange(2, LENGTH + 1))).sum(axis=(1, 3)) * measured[:, None]
    _add(file, "attention/entropy_sum", share, "layer head")
    _add(file, "attention/entropy_rows", measured * SEQUENCES * (LENGTH - 1), "layer")


def _received(file: h5py.File, study: Study) -> None:
    """Of the file's windows: the first tokens of the states' sequences."""
    means = study.received()
    token = np.moveaxis(means, 2, 1)  # [layer, head, sequence, token]
    token = token.reshape(LAYERS, HEADS, -1)
    half = np.nan_to_num(means[..., : means.shape[3] // 2], nan=-1)
    _add(file, "attention_received/token_mean", token.mean(axis=1).astype("f4"), "layer token")
    largest = token.max(axis=1).astype(np.float32)
    _add(file, "attention_received/token_largest_head", largest, "layer token")
    position = half.argmax(axis=3).astype(np.uint32)
    position[0] = 2**32 - 1
    _add(file, "attention_received/top_position", position, "layer sequence head")
    top = half.max(axis=3).astype(np.float32)
    top[0] = np.nan
    _add(file, "attention_received/top_mean", top, "layer sequence head")


def _scores(file: h5py.File, study: Study) -> None:
    seen = np.where(np.tri(LENGTH, dtype=bool), study.score, -np.inf)
    by_head = np.moveaxis(seen, 1, 2).reshape(LAYERS, HEADS, -1)  # all pairs of all sequences
    largest = by_head.max(axis=2).astype(np.float32)
    pair = by_head.argmax(axis=2) % LENGTH**2
    query, key = pair // LENGTH, pair % LENGTH
    largest[0], query[0], key[0] = -np.inf, -1, -1
    _add(file, "scores/largest", largest, "layer head")
    _add(file, "scores/query_position", query, "layer head")
    _add(file, "scores/key_position", key, "layer head")
    for name, axis in (("query", "head"), ("key", "kv_head"), ("value", "kv_head")):
        norm = np.linalg.norm(study.qk[name], axis=-1).max(axis=1).astype(np.float32)
        norm[0] = 0
        _add(file, f"scores/{name}_norm", norm, f"layer {axis}")


def _updates(file: h5py.File, study: Study) -> None:
    shape = (LAYERS, 2, len(KEY_SETS))
    count = np.zeros(shape, np.int64)
    squares, share = np.zeros(shape), np.zeros(shape)
    head_sum, head_squares = np.zeros((*shape, HEADS, WIDTH)), np.zeros((*shape, HEADS))
    total = np.zeros((*shape, CHANNELS))
    for place in np.ndindex(LAYERS - 1, 2, len(KEY_SETS)):
        place = (place[0] + 1, *place[1:])
        u = study.updates(*place)
        projected = u.reshape(len(u), -1) @ study.output_projection
        count[place] = len(u)
        head_sum[place], head_squares[place] = u.sum(0), (u**2).sum(axis=(0, 2))
        total[place], squares[place] = projected.sum(0), (projected**2).sum()
        share[place] = (np.linalg.norm(projected, axis=1) / 9).sum()
    axes = "layer selection key_set"
    _add(file, "value_update/query_count", count, axes)
    _add(file, "value_update/head_sum", head_sum, f"{axes} head head_channel")
    _add(file, "value_update/head_square_sum", head_squares, f"{axes} head")
    _add(file, "value_update/sum", total, f"{axes} channel")
    _add(file, "value_update/square_sum", squares, axes)
    _add(file, "value_update/share_sum", share, axes)


def _query_key(file: h5py.File, study: Study) -> None:
    for name, states in study.qk.items():
        squares = (states**2).sum(axis=1)
        squares[0] = 0
        head = "head" if "query" in name else "kv_head"
        _add(file, f"qk/{name}_square_sum", squares, f"layer {head} head_channel")
    count = np.where(np.arange(LAYERS) > 0, SEQUENCES * LENGTH, 0)
    _add(file, "qk/token_count", count, "layer")


def _geometry(file: h5py.File, study: Study) -> None:
    x = study.residual
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    first = np.einsum("lstc,lsc->lst", unit, unit[:, :, 0]).reshape(LAYERS, -1)
    previous = np.full(first.shape, np.nan)
    previous[1:] = np.einsum("lstc,lstc->lst", unit[1:], unit[:-1]).reshape(LAYERS - 1, -1)
    _add(file, "geometry/token_cos_first", first.astype("f4"), "layer token")
    _add(file, "geometry/token_cos_previous", previous.astype("f4"), "layer token")
    for name, rows in (("participation", x), ("participation_normed", unit)):
        gram = rows @ rows.swapaxes(-1, -2)
        trace, square = np.trace(gram, axis1=2, axis2=3), (gram**2).sum(axis=(2, 3))
        _add(file, f"geometry/{name}", (trace**2 / square).astype("f4"), "layer sequence")


def event_updates(file: h5py.File) -> dict[str, np.ndarray]:
    """Of the file's events: those at layer 1 come from its MLP, those at layer 3 from its attention;
    the MLP of layer 4 removes what stands at layer 3."""
    layer, value = file["massive/layer"][()], file["massive/value"][()]
    by = {name: np.zeros(len(value), np.float32) for name in UPDATES}
    by["before"][:] = value
    for number, name in ((1, "mlp_update"), (3, "attention_update")):
        by["before"][layer == number] = value[layer == number] / 8
        by[name][layer == number] = value[layer == number] * 7 / 8
    by["next_mlp_update"][layer == 3] = -value[layer == 3]
    for name in ("next_attention_update", "next_mlp_update"):
        by[name][layer == LAYERS - 1] = np.nan
    return by


def _event_updates(file: h5py.File, _study: Study) -> None:
    for name, values in event_updates(file).items():
        _add(file, f"massive/{name}", values, "event")


def _lifecycle(file: h5py.File, study: Study) -> None:
    """Of the tokens with an event: a channel of an event, and one without any. Attention changes a
    quarter of what each layer does, the MLP the rest."""
    kept = np.unique(file["massive/token"][()])
    channels = LIFECYCLE_CHANNELS
    add_scale(file, "row", len(kept))
    _add(file, "tokens/row_token", kept, "row")
    scale = file.create_dataset("lifecycle_channel", data=np.array(channels))
    scale.make_scale("lifecycle_channel")
    scale.attrs.update(units="1", long_name="named channels", merge="constant")
    value = study.residual.reshape(LAYERS, -1, CHANNELS)[:, kept][..., channels].astype("f4")
    change = np.diff(value, axis=0, prepend=value[:1])
    axes = "layer row lifecycle_channel"
    _add(file, "lifecycle/value", value, axes)
    _add(file, "lifecycle/attention_update", change / 4, axes)
    _add(file, "lifecycle/mlp_update", change * 3 / 4, axes)


def _store(file: h5py.File, study: Study) -> None:
    """Of the tokens with an event, at two layers."""
    kept = file["tokens/row_token"][()]
    _add(file, "store/token", kept, "row")
    layer = file["store"].create_dataset("stored_layer", data=np.array(STORED_LAYERS, np.int64))
    layer.make_scale("stored_layer")
    layer.attrs.update(units="1", long_name="stored layers", merge="constant")
    values = study.residual.reshape(LAYERS, -1, CHANNELS)[STORED_LAYERS][:, kept]
    scales = {"row": file["row"], "stored_layer": layer, "channel": file["channel"]}
    add_dataset(file["store"], "residual", values.swapaxes(0, 1).astype("f4"), scales)


def _losses(file: h5py.File, study: Study) -> None:
    _add(file, "loss/token_nll", study.token_nll, "token")
    _add(file, "variants/token_nll", study.variant_nll, "variant token")
    for group, rows in (("loss", study.token_nll), ("variants", study.variant_nll)):
        rows = rows.astype(np.float64)
        windows = np.nanmean(rows.reshape(*rows.shape[:-1], 3, 12), axis=-1)
        axes = "variant" if rows.ndim == 2 else ""
        kept = np.isfinite(rows).sum(axis=-1)
        _add(file, f"{group}/nll_sum", np.nansum(rows, axis=-1), axes)
        _add(file, f"{group}/target_count", kept, axes)
        _add(file, f"{group}/window_mean_sum", windows.sum(axis=-1), axes)
        _add(file, f"{group}/window_count", np.full(kept.shape, 3), axes)
    file["loss/token_nll"].attrs["perplexity"] = float(np.exp(np.nanmean(study.token_nll)))
    _add(file, "interventions/matched_tokens", np.array([3, 15]), "intervention")
    _add(file, "interventions/changed_activations", np.array([3, 30]), "intervention")


def _requests(file: h5py.File, _study: Study) -> None:
    for name, values in REQUESTS.items():
        _add(file, f"requests/{name}", np.array(values, np.uint32), "sequence")
    _add(file, "requests/log_likelihood", np.array(SCORES[0]), "sequence")
    _add(file, "variants/log_likelihood", np.array(SCORES[1:]), "variant sequence")
    _add(file, "variants/matched_tokens", np.array([3, 3]), "variant")
    _add(file, "variants/changed_activations", np.array([6, 6]), "variant")


def _classes(file: h5py.File, _study: Study) -> None:
    _add(file, "classification/label", np.array(LABELS, np.uint32), "sequence")
    for name, values, dtype in (
        ("predicted", PREDICTED, np.uint32),
        ("label_rank", LABEL_RANKS, np.uint32),
        ("label_log_likelihood", LABEL_LIKELIHOODS, np.float64),
    ):
        _add(file, f"classification/{name}", np.array(values[0], dtype), "sequence")
        _add(file, f"variants/{name}", np.array(values[1:], dtype), "variant sequence")


def _parts(file: h5py.File, study: Study) -> None:
    _add(file, "experts/token_count", study.experts, "layer expert")
    output = np.where(study.experts > 0, study.expert_output, 0)
    _add(file, "experts/max_output", output.astype(np.float32), "layer expert")
    gate, norm = study.expert_gate * study.experts, study.expert_norm * study.experts
    _add(file, "experts/gate_sum", gate, "layer expert")
    _add(file, "experts/output_norm_sum", norm, "layer expert")
    _add(file, "experts/weighted_norm_sum", study.expert_gate * norm, "layer expert")
    rows_of = {"input": study.expert_inputs, "hidden": study.expert_hidden}
    for part, axis in (("input", "channel"), ("hidden", "expert_neuron")):
        axes = f"layer expert {axis}"
        largest = [[np.abs(x).max(axis=0, initial=0) for x in row] for row in rows_of[part]]
        sums = [[x.sum(axis=0) for x in row] for row in rows_of[part]]
        squares = [[np.square(x).sum(axis=0) for x in row] for row in rows_of[part]]
        _add(file, f"experts/{part}_sum", np.array(sums), axes)
        _add(file, f"experts/{part}_max_magnitude", np.array(largest, np.float32), axes)
        _add(file, f"experts/{part}_sum_square", np.array(squares), axes)
        for end, of, nothing in (("min", np.min, np.inf), ("max", np.max, -np.inf)):
            ends = [[of(x, axis=0, initial=nothing) for x in row] for row in rows_of[part]]
            _add(file, f"experts/{part}_{end}", np.array(ends, np.float32), axes)
    chosen, weights = study.token_experts
    _add(file, "experts/token_experts", chosen, "layer token expert_choice")
    _add(file, "experts/token_gates", weights, "layer token expert_choice")
    images = np.full(LAYERS, study.registers.shape[1])
    _add(file, "registers/count", images, "layer")
    _add(file, "registers/sum", study.registers.sum(axis=1), "layer register channel")
    squares = (study.registers**2).sum(axis=1)
    _add(file, "registers/sum_square", squares, "layer register channel")
    columns = {
        "neuron": np.array([-1, 3, 33, 5, 6]),
        "input": np.array([0, 4, 77, 60, 9], np.float32),
        "channel": np.array([-1, 1, 17, 2, 4]),
        "output": np.array([0, 3, 900, 8, 51], np.float32),
        "weight": np.array([np.nan, 0.1, -1.5, 0.2, 0.3], np.float32),
    }
    for name, values in columns.items():
        _add(file, f"super_weights/{name}", values, "layer")


def _capture(file: h5py.File, study: Study) -> None:
    group = file["capture/summer"]
    key = add_scale(group, "key_token", 8)
    axes = {"layer": file["layer"], "head": file["head"], "token": group["token"], "key_token": key}
    add_dataset(group, "attention_logit", study.captured_score, axes)
    add_dataset(group, "attention", study.captured_attention(), axes)


def _sites(file: h5py.File, sample: Sample, study: Study) -> None:
    scales = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    axes = {"mlp_hidden": ("layer", "neuron"), "final_norm": ("final_layer", "channel")}
    _quantisation(file, scales, "residual", sample.residual, ("layer", "channel"))
    for name, states in study.sites.items():
        of_site = axes.get(name, ("layer", "channel"))
        write_site(file, scales, name, states, sample, of_site)
        _quantisation(file, scales, name, states, of_site)
        if of_site[0] == "layer":  # a block's site has nothing at the embedding
            for dataset in file[name].values():
                dataset[0] = (
                    np.nan if dataset.dtype.kind == "f" and "sum" not in dataset.name else 0
                )


def _quantisation(
    file: h5py.File,
    scales: dict[str, h5py.Dataset],
    site: str,
    states: np.ndarray,
    axes: tuple[str, str],
) -> None:
    """Of states [layer, S, T, channel]."""
    rows = states.reshape(len(states), -1, states.shape[-1]).astype(np.float64)
    off = rows - rows.mean(axis=2, keepdims=True)
    kurtosis = (off**4).mean(axis=2) / (off**2).mean(axis=2) ** 2 - 3
    layer = {axes[0]: scales[axes[0]]}
    both = {**layer, axes[1]: scales[axes[1]]}
    add_dataset(file[site], "channel_min", rows.min(axis=1).astype("f4"), both)
    add_dataset(file[site], "channel_max", rows.max(axis=1).astype("f4"), both)
    add_dataset(file[site], "channel_max_token", np.abs(rows).argmax(axis=1), both)
    counts = np.full(len(rows), rows.shape[1])
    add_dataset(file[site], "kurtosis_count", counts, layer)
    add_dataset(file[site], "kurtosis_sum", kurtosis.sum(axis=1), layer)
    add_dataset(file[site], "kurtosis_max", kurtosis.max(axis=1).astype("f4"), layer)
    layer_bin = {**layer, "magnitude_bin": scales["magnitude_bin"]}
    for size in (16, 32):
        firsts = np.arange(0, states.shape[-1], size)
        largest = np.maximum.reduceat(np.abs(rows).astype("f4"), firsts, axis=2)
        bins = (largest.view(np.uint32) >> 16).reshape(len(rows), -1)
        blocks = np.stack([np.bincount(of_layer, minlength=MAGNITUDE_BINS) for of_layer in bins])
        add_dataset(file[site], f"block{size}_histogram", blocks, layer_bin)
    counts = np.zeros((len(rows), states.shape[-1], len(QUARTER_EDGES)), np.int64)
    bins = np.searchsorted(QUARTER_EDGES, np.abs(rows), side="right") - 1
    for number in range(len(rows)):
        np.add.at(counts[number], (np.arange(states.shape[-1]), bins[number]), 1)
    both_bin = {**both, "quarter_octave": scales["quarter_octave"]}
    add_dataset(file[site], "channel_histogram", counts, both_bin)
    layer_format = {**layer, "format": scales["format"]}
    square = (rows**2).sum(axis=(1, 2))[:, None] * np.ones(len(FORMATS))
    add_dataset(file[site], "format_square", square, layer_format)
    errors = square * np.array(FORMAT_NOISE)
    add_dataset(file[site], "format_error_square", errors, layer_format)
