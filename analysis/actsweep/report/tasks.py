"""The section on tasks: accuracies of questions with choices and of images, perplexities of texts."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import image_classes
from ..results import tasks as results
from .content import Model, Section, of_models
from .panels import Axis, dots

IMAGES_KEY = (
    "Images with labels (`data/prepare_images.py --labels`) and the job key `[statistics] classifier` make it."
)
KEY = "A corpus of `data/prepare_choices.py` and the job key `[statistics] loss = true` make it."


def tasks(models: Sequence[Model]) -> Section:
    """What models do on tasks, and what interventions change."""
    section = Section(
        "tasks",
        "Tasks: what accuracy says",
        "A question is answered by the choice of the largest log-likelihood; by bytes and by characters it"
        " is divided by the choice's length first (lm-evaluation-harness: acc, acc_bytes, acc_norm). A"
        " variant is paired with the original, question by question: the difference, its 95 % interval by"
        " the bootstrap over questions, and McNemar's exact test. An image is right at top-k where fewer"
        " than k classes stand before its label.",
    )
    having = section.having(models, "requests", "tasks", KEY)
    accuracies = of_models(having, results.accuracies)
    sources = (
        "/requests/log_likelihood",
        "/variants/log_likelihood",
        *(f"/requests/{name}" for name in ("part", "is_answer", "bytes", "characters")),
    )
    section.table("task_accuracies", "Accuracy of each task.", accuracies, *sources)
    if len(accuracies):
        named = accuracies.assign(
            variant=accuracies["task"] + ", " + accuracies["variant"],
            bar=2 * accuracies["standard error"],
        )
        section.picture(
            "task_accuracy",
            "Accuracy of each task and variant ± 2 standard errors.",
            lambda: dots(named, "variant", Axis("accuracy", "accuracy"), "bar"),
            named,
            *sources,
        )
    section.table(
        "task_perplexities",
        "Perplexity of texts that are scored whole, by word and by byte: exp of the loss over their number.",
        of_models(having, results.perplexities),
        *sources[:2],
        "/requests/words",
        "/requests/bytes",
    )
    _add_images(section, models)
    return section


def _add_images(section: Section, models: Sequence[Model]) -> None:
    having = section.having(models, "classification", "classes of images", IMAGES_KEY)
    accuracies = of_models(having, image_classes.accuracies)
    sources = (
        "/classification/label_rank",
        "/variants/label_rank",
        "/classification/label_log_likelihood",
        "/variants/label_log_likelihood",
    )
    section.table("image_accuracies", "Accuracy of the classes of images.", accuracies, *sources)
    if not len(accuracies):
        return
    bars = accuracies.assign(bar=2 * accuracies["standard error"])
    section.picture(
        "image_accuracy",
        "Top-1 accuracy of each variant ± 2 standard errors.",
        lambda: dots(bars, "variant", Axis("top-1 accuracy", "top-1 accuracy"), "bar"),
        bars,
        *sources[:2],
    )
