"""The config.json of a large model -> that of a small one with the same switches.

In: a config.json and the program's facts of it. Out: the same keys, with the sizes of the part that
is read made small by a rule (data/README.md): what is a ratio there stays one as far as it can, what
is a list by layer is cut, ids lie within the vocabulary.
"""

from __future__ import annotations

import copy
from typing import Any

Config = dict[str, Any]

LAYERS, KEY_HEADS, QUERIES_PER_KEY, HEAD_WIDTH = 8, 2, 4, 16
EXPERTS, VOCABULARY, GRID, WINDOW = 16, 1000, 4, 16
STATE_HEADS_PER_GROUP = 2
CHANNELS = KEY_HEADS * QUERIES_PER_KEY * HEAD_WIDTH  # of a model without heads
UNIT = 8  # widths are its multiples

# Spellings of one size; the first is what all of transformers' classes take.
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
CHANNEL_KEYS = ("hidden_size", "n_embd", "n_embed", "d_model")
HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads")
KEY_HEAD_KEYS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CHOICE_KEYS = ("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_k", "top_k_experts")
# Sizes that follow the channels, and sizes that follow a head's.
WIDTHS = (
    "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "moe_intermediate_size",
    "shared_expert_intermediate_size", "word_embed_proj_dim", "q_lora_rank", "kv_lora_rank",
    "intermediate_size_mlp", "moe_shared_expert_intermediate_size", "time_step_rank", "mamba_dt_rank",
    "hidden_size_per_layer_input",
)  # fmt: skip
HEAD_WIDTHS = (
    "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "rotary_dim", "global_head_dim",
)  # fmt: skip
LENGTHS = ("sliding_window", "attention_chunk_size", "floor_scale")  # in positions
ROPE_SECTIONS = ("rope_scaling", "rope_parameters")
LETTERS = ("hybrid_override_pattern",)  # one for each layer
# Of state spaces with sizes of their own: heads, groups, and the widths of a head and of its states.
STATE_KEYS = (
    ("mamba_num_heads", "n_groups", "mamba_head_dim", "ssm_state_size"),
    ("mamba_n_heads", "mamba_n_groups", "mamba_d_head", "mamba_d_state"),
)
PAIR_LISTS = ("short_factor", "long_factor")  # a number for each pair of rotated channels


