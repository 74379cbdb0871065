"""The keys of models of several parts mean what transformers takes them for, or are refused by name:
the tie of the head at its two places, the types of the parts, sections that are none.

Facts of the language model, and of the tower, are compared with transformers' classes.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import CONFIG_MAPPING, AutoConfig

from support.config_comparison import facts_program
from support.config_variants import ABSENT, label, set_key
from support.random_models import MODELS

FAMILIES = tuple({model.family: 0 for model in MODELS if "text_config" in model.config})
TIES = (ABSENT, None, True, False, "text", 1, [])
TYPES = (ABSENT, None, "llama", "qwen2", "text", 3, "clip_vision_model")
SECTIONS = (ABSENT, None, "text", [], 3)
OWN_CODE = ("kimi_vl",)  # published with code of its own
# Whose towers may be of a type that is read.
TOWERS = ("gemma3", "paligemma", "llava", "llava_next", "llava_onevision", "mistral3", "internvl")
UNTIED = ("mllama",)  # transformers has no pair of this type


def base_of(family: str) -> dict[str, Any]:
    model = next(model for model in MODELS if model.family == family)
    return copy.deepcopy(dict(model.config)) | {"model_type": family}


def text_variants(family: str) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """Name, config.json, the keys that a refusal may name."""
    base = base_of(family)
    inner, outer = "text_config.tie_word_embeddings", "tie_word_embeddings"
    for value in TIES:
        for other in (ABSENT, True, False):
            config = set_key(set_key(base, outer, value), inner, other)
            yield f"ties={label(value)}-{label(other)}", config, (outer,)
        yield f"inner={label(value)}", set_key(set_key(base, outer, ABSENT), inner, value), (outer,)
    for value in TYPES:
        config = set_key(base, "text_config.model_type", value)
        yield f"type={label(value)}", config, ("model_type", "text_config")
    for key in ("text_config", "vision_config"):
        for value in SECTIONS:
            yield f"{key}={label(value)}", set_key(base, key, value), (key,)


def tower_variants(family: str) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    base = base_of(family)
    for value in (*TYPES, "siglip_vision_model", "dinov2"):
        config = set_key(base, "vision_config.model_type", value)
        yield f"tower={label(value)}", config, ("model_type", "num_key_value_heads")
    for value in SECTIONS:
        yield f"vision_config={label(value)}", set_key(base, "vision_config", value), ("vision_config",)


def facts_of(configs: list[dict[str, Any]], folder: Path, *words: str) -> list[dict[str, Any]]:
    """What the program makes of each; they stay in folders c0, c1, …"""
    for number, config in enumerate(configs):
        (folder / f"c{number}").mkdir()
        (folder / f"c{number}" / "config.json").write_text(json.dumps(config))
    names = "".join(f"{folder / f'c{number}'}\n" for number in range(len(configs)))
    result = subprocess.run(
        [str(facts_program()), *words], input=names, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    return [json.loads(line) for line in result.stdout.splitlines()]


def theirs(folder: Path) -> Any:
    """transformers' config; None where it refuses."""
    try:
        return AutoConfig.from_pretrained(folder)
    except Exception:  # noqa: BLE001 (of any kind)
        return None


def assert_refused_by_name(mine: dict[str, Any], keys: tuple[str, ...]) -> None:
    message = mine["error"]
    assert mine["code"] == 4 and "\n" not in message and "config.json: " in message, message
    assert any(f'{key}"' in message for key in keys), message


def wrong_text(family: str, mine: dict[str, Any], config: Any) -> str:
    """What differs; "" where nothing does."""
    facts, text = mine["facts"], config.get_text_config()
    expected = {
        "family": type(text).model_type,
        "channels": text.hidden_size,
        "heads": text.num_attention_heads,
        "vocabulary": text.vocab_size,
        "ties": family not in UNTIED and bool(config.tie_word_embeddings),
    }
    return ", ".join(
        f"{name}: {facts[name]}, transformers has {value}"
        for name, value in expected.items() if facts[name] != value
    )  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_the_language_model_are_read_as_transformers_reads_them(
    family: str, tmp_path: Path
) -> None:
    variants, problems, read = list(text_variants(family)), [], 0
    found = facts_of([config for _, config, _ in variants], tmp_path)
    for number, ((name, _, keys), mine) in enumerate(zip(variants, found, strict=True)):
        config = theirs(tmp_path / f"c{number}")
        if "error" in mine:
            assert_refused_by_name(mine, keys)
        elif config is None:
            problems.append(f"{name}: read, though transformers refuses")
        elif wrong := wrong_text(family, mine, config):
            problems.append(f"{name}: {wrong}")
        else:
            read += 1
    print(f"{family}: {len(variants)} variants, {read} read by both")
    assert read >= 10 and not problems, "\n".join(problems)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_the_tower_are_read_as_transformers_reads_them(family: str, tmp_path: Path) -> None:
    variants, problems, read = list(tower_variants(family)), [], 0
    found = facts_of([config for _, config, _ in variants], tmp_path, "vision")
    for number, ((name, _, keys), mine) in enumerate(zip(variants, found, strict=True)):
        if "error" in mine:
            assert_refused_by_name(mine, keys)
            continue
        read += 1
        config, facts = theirs(tmp_path / f"c{number}"), mine["facts"]
        if config is None:
            problems.append(f"{name}: read, though transformers refuses")
        elif facts["family"] != (kind := type(tower := config.vision_config).model_type):
            problems.append(f"{name}: {facts['family']}, transformers has {kind}")
        elif (facts["channels"], facts["layers"]) != (tower.hidden_size, tower.num_hidden_layers):
            problems.append(f"{name}: another shape")
    print(f"{family}: {len(variants)} variants of towers, {read} read")
    assert not problems, "\n".join(problems)
    assert read == 0 or family in TOWERS, family


def test_types_of_parts_are_those_of_transformers() -> None:
    """Where a section names none, and whether it is asked at all."""
    listed = subprocess.run(
        [str(facts_program()), "wrappers"], capture_output=True, text=True, timeout=60, check=True
    )
    for wrapper in json.loads(listed.stdout):
        if wrapper["model_type"] in OWN_CODE:
            continue
        cls = CONFIG_MAPPING[wrapper["model_type"]]
        assert wrapper["image_token"] == cls().image_token_id, wrapper
        specs = cls.sub_configs_defaults
        for key, word, own in (
            ("text_config", "text_type", "has_own_text"),
            ("vision_config", "vision_type", "has_own_tower"),
        ):
            assert wrapper[word] == specs[key].model_type, wrapper
            assert wrapper[own] == (specs[key].config_class is not AutoConfig), wrapper

