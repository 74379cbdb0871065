"""The packages of requirements-study.txt, as the slow tests find them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

# Text in English, German and Japanese, code, and what SentencePiece could trip over.
ENGLISH = "Summer is warm. Winter is cold; in 2004, 1,234.56 of them didn't say so.\n\nNext: 42%!\n"
GERMAN = "Größe und Übermaß: „Donaudampfschifffahrt“ heißt’s – am 3. Mai 2021, 7:05 Uhr.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。東京タワーは３３３メートルだ！\n"
PYTHON = (
    'def area(radius: float) -> float:\n    """πr²"""\n    if radius < 0:\n'
    '\t\traise ValueError(f"{radius!r} < 0")\n    return 3.14159 * radius**2  # m²\n\n\n'
)
ODDITIES = (
    "  two  spaces   three, <bos> literal, <h1>HTML</h1>, <0x0A> bytes, \u2581mark, \u0007\x00 "
    "\U0001f600\U0001f468\u200d\U0001f469 e\u0301 \u00a0 ᚠᛇᚻ \U00012000 "
    "[multimodal] <unused7>\r\n tail "
)
TEXTS = {
    "english": ENGLISH,
    "german": GERMAN,
    "japanese": JAPANESE,
    "python": PYTHON,
    "oddities": ODDITIES,
    "empty": "",
}


def folder_of(package: str) -> Path:
    """The folder of an installed package, which is found, not imported: imports need more."""
    found = importlib.util.find_spec(package)
    assert (
        found is not None and found.origin is not None
    ), f"the package {package} is missing: scripts/bootstrap --study installs it"
    return Path(found.origin).parent
