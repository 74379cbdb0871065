"""The attribute `linear_layers` of sample files, as the program writes it for models of four blocks."""

from __future__ import annotations

import json

ROUTED = [1, 2, 3]  # the blocks with experts


def _reading(reads: str, *modules: str, layers: list[int] | None = None) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"reads": reads, "module": f"model.layers.{{}}.{module}"} for module in modules
    ]
    return rows if layers is None else [row | {"layers": layers} for row in rows]


ATTENTION = [
    *_reading("attention_input", *(f"self_attn.{name}_proj" for name in "qkv")),
    *_reading("attention_heads", "self_attn.o_proj"),
]


def _dense(layers: list[int] | None = None) -> list[dict[str, object]]:
    return [
        *_reading("mlp_input", "mlp.gate_proj", "mlp.up_proj", layers=layers),
        *_reading("mlp_hidden", "mlp.down_proj", layers=layers),
    ]


def _experts(router: str, first: tuple[str, ...], last: str) -> list[dict[str, object]]:
    return [
        *_reading("mlp_input", router, layers=ROUTED),
        *_reading("expert_input", *first, layers=ROUTED),
        *_reading("expert_hidden", last, layers=ROUTED),
    ]


QWEN = "mlp.experts.{e}"
MIXTRAL = "block_sparse_moe.experts.{e}"
QWEN3_MOE = [
    *ATTENTION,
    *_dense([0]),
    *_experts("mlp.gate", (f"{QWEN}.gate_proj", f"{QWEN}.up_proj"), f"{QWEN}.down_proj"),
]
SHARED = "mlp.shared_expert"
LISTS = {
    "llama": [*ATTENTION, *_dense()],
    "falcon_h1": [
        *(row | {"factor": -0.75} for row in _reading("attention_input", "mamba.in_proj")),
        *(row | {"factor": 0.1} for row in ATTENTION[:3]),
        *ATTENTION[3:],
    ],
    "opt": [
        {"reads": "attention_input", "module": "model.decoder.layers.{}.self_attn.q_proj"},
        {"reads": "mlp_hidden", "module": "model.decoder.layers.{}.fc2"},
    ],
    "mixtral": [
        *ATTENTION,
        *_experts("block_sparse_moe.gate", (f"{MIXTRAL}.w1", f"{MIXTRAL}.w3"), f"{MIXTRAL}.w2"),
    ],
    "qwen3_moe": QWEN3_MOE,
    "qwen2_moe": [
        *QWEN3_MOE,
        *_reading(
            "mlp_input", f"{SHARED}_gate", f"{SHARED}.gate_proj", f"{SHARED}.up_proj", layers=ROUTED
        ),
        *_reading("mlp_hidden", f"{SHARED}.down_proj", layers=ROUTED),
    ],
    "gpt_oss": [
        *ATTENTION,
        *_experts("mlp.router", ("mlp.experts.gate_up_proj",), "mlp.experts.down_proj"),
    ],
}


def attribute_of(family: str) -> str:
    return json.dumps(LISTS[family])
