"""The command line of prepare_corpus.py.

In: the arguments. Out: a namespace, and how records are read. Refuses (exit code 2) what is no value of its
option.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from preparation.command_line import positive_integer
from preparation.record_fields import TextFields

PROMPT_NAME = re.compile(r"[A-Za-z0-9_-]+")
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


def prompt(argument: str) -> tuple[str, str]:
    name, equals, text = argument.partition("=")
    if not equals or not PROMPT_NAME.fullmatch(name) or not text:
        raise argparse.ArgumentTypeError(
            f"{argument!r} is not NAME=TEXT with a NAME of letters, digits, _ and -"
        )
    return name, encodable(text, f"the text of prompt {name}")


def encodable(text: str, what: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{what} is not UTF-8") from None
    return text


def joining_text(argument: str) -> str:
    r"""With \n, \t and \\ as the characters that they mean."""
    meant = re.sub(r"\\[nt\\]", lambda found: ESCAPES[found[0]], argument)
    return encodable(meant, "the text between fields")


def condition(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{argument!r} is not FIELD=VALUE")
    return name, value


def text_fields(arguments: argparse.Namespace) -> TextFields:
    names = arguments.text_field or ["text"]
    return TextFields(tuple(names), arguments.join, tuple(arguments.where))


def add_record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text-field",
        action="append",
        metavar="FIELD",
        help="field or column with the text, outer.inner for one inside an object; several are joined"
        " (default text)",
    )
    parser.add_argument(
        "--join",
        type=joining_text,
        default="\n\n",
        metavar="TEXT",
        help=r"between the texts of several fields (default \n\n)",
    )
    parser.add_argument(
        "--where",
        action="append",
        type=condition,
        default=[],
        metavar="FIELD=VALUE",
        help="takes the records whose field has the value; all of several conditions",
    )


def parse_command_line(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_corpus.py", description=description)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--tokenizer", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, metavar="CORPUS.h5")
    parser.add_argument(
        "--special",
        choices=("none", "bos", "bos-eos"),
        default="none",
        help="special tokens around each document; prompts get the BOS (default none)",
    )
    add_record_options(parser)
    parser.add_argument(
        "--jobs", type=positive_integer, default=os.cpu_count(), help="default: every core"
    )
    parser.add_argument("--prompt", action="append", type=prompt, default=[], metavar="NAME=TEXT")
    arguments = parser.parse_args()
    names = [name for name, _ in arguments.prompt]
    if len(set(names)) < len(names):
        parser.error("argument --prompt: a name is used twice")
    return arguments
