#!/usr/bin/env python3
"""Prepares a Hugging Face checkpoint: from another format, or randomly from a config.json.

    prepare_model.py gguf FILE.gguf OUT_DIR [--dtype float32|bfloat16]
    prepare_model.py torch DIR_OR_FILE OUT_DIR [--dtype ...]
    prepare_model.py merge_adapter BASE ADAPTER OUT_DIR [--dtype ...]
    prepare_model.py onnx FILE.onnx OUT_DIR [--dtype ...]
    prepare_model.py massive_activations CKPT.pt OUT_DIR --variant VARIANT [--dtype ...]
    prepare_model.py random CONFIG.json OUT_DIR [--dtype ...|float16] [--shard-bytes N] [--seed N]
        [--shrink] [--massive CHANNEL [--massive-token ID] [--massive-magnitude X]]

Exit codes: 0 done, 2 bad command line, 4 a file that cannot be converted, 6 output.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from preparation.command_line import positive_integer
from preparation.errors import MODEL, PreparationError, run_program
from preparation.file_kinds import refuse_pointer
from preparation.hub_cache import model_directory


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_model.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    gguf = commands.add_parser("gguf", help="convert a GGUF file")
    gguf.add_argument("file", type=Path, help="FILE.gguf")

    pickled = commands.add_parser("torch", help="convert pytorch_model.bin, or another file of torch.save")
    pickled.add_argument("file", type=Path, metavar="DIR_OR_FILE", help="with config.json; or hf:ORG/NAME")

    merged = commands.add_parser("merge_adapter", help="add a LoRA adapter of PEFT to its base")
    merged.add_argument("base", type=Path, help="a directory of safetensors, or hf:ORG/NAME")
    merged.add_argument("adapter", type=Path, help="a directory with adapter_config.json, or hf:ORG/NAME")

    onnx = commands.add_parser("onnx", help="convert the DINOv2 backbone inside an ONNX file")
    onnx.add_argument("file", type=Path, help="FILE.onnx")

    trained = commands.add_parser(
        "massive_activations", help="convert a GPT-2 of the paper's own code"
    )
    trained.add_argument("file", type=Path, help="CKPT.pt")
    trained.add_argument("--variant", choices=("default", "kv_bias", "sink_token"), required=True)

    random = commands.add_parser("random", help="initialise randomly, of any size")
    random.add_argument("config", type=Path, help="CONFIG.json of any model that actsweep reads")
    add_random_options(random)

    for command in (gguf, pickled, merged, onnx, trained, random):
        keeps = command in (pickled, merged)  # the types of the tensors, unless asked for another
        dtypes = ("float32", "bfloat16", *(("float16",) if command is random or keeps else ()))
        command.add_argument("directory", type=Path, metavar="OUT_DIR")
        default = None if keeps else "float32"
        command.add_argument("--dtype", choices=dtypes, default=default)
    return parser.parse_args()


def add_random_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--shard-bytes",
        type=positive_integer,
        default=5_000_000_000,
        help="largest file (default 5 GB)",
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--shrink", action="store_true", help="a small model with the switches of the config.json"
    )
    command.add_argument(
        "--massive", type=int, metavar="CHANNEL", help="plant a massive activation in a channel"
    )
    command.add_argument(
        "--massive-token", type=int, metavar="ID", help="its token (default: bos_token_id)"
    )
    command.add_argument("--massive-magnitude", type=float, default=3000.0, metavar="X")
    command.add_argument(
        "--program", type=Path, help="the program actsweep (default: build/actsweep)"
    )


def import_onnx() -> ModuleType:
    """The converter from ONNX, whose package not everybody has."""
    try:
        from preparation import onnx_checkpoint
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "google", "google.protobuf"):
            raise
        raise PreparationError(
            MODEL, f"the Python package {error.name} is missing: scripts/bootstrap --study adds it"
        ) from None
    return onnx_checkpoint


def create_randomly(arguments: argparse.Namespace) -> list[str]:
    from preparation.needed_tensors import find_program
    from preparation.random_checkpoint import Settings, create

    settings = Settings(
        arguments.dtype,
        arguments.shard_bytes,
        arguments.seed,
        arguments.shrink,
        arguments.massive,
        arguments.massive_token,
        arguments.massive_magnitude,
    )
    program = find_program(arguments.program)
    return create(program, arguments.config, arguments.directory, settings)


def convert(arguments: argparse.Namespace) -> list[str]:
    """Imports what a command needs alone, for the packages are large."""
    directory, dtype = arguments.directory, arguments.dtype
    if arguments.command == "random":
        return create_randomly(arguments)
    if arguments.command == "merge_adapter":
        from preparation import merged_checkpoint

        base, adapter = map(model_directory, (arguments.base, arguments.adapter))
        return merged_checkpoint.convert(base, adapter, directory, dtype)
    refuse_pointer(arguments.file)
    if arguments.command == "torch":
        from preparation import pickled_checkpoint

        return pickled_checkpoint.convert(model_directory(arguments.file), directory, dtype)
    if arguments.command == "gguf":
        from preparation import gguf_checkpoint

        return gguf_checkpoint.convert(arguments.file, directory, dtype)
    if arguments.command == "onnx":
        return import_onnx().convert(arguments.file, directory, dtype)
    from preparation import massive_activations

    return massive_activations.convert(arguments.file, directory, dtype, arguments.variant)


def main() -> None:
    arguments = parse_command_line()
    directory = arguments.directory
    files = convert(arguments)
    weight_bytes = sum((directory / name).stat().st_size for name in files)
    dtype = arguments.dtype or "types as they were"
    print(f"{directory}: {len(files)} weight file(s), {weight_bytes:,} bytes, {dtype}")


if __name__ == "__main__":
    run_program("prepare_model.py", main)
