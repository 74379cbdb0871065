"""Of a checkpoint's directory the weights are read that transformers' from_pretrained loads.

Each form is swept and held against transformers on the same directory: the residual stream of a
prompt in every layer, and losses. What transformers would make up at random, or another model of, is
refused with exit code 4 and one line.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from running import make_corpus, make_job, refuse, run_alone, run_well, write_job
from safetensors.torch import load_file, save_model
from transformers import AutoConfig, AutoModelForCausalLM

from support.checkpoint_forms import (
    EMBEDDING,
    HEAD,
    INDEX,
    SINGLE,
    TIED,
    Form,
    Loaded,
    bare,
    load,
    save,
    without,
    write_index,
)
from support.compatibility import Compatibility
from support.family_cases import IN_EVERY_WAY
from support.random_models import MODELS, RandomModel, make_random
from support.random_models import save as save_random
from support.slow_cases import slow_unless

KIND = "Checkpoints"
MODEL_ERROR = 4
WINDOW = 16
QUERY = "model.layers.1.self_attn.q_proj.weight"
LATE = "model.layers.3.self_attn.q_proj.weight"
ROTARY = "model.layers.0.self_attn.rotary_emb"


@pytest.fixture
def form(model: Path, tmp_path: Path) -> Form:
    return Form.of(model, tmp_path / "form")


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "small.h5", 4 * WINDOW)


@pytest.fixture
def job(form: Form, small_corpus: Path, tmp_path: Path) -> Path:
    """Two model ranks."""
    return write_job(
        tmp_path / "job.toml", make_job(form.directory, small_corpus, tmp_path / "sweep.h5")
    )


def assert_equal_to(loaded: Loaded, job: Path, corpus: Path, *, with_loss: bool = True) -> None:
    """A finished sweep against what transformers makes of a checkpoint."""
    with h5py.File(job.parent / "sweep.h5") as sweep, h5py.File(corpus) as tokens:
        ids = sweep["capture/short/id"][()]
        expected = loaded.residual(ids)
        found = sweep["capture/short/residual"][()]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
        if with_loss:
            losses = sweep["loss/token_nll"][: WINDOW - 1]
            nll = loaded.token_nll(tokens["ids"][:WINDOW])
            np.testing.assert_allclose(losses, nll, rtol=1e-4, atol=1e-4)


def said(log: str, level: str) -> list[str]:
    """The messages of a level, without the logger's stamp."""
    return [line.split(level)[1] for line in log.splitlines() if level in line]


def warnings_of(log: str) -> list[str]:
    return said(log, "] warning: ")


def error_of(log: str) -> str:
    (error,) = said(log, "] error: ")
    return error


# --- read ----------------------------------------------------------------------------------------


def shards_with_more_than_the_index_names(form: Form) -> None:
    form.tensors[f"{ROTARY}.inv_freq"] = torch.ones(4)
    form.shard(2, {f"{ROTARY}.inv_freq": None, QUERY: None})


def index_with_a_name_in_the_wrong_shard(form: Form) -> None:
    first, second = form.shard(2, {LATE: "model-00001-of-00002.safetensors"})
    assert LATE in read_header(second) and LATE not in read_header(first)


def index_with_a_name_that_no_shard_has(form: Form) -> None:
    form.shard(2, {"model.layers.0.gone.weight": "model-00001-of-00002.safetensors"})


def shards_of_the_bare_model(form: Form) -> None:
    form.configure(**TIED)
    form.tensors = bare(form.tensors)
    form.shard(3)


def prefixes_on_some_names(form: Form) -> None:
    form.tensors = {
        name.removeprefix("model.") if ".layers.2." in name else name: tensor
        for name, tensor in form.tensors.items()
    }
    form.save()


def tied_pair_with_the_embedding_alone(form: Form) -> None:
    form.configure(**TIED)
    form.save(without(form.tensors, [HEAD]))


def tied_pair_with_the_head_alone(form: Form) -> None:
    form.configure(**TIED)
    form.save(without(form.tensors, [EMBEDDING]))


def tied_pair_with_both(form: Form) -> None:
    form.configure(**TIED)
    form.tensors[HEAD] = form.tensors[EMBEDDING]
    form.save()


