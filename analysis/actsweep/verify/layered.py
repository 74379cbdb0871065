"""transformers' model layer by layer: for checkpoints that memory does not hold.

In: a checkpoint directory, and windows of ids or pixels. Out: what `Reference` gives, in the memory of what
stands outside of the blocks (embeddings, head) and of one block: each block is loaded once, all windows pass
it, and it is dropped. What a block is given beside the stream (masks, positions) is taken from transformers'
own forward pass, in which blocks hand on what they get.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import memory
from .blocks import OUTSIDE, BlockLoader, shapes_alone
from .program import ProgramFailed
from .records import Inside
from .reference import Pass, Reference, Trace, class_of, implementations, passed_blocks, unloadable

Call = tuple[tuple[Any, ...], dict[str, Any]]  # what a block is called with


class Stream(torch.Tensor):
    """A block's output where some blocks give a tuple: its first part is itself."""

    def __getitem__(self, place: Any) -> Any:
        is_first = isinstance(place, int) and place == 0
        return self if is_first else super().__getitem__(place)

    def __iter__(self) -> Iterator[Any]:
        return iter((self, None))


class LayeredReference(Reference):
    """A model of which one block at a time has weights."""

    without_double = "transformers' own error not measured: the model was read layer by layer"

    def _load(self, directory: Path, config: Any, tokens: int) -> tuple[Any, dict[str, Any]]:
        try:
            with shapes_alone():
                loader = class_of(config, self._is_text)
                module = loader.from_config(config, **implementations(config)).eval()
        except Exception as error:  # noqa: BLE001 (of any kind: the checkpoint is not ours)
            raise unloadable(directory, error) from error
        blocks = passed_blocks(module, self._is_text)
        self._loader = BlockLoader(directory, module, blocks)
        largest = max(self._loader.bytes_of(number) for number in range(len(blocks)))
        memory.check_layers(
            directory, self._loader.bytes_of(OUTSIDE), largest, self._work_bytes, tokens
        )
        missing = self._loader.load_outside()
        found = {"missing_keys": missing, "mismatched_keys": self._loader.mismatched}
        return module, {**found, "unexpected_keys": self._loader.unexpected}

    def run_all(self, windows: Sequence[np.ndarray]) -> list[Pass]:
        calls = [self._calls(inputs) for inputs in windows]
        traces = [Trace(inside=Inside(window=number)) for number in range(len(windows))]
        streams = [_stream_of(of_window[0]) for of_window in calls]
        with self._looking():
            for number, block in enumerate(self._blocks):
                self._loader.load(number)
                for window, of_window in enumerate(calls):
                    self._trace = traces[window]
                    streams[window] = self._pass(block, of_window[number], streams[window])
                self._loader.drop(number)
        return [
            self._finish(trace, self._losses(inputs, stream))
            for inputs, trace, stream in zip(windows, traces, streams, strict=True)
        ]

    def in_double(self) -> bool:
        return False

    def _pass(self, block: Any, call: Call, stream: torch.Tensor) -> torch.Tensor:
        given, named = call
        if given:
            given = (stream, *given[1:])
        else:
            named = {**named, "hidden_states": stream}
        with torch.no_grad():
            output = block(*given, **named)
        return output[0] if isinstance(output, tuple) else output

    def _calls(self, inputs: np.ndarray) -> list[Call]:
        """What each block is called with."""
        calls: list[Call] = []

        def hand_on(*given: Any, **named: Any) -> torch.Tensor:
            calls.append((given, named))
            return _stream_of(calls[-1]).as_subclass(Stream)

        self._forward_through([hand_on] * len(self._blocks), inputs)
        if len(calls) != len(self._blocks):
            raise ProgramFailed(
                f"{type(self.module).__name__}: expected {len(self._blocks)} blocks to be passed, found"
                f" {len(calls)}",
                4,
            )
        return calls

    def _losses(self, inputs: np.ndarray, stream: torch.Tensor) -> np.ndarray | None:
        """Of the model whose blocks together give this stream."""

        def give(*_given: Any, **_named: Any) -> torch.Tensor:
            return stream.as_subclass(Stream)

        return self._forward_through([give] * len(self._blocks), inputs)

    def _forward_through(self, stands: Sequence[Any], inputs: np.ndarray) -> np.ndarray | None:
        """A forward pass in which other functions stand in the blocks' places."""
        self._trace = Trace()  # of no window
        for block, stand in zip(self._blocks, stands, strict=True):
            block.forward = stand
        try:
            return self._forward(inputs)
        finally:
            for block in self._blocks:
                del block.forward


def _stream_of(call: Call) -> torch.Tensor:
    given, named = call
    return given[0] if given else named["hidden_states"]
