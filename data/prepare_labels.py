#!/usr/bin/env python3
"""Makes a classifier of images from texts, as CLIP does without training (zero-shot, arXiv 2103.00020).

    prepare_labels.py --model CLIP_DIR --classes NAMES.txt --output CLASSES.safetensors [--template TEXT]...

NAMES.txt has the name of a class on each line, in the order of the classes' numbers; or it is an image file
of prepare_images.py --labels, which has them too. Each TEXT has {} in the place of the name. The features of
a class are the mean of its texts' directions, of length 1, times the model's logit scale, so that the logits
of a sweep with [statistics] classifier = "CLASSES.safetensors" are CLIP's own.

Exit codes: 0 done, 2 bad command line, 3 bad names, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from preparation.errors import COMMAND_LINE, PreparationError, run_program
from preparation.hub_cache import model_directory
from preparation.image_labels import class_names
from preparation.output_path import output_file
from preparation.text_features import text_features, write_head

TEMPLATE = "a photo of a {}."  # of the paper


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_labels.py", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, type=Path, metavar="CLIP_DIR")
    parser.add_argument("--classes", required=True, type=Path, metavar="NAMES.txt|IMAGES.h5")
    parser.add_argument("--output", required=True, metavar="CLASSES.safetensors")
    parser.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help=f'a text with {{}} in the place of the name; may be given several times (default: "{TEMPLATE}")',
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_command_line()
    templates = arguments.template or [TEMPLATE]
    for template in templates:
        if template.count("{}") != 1:
            found = template.count("{}")
            raise PreparationError(
                COMMAND_LINE, f'--template "{template}": expected {{}} in it once, found {found}'
            )
    output = output_file(arguments.output)
    names = class_names(arguments.classes)
    texts = [[template.replace("{}", name) for template in templates] for name in names]
    features = text_features(model_directory(arguments.model), texts)
    write_head(output, features, {"classes": json.dumps(names), "templates": json.dumps(templates)})
    print(
        f"{arguments.output}: {len(names):,} class(es) of {features.shape[1]} features, from"
        f" {len(templates)} text(s) each"
    )


if __name__ == "__main__":
    run_program("prepare_labels.py", main)