def tied_pair_that_differs(form: Form) -> None:
    form.configure(**TIED)
    assert not torch.equal(form.tensors[HEAD], form.tensors[EMBEDDING])
    form.save()


def file_named_by_the_config(form: Form) -> None:
    form.configure(transformers_weights="other.safetensors")
    form.save(form.changed())
    save(form.directory / "other.safetensors", form.tensors)


def links_into_blobs(form: Form) -> None:
    form.save()
    blob = form.directory.parent / "blobs" / "0a1b2c"
    blob.parent.mkdir()
    (form.directory / SINGLE).rename(blob)
    (form.directory / SINGLE).symlink_to(Path("..") / "blobs" / "0a1b2c")


def norms_of_another_dtype(form: Form) -> None:
    for name, tensor in form.tensors.items():
        form.tensors[name] = tensor if "norm" in name else tensor.bfloat16()
    form.save()


def four_dtypes(form: Form) -> None:
    types = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    for i, (name, tensor) in enumerate(sorted(form.tensors.items())):
        form.tensors[name] = tensor.to(types[i % 4])
    form.save()


def header_as_long_as_a_pickle_begins(form: Form) -> None:
    """Spaces behind the header make the first bytes of its length those of a PyTorch file."""
    form.save()
    data = (form.directory / SINGLE).read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    length = 0x10280
    header = length.to_bytes(8, "little") + data[8:end].ljust(length)
    (form.directory / SINGLE).write_bytes(header + data[end:])


READ = {
    shards_with_more_than_the_index_names: "shards with a buffer and a weight that the index lacks",
    index_with_a_name_in_the_wrong_shard: "an index that places a tensor in another shard",
    index_with_a_name_that_no_shard_has: "an index that names a tensor that no shard has",
    shards_of_the_bare_model: "shards of the bare model, without `model.`, tied",
    prefixes_on_some_names: "`model.` on some names alone",
    tied_pair_with_the_embedding_alone: "of a tied pair the embedding alone",
    tied_pair_with_the_head_alone: "of a tied pair `lm_head.weight` alone",
    tied_pair_with_both: "a tied pair, both stored",
    tied_pair_that_differs: "a config that ties what is stored twice and differs: untied",
    file_named_by_the_config: "`transformers_weights` in config.json",
    header_as_long_as_a_pickle_begins: "a header whose length begins as a PyTorch file does",
    links_into_blobs: "links in place of files",
    norms_of_another_dtype: "norms in float32, the rest in bfloat16",
    four_dtypes: "tensors in float64, float32, bfloat16 and float16 in one file",
}


@pytest.mark.parametrize("change", READ, ids=lambda change: change.__name__)
def test_form_is_read_as_transformers_reads_it(
    change: Callable[[Form], None],
    form: Form,
    job: Path,
    small_corpus: Path,
    compatibility: Compatibility,
) -> None:
    change(form)
    log = run_well(job, 2)
    loaded = load(form.directory)
    assert not loaded.missing
    assert_equal_to(loaded, job, small_corpus)
    assert not warnings_of(log), log
    compatibility(KIND, READ[change], "read")


def single_file_before_whole_shards(form: Form) -> None:
    own = form.tensors
    form.tensors = form.changed()
    form.shard(2)
    form.save(own)


def single_file_before_a_stale_index(form: Form) -> None:
    for shard in form.shard(2):
        shard.unlink()
    form.save()


def tensor_in_two_shards(form: Form) -> None:
    first, second = form.shard(2)
    save(first, {**load_file(first), LATE: form.changed()[LATE]})
    assert LATE in read_header(second)


def heads_of_other_tasks(form: Form) -> None:
    form.tensors |= {
        "v_head.summary.weight": torch.ones(1, 48),
        "v_head.summary.bias": torch.ones(1),
        "score.weight": torch.ones(2, 48),
    }
    form.save()


