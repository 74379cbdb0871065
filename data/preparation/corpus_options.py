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
from preparation.controls import KINDS, MADE, Control
from preparation.record_fields import TextFields
from preparation.selection import Selection, Shard
from preparation.special_spellings import CHOICES

PROMPT_NAME = re.compile(r"[A-Za-z0-9_-]+")
SPECIAL = {"none": (), "bos": ("bos",), "bos-eos": ("bos", "eos")}  # around each document
OF_FILES = (
    "text_field", "join", "where", "messages_field", "tools_field", "ids", "byte_offsets", "on_error",
    "special_in_text",
)  # fmt: skip
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


def chance(argument: str) -> float:
    value = float(argument)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{argument} is not above 0 and at most 1")
    return value


def shard(argument: str) -> Shard:
    index, slash, count = argument.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or int(index) >= int(count):
        raise argparse.ArgumentTypeError(f"{argument!r} is not i/n with 0 <= i < n")
    return Shard(int(index), int(count))


def selection(arguments: argparse.Namespace) -> Selection:
    return Selection(
        arguments.documents, arguments.tokens, arguments.sample, arguments.seed, arguments.shard
    )


def control(arguments: argparse.Namespace) -> Control | None:
    if arguments.control is None:
        return None
    return Control(arguments.control, arguments.seed, arguments.length)


def text_fields(arguments: argparse.Namespace) -> TextFields:
    where = tuple(arguments.where)
    if arguments.messages_field is not None:
        return TextFields((), "", where, (arguments.messages_field, arguments.tools_field))
    return TextFields(tuple(arguments.text_field or ["text"]), arguments.join, where)


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


def add_chat_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--messages-field",
        metavar="FIELD",
        help="field or column with a chat's messages: each record becomes what the checkpoint's chat"
        " template makes of it, and each token has a role (/token_role)",
    )
    parser.add_argument(
        "--tools-field", metavar="FIELD", default="tools", help="of a chat (default tools)"
    )


def refuse_beside_chats(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """What has no meaning where records are chats."""
    if arguments.text_field:
        parser.error("argument --messages-field: --text-field is of records that are no chats")
    if arguments.ids:
        parser.error("argument --messages-field: with --ids there are no records")
    if arguments.special_in_text not in (None, "parse"):
        parser.error(
            "argument --messages-field: a template's special tokens are read as such, and those in"
            " messages too, as apply_chat_template does: expected --special-in-text parse"
        )


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    number = positive_integer
    parser.add_argument("--documents", type=number, metavar="N", help="the first N documents")
    parser.add_argument(
        "--tokens", type=number, metavar="N", help="the first N tokens; the last document may be cut"
    )
    parser.add_argument("--sample", type=chance, metavar="P", help="each document by the chance P")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of --sample and --control (default 0)"
    )
    parser.add_argument(
        "--shard", type=shard, metavar="i/n", help="documents i, i + n, …, counted from 0"
    )


def add_control_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control",
        choices=KINDS,
        help="a control corpus: without FILE documents of random tokens, of one token repeated, or each"
        " token of the vocabulary; or each document's own tokens shuffled",
    )
    parser.add_argument(
        "--length",
        type=positive_integer,
        metavar="T",
        help="tokens of a document of --control random and repeat, special tokens included",
    )


def refuse_beside_control(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """What has no meaning for the kind of control, or without one."""
    kind = arguments.control
    if kind not in MADE and not arguments.files:
        parser.error("the following arguments are required: FILE")
    if kind not in ("random", "repeat"):
        if arguments.length is not None:
            parser.error("argument --length: it is of --control random and repeat")
    elif arguments.length is None or (arguments.documents is None and arguments.tokens is None):
        parser.error(f"argument --control: {kind} takes --length T, and --documents N or --tokens N")
    elif arguments.length <= (around := len(SPECIAL[arguments.special])):
        parser.error(
            f"argument --length: expected more than the {around} special token(s) of --special"
            f" {arguments.special}, found {arguments.length}"
        )
    if kind == "shuffle" and arguments.byte_offsets:
        parser.error("argument --byte-offsets: --control shuffle leaves no token at its place")
    if kind == "shuffle" and arguments.messages_field is not None:
        parser.error("argument --messages-field: --control shuffle would shuffle the template, too")
    if kind in MADE:
        if arguments.files:
            parser.error(f"argument --control: {kind} reads no file: expected no FILE")
        for name in OF_FILES:
            if getattr(arguments, name) != parser.get_default(name):
                option = name.replace("_", "-")
                parser.error(f"argument --{option}: it is of files, and --control {kind} reads none")


def parse_command_line(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_corpus.py", description=description)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--tokenizer", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, metavar="CORPUS.h5")
    parser.add_argument(
        "--special",
        choices=tuple(SPECIAL),
        default="none",
        help="special tokens around each document; prompts get the BOS (default none)",
    )
    add_record_options(parser)
    add_chat_options(parser)
    add_selection_options(parser)
    add_control_options(parser)
    parser.add_argument(
        "--ids", action="store_true", help="the files hold ids: Megatron's .bin/.idx, NumPy's .npy"
    )
    parser.add_argument(
        "--byte-offsets",
        action="store_true",
        help="stores for each token the byte where it begins in its document",
    )
    parser.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="skip: leaves out bad records, and what follows where a file cannot be read on, and counts"
        " them (default stop)",
    )
    parser.add_argument(
        "--special-in-text",
        choices=CHOICES,
        help="what becomes of special tokens that a document spells (default text; of chats parse)",
    )
    parser.add_argument(
        "--jobs", type=positive_integer, default=os.cpu_count(), help="default: every core"
    )
    parser.add_argument("--prompt", action="append", type=prompt, default=[], metavar="NAME=TEXT")
    arguments = parser.parse_args()
    names = [name for name, _ in arguments.prompt]
    if len(set(names)) < len(names):
        parser.error("argument --prompt: a name is used twice")
    refuse_beside_control(parser, arguments)
    if arguments.ids and arguments.byte_offsets:
        parser.error("argument --byte-offsets: with --ids there is no text")
    if arguments.files.count("-") > 1:
        parser.error("standard input is named twice")
    if arguments.messages_field is not None:
        refuse_beside_chats(parser, arguments)
    if arguments.special_in_text is None:
        arguments.special_in_text = "text" if arguments.messages_field is None else "parse"
    return arguments
