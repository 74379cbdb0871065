"""Chats become what transformers' apply_chat_template makes of them, and each token has the role of the
message whose words it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer

import small_tokenizers as small
from preparing import run, run_well
from running import ROOT
from support.compatibility import Compatibility
from support.slow_cases import slow_unless

ROLES = ("template", "system", "user", "assistant", "tool")
# Of ChatML, with the marks by which transformers knows an assistant's tokens, tools and reasoning.
CHATML = (
    "{%- if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' %}"
    "{%- if m.reasoning_content %}{{ '<think>' }}"
    "{% generation %}{{ m.reasoning_content.strip() }}{% endgeneration %}{{ '</think>\n' }}{% endif %}"
    "{% generation %}{{ m.content.strip() }}{% endgeneration %}"
    "{%- else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
)
# As Llama 2's: a BOS of its own, words that are stripped, roles without names.
INST = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'].strip() + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('only users and assistants speak here') }}{% endif %}{% endfor %}"
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"days": 3, "scale": 1.5}}}]
CHATS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": "  The naïve fox, or 日本語?\n"},
            {"role": "assistant", "content": "Not the fox.\n\n"},
            {"role": "user", "content": "user"},
            {"role": "assistant", "content": "assistant"},
        ]
    },
    {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "Empty"}]},
]
MORE: list[dict[str, Any]] = [
    {
        "tools": TOOLS,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Spelled <|im_end|> in words"},
            {"role": "assistant", "content": "So", "reasoning_content": " A thought. "},
            {"role": "tool", "content": '{"degrees": 21}'},
            {"role": "assistant", "content": "It is 21."},
        ],
    },
]


def lines(records: list[object]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def said(errors: str) -> str:
    return errors.removeprefix("prepare_corpus.py: error: ")


def chat_model(kind: Callable[[], Tokenizer], template: str, folder: Path) -> Path:
    tokenizer = kind()
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in ("<|im_start|>", "<|im_end|>")]
    )
    settings = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": template}
    return small.save(tokenizer, folder, tokenizer_config=settings)


def prepare(model: Path, records: list[dict[str, Any]], folder: Path, *options: str) -> Path:
    source, output = folder / "chats.jsonl", folder / "chats.h5"
    source.write_bytes(lines(records))
    command = ["--tokenizer", model, "--output", output, "--messages-field", "messages", *options]
    run_well("prepare_corpus.py", *command, source)
    return output


def documents_of(path: Path, name: str) -> list[list[int]]:
    with h5py.File(path) as file:
        borders = file["document_offset"][1:-1].astype(int)
        return [part.tolist() for part in np.split(file[name][:], borders)]


KINDS = {"byte-level": small.byte_level, "byte-fallback": small.byte_fallback}


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        slow_unless(kind == "byte-level" or template is CHATML, kind, template)
        for kind in KINDS
        for template in (CHATML, INST)
    ],
)
def test_ids_are_those_of_apply_chat_template(template: str, kind: str, tmp_path: Path) -> None:
    model = chat_model(KINDS[kind], template, tmp_path / "model")
    chats = CHATS + (MORE if template == CHATML else [])
    found = documents_of(prepare(model, chats, tmp_path), "ids")
    tokenizer = AutoTokenizer.from_pretrained(model)
    for chat, ids in zip(chats, found, strict=True):
        assert ids == tokenizer.apply_chat_template(
            chat["messages"], tools=chat.get("tools"), tokenize=True, return_dict=False
        )


@pytest.mark.parametrize("kind", KINDS)
def test_an_assistants_tokens_are_those_that_transformers_masks(kind: str, tmp_path: Path) -> None:
    model = chat_model(KINDS[kind], CHATML, tmp_path / "model")
    chats = CHATS + MORE
    found = documents_of(prepare(model, chats, tmp_path), "token_role")
    tokenizer = AutoTokenizer.from_pretrained(model)
    for chat, roles in zip(chats, found, strict=True):
        answer = tokenizer.apply_chat_template(
            chat["messages"], tools=chat.get("tools"), tokenize=True, return_dict=True,
            return_assistant_tokens_mask=True,
        )  # fmt: skip
        assert sum(answer["assistant_masks"]) > 0
        assert [int(role == ROLES.index("assistant")) for role in roles] == answer["assistant_masks"]


def runs_of(path: Path, document: int) -> list[tuple[str, str]]:
    """Runs of tokens of one role that is not the template's, with their text."""
    with h5py.File(path) as file:
        raw, offset = file["vocabulary/bytes"][:].tobytes(), file["vocabulary/offset"][:].tolist()
    found: list[tuple[int, bytes]] = []
    before = 0
    ids, roles = documents_of(path, "ids")[document], documents_of(path, "token_role")[document]
    for number, role in zip(ids, roles, strict=True):
        if role != before:
            found.append((role, b""))
        before = role
        if role:
            found[-1] = (role, found[-1][1] + raw[offset[number] : offset[number + 1]])
    return [(ROLES[role], text.decode()) for role, text in found if role]