WARNED = {
    single_file_before_whole_shards: (
        "model.safetensors beside shards of other weights",
        "model.safetensors: is read, as transformers does, and the shards of "
        f"{INDEX} beside it are not",
    ),
    single_file_before_a_stale_index: (
        "model.safetensors beside an index whose shards are gone",
        f"{SINGLE}: is read",
    ),
    tensor_in_two_shards: (
        "a tensor in two shards",
        f"tensor {LATE}: it is in two shards; the later one, ",
    ),
    heads_of_other_tasks: (
        "heads of other tasks: TRL's `v_head`, `score`",
        '3 tensors left out that no model of type "llama" has, as transformers does: '
        "score.weight, v_head.summary.bias, v_head.summary.weight",
    ),
}


@pytest.mark.parametrize("change", WARNED, ids=lambda change: change.__name__)
def test_form_is_read_as_transformers_reads_it_with_one_warning(
    change: Callable[[Form], None],
    form: Form,
    job: Path,
    small_corpus: Path,
    compatibility: Compatibility,
) -> None:
    change(form)
    what, words = WARNED[change]
    (warning,) = warnings_of(run_well(job, 2))
    assert words in warning
    assert_equal_to(load(form.directory), job, small_corpus)
    plan = run_alone("plan", job, "--ranks", 2)
    assert plan.returncode == 0 and words in plan.stdout
    compatibility(KIND, what, "warned", warning)


def test_name_that_save_model_leaves_out_is_the_one_it_notes(
    form: Form, job: Path, small_corpus: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """The weights lie with the other name; config.json says nothing of the tie."""
    config = AutoConfig.from_pretrained(form.directory)
    config.tie_word_embeddings = True
    module = AutoModelForCausalLM.from_config(config)
    module.load_state_dict({**form.tensors, HEAD: form.tensors[EMBEDDING]})
    save_model(module, str(form.directory / SINGLE))
    header = read_header(form.directory / SINGLE)
    assert len({HEAD, EMBEDDING} & set(header)) == 1 and len(header["__metadata__"]) > 0
    run_well(job, 2)
    assert_equal_to(Loaded(module.eval(), set(), set()), job, small_corpus)
    compatibility(KIND, "a name that `save_model` leaves out and notes in `__metadata__`", "read")


def read_header(path: Path) -> dict:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length])


BUFFERS = (
    "self_attn.rotary_emb.inv_freq", "self_attn.rotary_emb.cos_cached",
    "self_attn.rotary_emb.sin_cached", "attn.bias", "attn.masked_bias", "attention.bias",
    "attention.masked_bias", "attention.rotary_emb.inv_freq",
)  # fmt: skip
FIRST_OF_FAMILY = {model.family: model for model in reversed(MODELS)}


