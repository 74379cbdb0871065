"""A GPT-2 that the authors of arXiv 2402.17762 trained for section 5 -> a Hugging Face checkpoint
directory.

In: a `.pt` of their code (https://github.com/locuslab/massive-activations, folder gpt-2, which
follows nanoGPT): plain, with explicit attention biases k', v', or with a sink token. It is read by
torch's loader of weights, which runs no code of the file. Out: model.safetensors with transformers'
names of GPT-2 and the extra tensors of data/README.md, and config.json. Refuses what needs another
loader, a checkpoint of another variant, a missing or unknown tensor, and shapes that contradict
each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor, to_bytes
from preparation.errors import MODEL, PreparationError
from preparation.pickled_weights import load_weights

SHARD_BYTES = 5_000_000_000
COMPILED_PREFIX = "_orig_mod."  # torch.compile's
MASK = ".attn.bias"  # a buffer of older versions of torch, no parameter
HEAD = "lm_head.weight"
TABLE = "transformer.wte.weight"

# Letters: C channels, F feed-forward width, H heads, D head width, T positions, V vocabulary.
LAYER_WEIGHTS = {
    "ln_1.weight": "C",
    "attn.c_attn.weight": "QC",
    "attn.c_proj.weight": "CC",
    "ln_2.weight": "C",
    "mlp.c_fc.weight": "FC",
    "mlp.c_proj.weight": "CF",
}
LAYER_BIASES = {
    "ln_1.bias": "C",
    "attn.c_attn.bias": "Q",
    "attn.c_proj.bias": "C",
    "ln_2.bias": "C",
    "mlp.c_fc.bias": "F",
    "mlp.c_proj.bias": "C",
}
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # [out, in] there, [in, out] here
KEY_VALUE_BIASES = ("attn.k_bias", "attn.v_bias")  # [1, H, 1, D] there, [H, D] here
SINK_STORED = "reg_token"  # [1, 1, C] there, [C] here
SINK = "transformer.sink_token"

# Variant -> what config.json says of it.
VARIANTS: dict[str, dict[str, bool]] = {
    "default": {},
    "kv_bias": {"attention_bias_kv": True},
    "sink_token": {"sink_token": True},
}

State = dict[str, torch.Tensor]


def convert(path: Path, directory: Path, dtype: str, variant: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    state, arguments = _load(path)
    model = _Converted(path, state, arguments, variant)
    tensors = [Tensor(name, values.shape) for name, values in model.tensors.items()]
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(total=len(tensors), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[bytes]:
                yield to_bytes(model.tensors[tensor.name], dtype)
                progress.update()

            names = writer.write_tensors(tensors, SHARD_BYTES, chunks_of)
        writer.write_json("config.json", model.config | {"torch_dtype": dtype})
    return names


def _load(path: Path) -> tuple[State, dict[str, Any]]:
    """The parameters and the arguments of the model; nothing of the file is run."""
    stored = load_weights(path)
    if not isinstance(stored, dict) or not isinstance(stored.get("model"), dict):
        raise PreparationError(MODEL, f'{path}: there is no state dictionary "model"')
    arguments = stored.get("model_args")
    if not isinstance(arguments, dict):
        raise PreparationError(MODEL, f'{path}: there is no dictionary "model_args"')
    state = {}
    for name, values in stored["model"].items():
        if isinstance(name, str) and name.endswith(MASK):
            continue
        is_dense = isinstance(values, torch.Tensor) and values.layout == torch.strided
        if not isinstance(name, str) or not is_dense or not values.is_floating_point():
            found = f"{name}: {values.dtype}" if isinstance(values, torch.Tensor) else f"{name!r}"
            message = f'{path}: "model" holds {found[:80]}, expected dense weights of real numbers'
            raise PreparationError(MODEL, message)
        state[name.removeprefix(COMPILED_PREFIX)] = values
    return state, arguments


class _Converted:
    """The checkpoint's content: `tensors` by their new names, float32, and `config`."""

    def __init__(self, path: Path, state: State, arguments: dict[str, Any], variant: str) -> None:
        self._path = path
        self._state = state
        self._variant = variant
        self._check_variant()
        self._sizes = self._sizes_of(arguments)
        self.tensors: dict[str, np.ndarray] = {}
        self._add(TABLE, "VC")
        self._add("transformer.wpe.weight", "TC")
        has_bias = "transformer.h.0.ln_1.bias" in state
        for layer in range(arguments["n_layer"]):
            self._add_layer(f"transformer.h.{layer}.", has_bias)
        self._add("transformer.ln_f.weight", "C")
        self._add_bias("transformer.ln_f.bias", "C", has_bias)
        if variant == "sink_token":
            self.tensors[SINK] = self._take(SINK_STORED, "11C").reshape(-1)
        is_tied = self._add_head()
        if state:
            raise self._refuse(f"unknown tensor {next(iter(state))}")
        self.config = self._config(arguments, is_tied)

    def _refuse(self, found: str) -> PreparationError:
        return PreparationError(MODEL, f"{self._path}: {found}")

    def _check_variant(self) -> None:
        found = "default"
        if any(name.endswith(KEY_VALUE_BIASES) for name in self._state):
            found = "kv_bias"
        elif SINK_STORED in self._state:
            found = "sink_token"
        if found != self._variant:
            raise self._refuse(f"its tensors are those of --variant {found}, not {self._variant}")

    def _sizes_of(self, arguments: dict[str, Any]) -> dict[str, int]:
        for key in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
            if type(arguments.get(key)) is not int or arguments[key] < 1:
                raise self._refuse(f"model_args says {key} is {arguments.get(key)}")
        channels, heads = arguments["n_embd"], arguments["n_head"]
        if channels % heads != 0:
            raise self._refuse(f"{channels} channels do not divide into {heads} heads")
        sizes = {"C": channels, "Q": 3 * channels, "F": 4 * channels, "1": 1}
        sizes |= {"H": heads, "D": channels // heads}
        return sizes | {"T": arguments["block_size"], "V": arguments["vocab_size"]}

    def _take(self, name: str, letters: str) -> np.ndarray:
        """A tensor of the file, whose shape is spelled in letters; each is taken once."""
        if name not in self._state:
            raise self._refuse(f"there is no tensor {name}")
        values = self._state.pop(name)
        expected = tuple(self._sizes[letter] for letter in letters)
        if tuple(values.shape) != expected:
            raise self._refuse(f"{name} has shape {tuple(values.shape)}, expected {expected}")
        return values.float().numpy()

    def _add(self, name: str, letters: str) -> None:
        values = self._take(name, letters)
        self.tensors[name] = values.T if name.endswith(TRANSPOSED) else values

    def _add_bias(self, name: str, letters: str, has_bias: bool) -> None:
        """Zeros where the model has no biases: transformers' GPT-2 always has them."""
        if has_bias:
            self._add(name, letters)
        else:
            self.tensors[name] = np.zeros(self._sizes[letters], dtype=np.float32)

    def _add_layer(self, begin: str, has_bias: bool) -> None:
        for name, letters in LAYER_WEIGHTS.items():
            self._add(begin + name, letters)
        for name, letters in LAYER_BIASES.items():
            self._add_bias(begin + name, letters, has_bias)
        if self._variant == "kv_bias":
            for name in KEY_VALUE_BIASES:
                values = self._take(begin + name, "1H1D")
                self.tensors[begin + name] = values.reshape(self._sizes["H"], self._sizes["D"])

    def _add_head(self) -> bool:
        """Whether the output projection is the table of embeddings, as in all of their models."""
        if HEAD not in self._state:
            return True
        values = self._take(HEAD, "VC")
        if np.array_equal(values, self.tensors[TABLE]):
            return True
        self.tensors[HEAD] = values
        return False

    def _config(self, arguments: dict[str, Any], is_tied: bool) -> dict[str, Any]:
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": arguments["n_layer"],
            "n_head": arguments["n_head"],
            "n_embd": arguments["n_embd"],
            "n_positions": arguments["block_size"],
            "vocab_size": arguments["vocab_size"],
            "activation_function": "gelu",  # exact, where OpenAI's GPT-2 has the tanh
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": is_tied,
            "bos_token_id": None,
            "eos_token_id": None,
            **VARIANTS[self._variant],
        }
