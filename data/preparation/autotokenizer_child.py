"""What transformers' AutoTokenizer makes of a directory. A program of its own, so that its 70 MB, its
warnings and its crashes stay out of the one that prepares a corpus (tokenizer_directory.py).

In: the directory, as it was named. Out, as one JSON object on standard output: `backend`, the whole
tokenizer as a tokenizer.json; `bos_id`, `eos_id`, null for none; `splits_special_tokens`; `dropout`
of a BPE, which is taken off; `probes`, texts with AutoTokenizer's ids. Or `error`, one line.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

TEXTS = (
    "The year 2004 was different from 1999: don't we'll say, so 1,234.56 of them.",
    " a space before, two  within, three   and some behind  ",
    "\n\nline ends\r\n\r\n\ttabs\t and \n \n spaces\n",
    "na\u00efve caf\u00e9, e\u0301 \u65e5\u672c\u8a9e\u3002\u4e2d\u6587\uff0c",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440; x\u00b2 \u00bd \u2167 \ufb01",
    "\U0001f600\U0001f468\u200d\U0001f469 \u2581 \u00a0 \u2028 \u3000 \ufeff \x00\x1f <0x0A> __init__ a_b",
    "def f(x):\n    return [x ** 2 for x in range(10)]  # {}<>|\\/~`\n",
    "MiXeD CASE, ALL CAPITALS",
)
LONGEST_ERROR = 240
TOKENS_PROBED = 4096  # added tokens that are looked for in a text


def texts_with(added: list[str]) -> list[str]:
    """The probe texts: those above, and the added tokens, between letters and between spaces."""
    named = added[:TOKENS_PROBED]
    return [*TEXTS, "x".join(["", *named, ""]), " ".join(["so", *named, "it is"]), "".join(named)]


def in_one_line(error: BaseException) -> str:
    """An error's text up to where it goes into particulars."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR].rpartition(" ")[0] + " …"


def described(directory: str) -> dict[str, Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        return {"error": f"{kind} cannot be saved as a tokenizer.json, which the ids are made with"}
    dropout = getattr(backend.model, "dropout", None)
    if dropout is not None:
        backend.model.dropout = None
    texts = texts_with([token.content for token in backend.get_added_tokens_decoder().values()])
    return {
        "backend": backend.to_str(),
        "bos_id": tokenizer.bos_token_id,
        "eos_id": tokenizer.eos_token_id,
        "splits_special_tokens": bool(tokenizer.split_special_tokens),
        "dropout": dropout,
        "probes": [
            [text, ids]
            for text, ids in zip(
                texts, tokenizer(texts, add_special_tokens=False).input_ids, strict=True
            )
        ],
    }


def main() -> None:
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the libraries print is no result
    sys.modules["torch"] = None  # type: ignore[assignment]  # not to be found: tokenizers need none
    sys.path.pop(0)  # this folder, whose modules are not meant by the libraries' imports
    sys.set_int_max_str_digits(0)
    try:
        answer = described(sys.argv[1])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the tokenizers package is no Exception
        answer = {"error": in_one_line(error)}
    with results:
        json.dump(answer, results)


if __name__ == "__main__":
    main()