def test_each_message_has_its_role(tmp_path: Path) -> None:
    model = chat_model(small.byte_level, CHATML, tmp_path / "model")
    output = prepare(model, CHATS + MORE, tmp_path)
    expected = [("user", "The naïve fox, or 日本語?"), ("assistant", "Not the fox."), ("user", "user"),
                ("assistant", "assistant")]  # fmt: skip
    assert [(role, text.strip()) for role, text in runs_of(output, 0)] == expected
    assert [(role, text.strip()) for role, text in runs_of(output, 2)] == [
        ("system", "Be brief."),
        ("user", "Spelled <|im_end|> in words"),
        ("assistant", "A thought."),
        ("assistant", "So"),
        ("tool", '{"degrees": 21}'),
        ("assistant", "It is 21."),
    ]
    with h5py.File(output) as file:
        assert file.attrs["special_in_text_count"] == 1  # "Spelled <|im_end|> in words", not the template's
        assert json.loads(file.attrs["token_roles"]) == list(ROLES)
        assert file["token_role"].dtype == np.uint8 and file["token_role"].chunks is None


# As those of Qwen 2.5, with ids that the template checks, as Mistral's does.
CALLING = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.content is mapping %}{{ m.content | tojson }}{% elif m.content %}{{ m.content }}{% endif %}"
    "{%- for call in m.tool_calls or [] %}"
    "{%- if call.id is defined and call.id | length != 9 %}{{ raise_exception('9 characters') }}{% endif %}"
    "{%- set call = call.function or call %}"
    "{{ '<tool_call>{\"name\": ' }}{{ call.name | tojson }}{{ ', \"arguments\": ' }}"
    "{%- if call.arguments is string %}{{ call.arguments }}{% else %}{{ call.arguments | tojson }}{% endif %}"
    "{{ '}</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
)
CITY = {"city": "Zürich", "days": 3, "units": ["metric", " wind"]}
CALLS = [
    {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": CITY}},
    {"name": "time", "arguments": '{"zone": "CET"}'},
]


def test_tool_calls_are_the_assistants_and_results_the_tools(tmp_path: Path) -> None:
    model = chat_model(small.byte_level, CALLING, tmp_path / "model")
    chat = {
        "messages": [
            {"role": "user", "content": "How is it?"},
            {"role": "assistant", "content": "Look:", "tool_calls": CALLS},
            {"role": "tool", "content": {"degrees": 21, "sky": "clear", "wind": "weak"}},
            {"role": "assistant", "content": "Clear."},
        ]
    }
    output = prepare(model, [chat], tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer.apply_chat_template(chat["messages"], tokenize=True, return_dict=False)
    assert documents_of(output, "ids") == [ids]
    runs = [(role, text.strip(' "{}')) for role, text in runs_of(output, 0)]
    assert runs == [
        ("user", "How is it?"),
        ("assistant", "Look:"),
        ("assistant", 'weather", "arguments": {"city": "Zürich", "days": 3, "units": ["metric", " wind'),
        ("assistant", 'time", "arguments": {"zone": "CET'),
        ("tool", 'clear", "wind": "weak'),
        ("assistant", "Clear."),
    ]


def test_calls_of_which_a_template_takes_no_marks_are_the_templates(tmp_path: Path) -> None:
    template = CALLING.replace("call.id is defined and call.id | length != 9", "call.name not in ['time']")
    model = chat_model(small.byte_level, template, tmp_path / "model")
    messages = [{"role": "assistant", "content": "Look:", "tool_calls": CALLS[1:]}]
    output = prepare(model, [{"messages": messages}], tmp_path)
    assert runs_of(output, 0) == [("assistant", "Look:")]


def test_special_tokens_around_a_chat_are_the_templates(tmp_path: Path) -> None:
    model = chat_model(small.byte_level, CHATML, tmp_path / "model")
    output = prepare(model, CHATS, tmp_path, "--special", "bos-eos", "--tokens", "60")
    for ids, roles in zip(documents_of(output, "ids"), documents_of(output, "token_role"), strict=True):
        assert len(ids) == len(roles) and roles[0] == 0
    assert sum(map(len, documents_of(output, "token_role"))) == 60


def test_parquet_and_jsonl_give_the_same_chats(tmp_path: Path) -> None:
    model = chat_model(small.byte_level, CHATML, tmp_path / "model")
    output = prepare(model, CHATS, tmp_path)
    table = pa.Table.from_pylist([{**chat, "other": 7} for chat in CHATS])
    pq.write_table(table, tmp_path / "chats.parquet")
    command = ["--tokenizer", model, "--output", tmp_path / "again.h5", "--messages-field", "messages"]
    run_well("prepare_corpus.py", *command, tmp_path / "chats.parquet")
    for name in ("ids", "token_role"):
        assert documents_of(tmp_path / "again.h5", name) == documents_of(output, name)


def test_smollm2s_own_template(tmp_path: Path, compatibility: Compatibility) -> None:
    model = ROOT / "models/smollm2-135m-instruct"
    output = prepare(model, CHATS, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = documents_of(output, "ids")
    for chat, ids in zip(CHATS, found, strict=True):
        assert ids == tokenizer.apply_chat_template(chat["messages"], tokenize=True, return_dict=False)
    assert [role for role, _ in runs_of(output, 0)] == ["user", "assistant", "user", "assistant"]
    compatibility("Corpora", "chats, with --messages-field", "read")


REFUSED: dict[str, tuple[object, str]] = {
    "no messages": ({"text": "a"}, 'no messages in the field "messages"'),
    "a text": ({"messages": "a"}, 'expected a list of messages, objects with a "role", in the field'),
    "no role": ({"messages": [{"content": "a"}]}, "expected a list of messages"),
    "a role that the template refuses": (
        {"messages": [{"role": "system", "content": "a"}]},
        "the chat template does not take it: only users and assistants speak here",
    ),
    "tools that are no JSON": (
        {"messages": [{"role": "user", "content": "a"}], "tools": "{"},
        "tools: not JSON",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_chat_is_refused(what: str, tmp_path: Path, compatibility: Compatibility) -> None:
    model = chat_model(small.byte_level, INST, tmp_path / "model")
    record, words = REFUSED[what]
    source = tmp_path / "chats.jsonl"
    source.write_bytes(lines([CHATS[0], record]))
    command = ["--tokenizer", model, "--output", tmp_path / "out.h5", "--messages-field", "messages"]
    result = run("prepare_corpus.py", *command, source)
    assert result.returncode == 3 and f"{source}, line 2" in result.stderr and words in result.stderr
    if what == "a role that the template refuses":
        compatibility("Corpora", "a chat that the chat template refuses", "refused", said(result.stderr))
    run_well("prepare_corpus.py", *command, "--on-error", "skip", source)
    assert len(documents_of(tmp_path / "out.h5", "ids")) == 1


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path, compatibility: Compatibility) -> None:
    model = small.save(small.byte_level(), tmp_path / "model")
    source = tmp_path / "chats.jsonl"
    source.write_bytes(lines(CHATS))
    command = ["--tokenizer", model, "--output", tmp_path / "out.h5", "--messages-field", "messages"]
    result = run("prepare_corpus.py", *command, source)
    assert result.returncode == 4 and "expected a chat template" in result.stderr
    what = "a tokenizer without a chat template, for chats"
    compatibility("Tokenizers", what, "refused", said(result.stderr))


def test_text_and_options_of_text_are_refused(tmp_path: Path) -> None:
    model = chat_model(small.byte_level, CHATML, tmp_path / "model")
    source = tmp_path / "a.txt"
    source.write_text("No record.")
    command = ["--tokenizer", model, "--output", tmp_path / "out.h5", "--messages-field", "messages"]
    result = run("prepare_corpus.py", *command, source)
    assert result.returncode == 3 and "expected records with a chat's messages" in result.stderr
    for option in (["--text-field", "a"], ["--ids"], ["--special-in-text", "text"]):
        result = run("prepare_corpus.py", *command, *option, source)
        assert result.returncode == 2 and "argument --messages-field" in result.stderr
