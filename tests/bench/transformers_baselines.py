"""What a researcher would run without actsweep: transformers, bare and with hooks.

Every baseline takes the same token windows, ids int64 [windows, T], passes `windows_per_call` of
them at a time, and leaves nothing behind but what it promises to measure.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import h5py
import torch
from transformers import AutoModelForCausalLM

TOP_K = 3
FIELDS = ("top_1", "top_2", "top_3", "median", "max", "mean", "std")
MATRIX_EDGE = 2048
MATRIX_PRODUCTS = 8

Hook = Callable[[int, torch.Tensor], None]


class Baselines:
    """One checkpoint in one element type, on this process's threads or on a GPU."""

    def __init__(self, model_dir: Path, dtype: torch.dtype, windows: torch.Tensor,
                 windows_per_call: int, device: str = "cpu") -> None:
        self.model = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=dtype, attn_implementation="sdpa").to(device).eval()
        self.batches = windows.to(device).split(windows_per_call)
        # Block outputs by hooks: the model's own last hidden state includes the final norm.
        base = self.model.base_model
        self.taps = [base.get_input_embeddings(), *base.layers]

    @torch.inference_mode()
    def warm_up(self) -> None:
        """First calls pay for oneDNN's choices and page faults; they are not timed."""
        self.model(self.batches[0], use_cache=False)

    @torch.inference_mode()
    def forward_with_logits(self) -> None:
        for ids in self.batches:
            self.model(ids, use_cache=False)

    @torch.inference_mode()
    def forward_without_logits(self) -> None:
        for ids in self.batches:
            self.model.base_model(ids, use_cache=False)

    @torch.inference_mode()
    def float32_hooks(self, path: Path) -> None:
        """Seven float32 numbers of every token of every layer, appended to `path`:
        per layer a dataset [tokens, 7], columns FIELDS."""
        with h5py.File(path, "w") as file:
            rows = [file.create_dataset(f"layer_{layer:02d}", (0, len(FIELDS)), "f4",
                                        maxshape=(None, len(FIELDS)), chunks=(4096, len(FIELDS)))
                    for layer in range(len(self.taps))]

            def append(layer: int, state: torch.Tensor) -> None:
                values = token_statistics(state).flatten(0, 1).cpu().numpy()
                rows[layer].resize(len(rows[layer]) + len(values), axis=0)
                rows[layer][-len(values):] = values

            with self._hooked(append):
                for ids in self.batches:
                    self.model(ids, use_cache=False)

    @torch.inference_mode()
    def float64_sort_hooks(self) -> list[list[tuple[float, ...]]]:
        """The way of the paper's code: every layer's state copied to float64, then each window's
        magnitudes sorted as a whole. Returns per window and layer the top 3 and the median."""
        states: dict[int, torch.Tensor] = {}

        def keep(layer: int, state: torch.Tensor) -> None:
            states[layer] = state.to(torch.float64, copy=True)

        found = []
        with self._hooked(keep):
            for ids in self.batches:
                self.model(ids, use_cache=False)
                for window in range(len(ids)):
                    found.append([sorted_statistics(states[layer][window])
                                  for layer in range(len(self.taps))])
        return found

    @contextmanager
    def _hooked(self, measure: Hook) -> Iterator[None]:
        handles = [tap.register_forward_hook(
                       lambda module, inputs, output, layer=layer: measure(layer, output))
                   for layer, tap in enumerate(self.taps)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def token_statistics(state: torch.Tensor) -> torch.Tensor:
    """FIELDS of each token: [B, T, C] of any type → [B, T, 7] float32. Top and median are of
    magnitudes, max, mean and std of the values."""
    values = state.float()
    magnitudes = values.abs()
    std, mean = torch.std_mean(values, dim=-1)
    return torch.cat([magnitudes.topk(TOP_K, dim=-1).values,
                      torch.stack([magnitudes.median(dim=-1).values, values.amax(dim=-1),
                                   mean, std], dim=-1)], dim=-1)


def sorted_statistics(state: torch.Tensor) -> tuple[float, ...]:
    """Top 3 and median magnitude of one window's state [T, C] float64."""
    descending = state.abs().flatten().sort(descending=True).values
    return (*descending[:TOP_K].tolist(), descending[len(descending) // 2].item())


def matrix_product_gflops(dtype: torch.dtype, device: str = "cpu",
                          edge: int = MATRIX_EDGE) -> float:
    """The machine's rate on square products, in 10^9 operations per second."""
    left = torch.randn(edge, edge).to(device, dtype)
    right = torch.randn(edge, edge).to(device, dtype)
    product = torch.empty_like(left)
    torch.mm(left, right, out=product)
    wait_for(device)
    start_s = perf_counter()
    for _ in range(MATRIX_PRODUCTS):
        torch.mm(left, right, out=product)
    wait_for(device)
    elapsed_s = perf_counter() - start_s
    return 2 * edge**3 * MATRIX_PRODUCTS / elapsed_s / 1e9


def wait_for(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