class Sizes:
    """Those of the small model, from the facts of the large one."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.old = facts
        self.layers = min(facts["layers"], LAYERS)
        self.key_heads = min(facts["kv_heads"], KEY_HEADS)
        shared = facts["heads"] // max(facts["kv_heads"], 1)
        self.heads = self.key_heads * min(shared, QUERIES_PER_KEY)
        self.head_width = min(facts["head_width"], HEAD_WIDTH)
        own, heads = facts["channels"], facts["heads"] * facts["head_width"]
        self.has_own_width = heads not in (0, own)  # heads do not share the channels among them
        self.channels = self.heads * self.head_width or min(own, CHANNELS)
        if self.has_own_width:
            self.channels = units(self.channels * own / heads)
        self.experts = min(facts["experts"], EXPERTS)
        self.chosen = max(1, min(facts["experts_chosen"], self.experts // 2))
        self.vocabulary = min(facts["vocabulary"], VOCABULARY)

    def width(self, old: int) -> int:
        return units(old * self.channels / self.old["channels"])

    def of_head(self, old: int) -> int:
        return max(2, 2 * round(old * self.head_width / self.old["head_width"] / 2))


def units(size: float) -> int:
    return max(1, round(size / UNIT)) * UNIT


def shrunk(config: Config, facts: dict[str, Any]) -> Config:
    """`facts`: of the config, by the program."""
    small = copy.deepcopy(config)
    section = "vision_config" if facts["reads_images"] else "text_config"
    part = small[section] if isinstance(small.get(section), dict) else small
    sizes = Sizes(facts)
    _set_sizes(part, sizes)
    _cut_lists(part, sizes)
    _shrink_shared_keys(part, sizes)
    _shrink_rope(part, sizes)
    for keys in STATE_KEYS:
        if isinstance(part.get(keys[0]), int) and isinstance(part.get(keys[2]), int):
            _shrink_states(part, *keys)
    if facts["reads_images"]:
        _shrink_images(part)
        doubled = small.get(f"{section}_dict") or {}  # of CLIP, where it counts
        small |= {f"{section}_dict": {**doubled, **_common(part, doubled)}} if doubled else {}
    elif part is not small:
        _keep_ids(small, sizes.vocabulary)
    return small


def _common(part: Config, other: Config) -> Config:
    return {key: value for key, value in part.items() if key in other}


def _set(part: Config, keys: tuple[str, ...], value: int) -> None:
    """Under each spelling that is there, else under the first."""
    for key in [key for key in keys if isinstance(part.get(key), int)] or keys[:1]:
        part[key] = value


def _set_sizes(part: Config, sizes: Sizes) -> None:
    _set(part, LAYER_KEYS, sizes.layers)
    _set(part, CHANNEL_KEYS, sizes.channels)
    if sizes.heads:
        _set_heads(part, sizes)
    if sizes.old["experts"]:
        _set(part, EXPERT_KEYS, sizes.experts)
        _set(part, CHOICE_KEYS, sizes.chosen)
    for key in WIDTHS:
        if isinstance(part.get(key), int) and part[key] > 0:
            part[key] = sizes.width(part[key])
    for key in LENGTHS:
        if isinstance(part.get(key), int):
            part[key] = min(part[key], WINDOW)
    if isinstance(part.get("num_global_key_value_heads"), int):  # of layers with heads of other sizes
        shared = sizes.old["heads"] // part["num_global_key_value_heads"]
        part["num_global_key_value_heads"] = sizes.heads // min(shared, sizes.heads)
    neurons = sizes.old["ffn_width"]
    if neurons and "intermediate_size" not in part and not any(part.get(key) for key in WIDTHS):
        part["intermediate_size"] = sizes.width(neurons)
    if not sizes.old["reads_images"]:
        part["vocab_size"] = sizes.vocabulary
        if "vocab_size_per_layer_input" in part:
            part["vocab_size_per_layer_input"] = sizes.vocabulary
        _keep_ids(part, sizes.vocabulary)


def _set_heads(part: Config, sizes: Sizes) -> None:
    _set(part, HEAD_KEYS, sizes.heads)
    if sizes.old["kv_heads"] != sizes.old["heads"] or any(part.get(key) for key in KEY_HEAD_KEYS):
        _set(part, KEY_HEAD_KEYS, sizes.key_heads)
    has_latents = "qk_rope_head_dim" in part  # then `head_dim` is the rotated part of a head
    widths = (*HEAD_WIDTHS, "head_dim") if has_latents else HEAD_WIDTHS
    for key in widths:
        if isinstance(part.get(key), int):
            part[key] = sizes.of_head(part[key])
    if not has_latents and (sizes.has_own_width or part.get("head_dim")):
        part["head_dim"] = sizes.head_width


def _keep_ids(part: Config, vocabulary: int) -> None:
    for key, value in part.items():
        if not key.endswith(("_token_id", "_token_index")):
            continue
        if isinstance(value, list):
            part[key] = [one % vocabulary for one in value]
        elif isinstance(value, int):
            part[key] = value % vocabulary


def _cut_lists(part: Config, sizes: Sizes) -> None:
    """Entries by layer; numbers of layers that are left out."""
    for key, value in part.items():
        if isinstance(value, list) and len(value) == sizes.old["layers"]:
            part[key] = value[: sizes.layers]
        elif key in LETTERS and isinstance(value, str):
            part[key] = value[: sizes.layers]
        elif isinstance(value, list) and key.endswith("_layers"):
            part[key] = [layer for layer in value if layer < sizes.layers]
    if isinstance(part.get("max_window_layers"), int):
        part["max_window_layers"] = min(part["max_window_layers"], sizes.layers)


def _shrink_shared_keys(part: Config, sizes: Sizes) -> None:
    """The last layers take the keys of earlier ones: of each kind one layer stays before them."""
    shared, kinds = part.get("num_kv_shared_layers"), part.get("layer_types")
    if not shared or not isinstance(kinds, list):
        return
    own = 1 + max(kinds.index(kind) for kind in kinds)
    part["num_kv_shared_layers"] = min(shared * sizes.layers // sizes.old["layers"], sizes.layers - own)


def _shrink_rope(part: Config, sizes: Sizes) -> None:
    """Lists by pair of channels; positions along several axes share the pairs as before."""
    for name in ROPE_SECTIONS:
        rope = part.get(name)
        if not isinstance(rope, dict):
            continue
        for key in PAIR_LISTS:
            if isinstance(rope.get(key), list):
                rope[key] = rope[key][: sizes.of_head(2 * len(rope[key])) // 2]
        if isinstance(rope.get("mrope_section"), list):
            pairs = sizes.of_head(2 * sum(rope["mrope_section"])) // 2
            shares = [pairs * own // sum(rope["mrope_section"]) for own in rope["mrope_section"]]
            rope["mrope_section"] = [shares[0] + pairs - sum(shares), *shares[1:]]


def _shrink_states(part: Config, heads: str, groups: str, width: str, states: str) -> None:
    part[heads] = part[groups] * min(part[heads] // part[groups], STATE_HEADS_PER_GROUP)
    for key in (width, states):
        part[key] = min(part[key], HEAD_WIDTH)
    if isinstance(part.get("mamba_d_ssm"), int):
        part["mamba_d_ssm"] = part[heads] * part[width]


def _shrink_images(part: Config) -> None:
    if isinstance(part.get("image_size"), int) and isinstance(part.get("patch_size"), int):
        part["image_size"] = min(part["image_size"], GRID * part["patch_size"])