@pytest.mark.parametrize(
    "random_model",
    [slow_unless(name in IN_EVERY_WAY, one, id=name) for name, one in FIRST_OF_FAMILY.items()],
)
def test_buffers_are_left_out_of_every_family_and_said_once(
    random_model: RandomModel, small_corpus: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = tmp_path / "model"
    save_random(make_random(random_model), random_model, directory)
    form = Form(directory, Form.of(directory, tmp_path / "copy").tensors)
    is_beside = re.compile("vis|projector").search  # of a model of several parts
    (layer_name, *_) = [name for name in form.tensors if ".0." in name and not is_beside(name)]
    layer = layer_name[: layer_name.index(".0.")]
    for buffer in BUFFERS:
        form.tensors[f"{layer}.0.{buffer}"] = torch.ones(4)
    form.tensors["model.rotary_emb.inv_freq"] = torch.ones(4)
    form.tensors["embeddings.position_ids"] = torch.arange(4)[None]
    form.save()
    job = write_job(
        tmp_path / "job.toml",
        make_job(
            directory,
            make_corpus(tmp_path / "corpus.h5", 64, vocabulary=random_model.vocabulary),
            tmp_path / "sweep.h5",
            statistics={"loss": False},
        ),
    )
    log = run_well(job, 1, "parallel.tensor=1")
    said = [line for line in log.splitlines() if " buffers left out" in line]
    assert len(said) == 1 and not warnings_of(log), log
    assert_equal_to(load(directory), job, small_corpus, with_loss=False)
    what = "buffers of rotary tables and masks, in every family"
    compatibility(KIND, what, "read")


@pytest.fixture
def predicting(tmp_path: Path) -> Form:
    """GLM-4.5's shape: a layer behind the last predicts the token after the next."""
    random_model = FIRST_OF_FAMILY["glm4_moe"]
    save_random(make_random(random_model), random_model, tmp_path / "model")
    form = Form(tmp_path / "model", load_file(tmp_path / "model" / SINGLE))
    layers = random_model.config["num_hidden_layers"]
    last, behind = f"model.layers.{layers - 1}.", f"model.layers.{layers}."
    form.tensors |= {
        name.replace(last, behind): tensor
        for name, tensor in form.tensors.items()
        if name.startswith(last)
    }
    form.tensors[f"{behind}eh_proj.weight"] = torch.ones(4, 8)
    form.configure(num_nextn_predict_layers=1)
    return form


def predicting_job(form: Form) -> Path:
    folder = form.directory.parent
    corpus = make_corpus(folder / "corpus.h5", 64, vocabulary=FIRST_OF_FAMILY["glm4_moe"].vocabulary)
    return write_job(
        folder / "job.toml",
        make_job(form.directory, corpus, folder / "sweep.h5", statistics={"loss": False}),
    )


def test_layers_that_predict_later_tokens_are_left_out(
    predicting: Form, compatibility: Compatibility
) -> None:
    predicting.save()
    job = predicting_job(predicting)
    log = run_well(job, 1, "parallel.tensor=1")
    (line,) = [line for line in log.splitlines() if " left out" in line]
    assert "tensors beside the model left out: model.layers.{}." in line and not warnings_of(log)
    assert_equal_to(load(predicting.directory), job, job.parent / "corpus.h5", with_loss=False)
    compatibility(KIND, "layers of multi-token prediction behind the last", "read")


def test_more_layers_than_predict_later_tokens_are_refused(
    predicting: Form, compatibility: Compatibility
) -> None:
    predicting.tensors["model.layers.9.eh_proj.weight"] = torch.ones(4, 8)
    predicting.save()
    error = error_of(refuse(predicting_job(predicting), MODEL_ERROR))
    assert "tensor model.layers.9.eh_proj.weight: not used by a model of type" in error
    what = "more layers behind the last than `num_nextn_predict_layers`"
    compatibility(KIND, what, "refused", error)


def test_kimi_k2_is_deepseek_v3_under_another_name(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    """transformers has no class of its own for it."""
    random_model = FIRST_OF_FAMILY["deepseek_v3"]
    save_random(make_random(random_model), random_model, tmp_path / "model")
    form = Form(tmp_path / "model", {})
    corpus = make_corpus(tmp_path / "corpus.h5", 64, vocabulary=random_model.vocabulary)
    job = write_job(
        tmp_path / "job.toml", make_job(form.directory, corpus, tmp_path / "sweep.h5")
    )
    form.configure(model_type="kimi_k2")
    run_well(job, 2)
    form.configure(model_type="deepseek_v3")
    assert_equal_to(load(form.directory), job, corpus)
    compatibility(KIND, "`kimi_k2`, which is `deepseek_v3` under another name", "read")


# --- a head is needed for the loss alone ---------------------------------------------------------


@pytest.mark.parametrize("is_bare", [True, False], ids=["bare names", "full names"])
def test_model_without_a_head_is_swept_without_a_loss(
    is_bare: bool, form: Form, job: Path, small_corpus: Path, compatibility: Compatibility
) -> None:
    tensors = bare(form.tensors) if is_bare else without(form.tensors, [HEAD])
    form.save(tensors)
    log = refuse(job, MODEL_ERROR, f"tensor {HEAD}: missing", "[97, 48]", "without [statistics]")
    error = error_of(log)
    run_well(job, 2, "statistics.loss=false", 'statistics.sites=["residual", "mlp_hidden"]')
    loaded = load(form.directory)
    assert loaded.missing == {HEAD}
    assert_equal_to(loaded, job, small_corpus, with_loss=False)
    what = "no head, as embedding models are published"
    compatibility(KIND, what, "read")
    compatibility(KIND, f"{what}, and `loss = true`", "refused", error)


# --- refused -------------------------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 164480\n"
PULL = "is a Git LFS pointer, not the file: run `git lfs pull`"


def lost_file(name: str, content: bytes) -> Callable[[Form], None]:
    def lose(form: Form) -> None:
        if name.startswith("model-") or name == INDEX:
            form.shard(2)
        else:
            form.save()
        (form.directory / name).write_bytes(content)

    return lose


def add(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Callable[[Form], None]:
    def change(form: Form) -> None:
        form.tensors[name] = torch.ones(*shape, dtype=dtype)
        form.save()

    return change


def only_files(*names: str) -> Callable[[Form], None]:
    def change(form: Form) -> None:
        for name in names:
            save(form.directory / name, form.tensors)

    return change


def missing_shard(form: Form) -> None:
    form.shard(3)[1].unlink()


def cut_short(form: Form) -> None:
    form.save()
    path = form.directory / SINGLE
    path.write_bytes(path.read_bytes()[:-1000])


def whole_numbers(form: Form) -> None:
    form.tensors[QUERY] = torch.ones(48, 48, dtype=torch.int8)
    form.save()


def absurd_size(form: Form) -> None:
    entry = {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, (1 << 64) - 4]}
    text = json.dumps({QUERY: entry}).encode()
    (form.directory / SINGLE).write_bytes(struct.pack("<Q", len(text)) + text)


def empty_index(form: Form) -> None:
    write_index(form.directory, {})


def index_that_leads_elsewhere(form: Form) -> None:
    form.shard(2, {QUERY: "/models/model-00001-of-00002.safetensors"})


def config_that_names_a_file_elsewhere(form: Form) -> None:
    form.save()
    form.configure(transformers_weights="../model.safetensors")


REFUSED = [
    (lost_file(SINGLE, POINTER), f"a Git LFS pointer in place of {SINGLE}", [SINGLE, PULL]),
    (
        lost_file("model-00002-of-00002.safetensors", POINTER),
        "a Git LFS pointer in place of a shard",
        ["model-00002-of-00002.safetensors", PULL],
    ),
    (lost_file(INDEX, POINTER), "a Git LFS pointer in place of the index", [INDEX, PULL]),
    (
        lost_file("config.json", POINTER),
        "a Git LFS pointer in place of config.json",
        ["config.json", PULL],
    ),
    (
        lost_file("tokenizer.json", POINTER),
        "a Git LFS pointer in place of tokenizer.json",
        ["tokenizer.json", PULL],
    ),
    (
        lost_file(SINGLE, b"\n<!DOCTYPE html>\n<html><body>404</body></html>"),
        f"an HTML page in place of {SINGLE}",
        [SINGLE, "is an HTML page, not the file: download it again"],
    ),
    (
        lost_file("config.json", b"<html><body>404</body></html>"),
        "an HTML page in place of config.json",
        ["config.json", "is an HTML page, not the file: download it again"],
    ),
    (
        lost_file(SINGLE, b"Entry not found"),
        f"an error's text in place of {SINGLE}",
        [SINGLE, 'is text that begins "Entry not found", not the file'],
    ),
    (
        lost_file(SINGLE, b"PK\x03\x04" + bytes(100)),
        f"a PyTorch file called {SINGLE}",
        [SINGLE, "is a PyTorch file, not safetensors", "save_pretrained"],
    ),
    (
        lost_file(SINGLE, b"GGUF" + bytes(100)),
        f"a GGUF file called {SINGLE}",
        [SINGLE, "is a GGUF file", "data/prepare_model.py gguf"],
    ),
    (
        lost_file(SINGLE, gzip.compress(bytes(100))),
        f"a file packed by gzip called {SINGLE}",
        [SINGLE, "is compressed by gzip", "unpack it"],
    ),
    (cut_short, f"{SINGLE} cut short", [SINGLE, "may be truncated"]),
    (missing_shard, "a shard that is missing", ["-00002-of-00003", "missing, though", "download"]),
    (empty_index, "an index without shards", [INDEX, "expected names of shards, found none"]),
    (
        index_that_leads_elsewhere,
        "an index that leads out of its directory",
        [INDEX, QUERY, "expected a file of this directory, found /models/"],
    ),
    (
        config_that_names_a_file_elsewhere,
        "`transformers_weights` that leads out of its directory",
        ["config.json", '"transformers_weights": expected a safetensors file of this directory'],
    ),
    (
        only_files("model.fp16.safetensors", "model.bf16.safetensors"),
        "variants alone: model.fp16.safetensors",
        ["expected model.safetensors or", "found model.bf16.safetensors, model.fp16.safetensors"],
    ),
    (
        only_files("pytorch_model.bin"),
        "pytorch_model.bin alone",
        ["found pytorch_model.bin; data/prepare_model.py torch makes safetensors of it"],
    ),
    (
        only_files("adapter_model.safetensors", "adapter_config.json"),
        "an adapter alone",
        ["found adapter_model.safetensors; an adapter is no model", "prepare_model.py merge_adapter"],
    ),
    (
        add("model.layers.4.mlp.up_proj.weight", 80, 48),
        "a layer more than config.json says",
        ["tensor model.layers.4.mlp.up_proj.weight: not used by a model of type", "4 layers"],
    ),
    (
        add("model.layers.1.self_attn.q_norm.weight", 8),
        "a weight in a layer that the model has no use for",
        ["tensor model.layers.1.self_attn.q_norm.weight: not used by a model of type"],
    ),
    (
        add("model.layers.1.self_attn.q_proj.bias", 48),
        "a bias that config.json says is none",
        ["tensor model.layers.1.self_attn.q_proj.bias: not used by a model of type"],
    ),
    (add("lm_head.bias", 97), "a bias of the head", ["tensor lm_head.bias: not used by"]),
    (add("model.norm.bias", 48), "a bias of the final norm", ["tensor model.norm.bias: not used"]),
    (
        add("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight", 4, 48),
        "weights of an adapter beside the model's",
        ["self_attn.q_proj.lora_A.weight: not used by a model of type"],
    ),
    (
        whole_numbers,
        "a weight of whole numbers",
        [f"tensor {QUERY}: dtype: expected F64, F32, BF16 or F16, found", "I8"],
    ),
    (absurd_size, "a tensor larger than any file", [SINGLE, QUERY, "expected [begin, end]"]),
]


@pytest.mark.parametrize(
    ("change", "what", "words"), REFUSED, ids=[str(what) for _, what, _ in REFUSED]
)
def test_form_that_is_refused(
    change: Callable[[Form], None],
    what: str,
    words: list[str],
    form: Form,
    job: Path,
    compatibility: Compatibility,
) -> None:
    change(form)
    error = error_of(refuse(job, MODEL_ERROR, *words))
    plan = run_alone("plan", job, "--ranks", 2)
    assert plan.returncode == MODEL_ERROR and all(word in plan.stderr for word in words)
    compatibility(KIND, what, "refused", error)


# --- names ---------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("place", "path", "name"),
    [
        (f"hub/models--org--tiny-1b/snapshots/{COMMIT}", "", "org/tiny-1b"),
        (f"hub/models--org--tiny-1b/snapshots/{COMMIT}", "/", "org/tiny-1b"),
        (f"hub/models--org--tiny-1b/snapshots/{COMMIT}/part", "", "org/tiny-1b"),
        (f"hub/models--gpt2/snapshots/{COMMIT}", "", "gpt2"),
        ("models/mine", "/", "mine"),
        ("models/models--org--mine", "", "models--org--mine"),
    ],
    ids=["snapshot", "with a slash", "folder in a snapshot", "no organisation", "plain", "no cache"],
)
@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "linked"])
def test_checkpoint_is_called_by_its_name_not_its_commit(
    place: str,
    path: str,
    name: str,
    is_linked: bool,
    form: Form,
    job: Path,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    form.save()
    directory = tmp_path / place
    directory.parent.mkdir(parents=True)
    form.directory.rename(directory)
    if is_linked:
        directory, real = tmp_path / "link", directory
        directory.symlink_to(real)
    run_well(job, 2, f"model.path={directory}{path}", "statistics.loss=false")
    with h5py.File(tmp_path / "sweep.h5") as sweep:
        assert sweep.attrs["model_name"] == name
    assert f"{name} (llama" in run_alone("show", tmp_path / "sweep.h5").stdout
    if place.startswith("hub"):
        compatibility(KIND, "a path in the cache of Hugging Face: called ORG/NAME", "read")
