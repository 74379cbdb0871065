"""What models, and interventions on them, do to tasks: accuracies of questions, perplexities of texts.

In: a `Sweep` with `/requests`, of a token file that data/prepare_choices.py wrote. Out: of each task the
accuracy or perplexity of the original and of each variant, with paired differences. A score is the sum of
the log-likelihoods of what is scored, in nats; accuracies and perplexities are those of
lm-evaluation-harness (acc, acc_bytes, acc_norm; word_perplexity, byte_perplexity, bits_per_byte).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .interventions import ORIGINAL

CHOICE, WINDOW = 0, 1  # of /requests/kind
RESAMPLES = 10_000
SEED = 0
# What a score is divided by before the choices of a question are ranked.
LENGTHS = {"accuracy": None, "accuracy by bytes": "bytes", "accuracy by characters": "characters"}


def requests(sweep: Sweep) -> pd.DataFrame:
    """By sequence: what it asks, `question` (a number for each question or text), and the scores, in nats,
    of the original and of each variant in columns of their names. Questions and texts that were not swept
    whole are left out."""
    group = sweep.group("requests")
    frame = pd.DataFrame({name: group[name].values for name in group.data_vars if name != "log_likelihood"})
    frame = frame.astype(np.int64)
    frame["task"] = np.array(sweep.names("tasks"), dtype=object)[frame["task"]]
    frame["question"] = np.cumsum(frame["part"] == 0)
    frame[ORIGINAL] = group["log_likelihood"].values
    if sweep.has("variants/log_likelihood"):
        for name, score in zip(
            sweep.names("variants"), sweep.group("variants")["log_likelihood"].values, strict=True
        ):
            frame[name] = score
    swept = frame.groupby("question")["part"].transform("size")
    return frame[swept == frame["parts"]]


def models(sweep: Sweep) -> list[str]:
    """The original and the variants: the columns of scores."""
    return [ORIGINAL, *(sweep.names("variants") if sweep.has("variants/log_likelihood") else ())]


def accuracies(sweep: Sweep) -> pd.DataFrame:
    """Of each task with choices: the original first, then each variant with its paired difference."""
    rows = []
    asked = requests(sweep)
    for task, choices in asked[asked["kind"] == CHOICE].groupby("task", sort=False):
        before = right(choices, ORIGINAL)
        for name in models(sweep):
            answered = before if name == ORIGINAL else right(choices, name)
            row: dict[str, object] = {"task": task, "variant": name, "questions": len(answered)}
            row |= {kind: float(answered[kind].mean()) for kind in LENGTHS}
            row["standard error"] = standard_error(answered["accuracy"].to_numpy())
            if name != ORIGINAL:
                row |= paired(before["accuracy"].to_numpy(), answered["accuracy"].to_numpy())
            rows.append(row)
    return pd.DataFrame(rows)


def right(choices: pd.DataFrame, model: str) -> pd.DataFrame:
    """[question, kind of accuracy]: whether the best choice is a right one; of equal ones the first counts."""
    columns = {}
    for kind, length in LENGTHS.items():
        score = choices[model] / (choices[length] if length else 1)
        best = score.groupby(choices["question"]).idxmax()
        columns[kind] = choices.loc[best, "is_answer"].to_numpy() == 1
    return pd.DataFrame(columns)


def standard_error(answered: np.ndarray) -> float:
    """Of a mean of n zeros and ones, with n − 1, as the harness has it."""
    return float(answered.std(ddof=1) / math.sqrt(len(answered))) if len(answered) > 1 else math.nan


def paired(original: np.ndarray, changed: np.ndarray) -> dict[str, float]:
    """Two models on the same questions, bool [question] each: the difference of their accuracies, its
    95 % interval by the percentile bootstrap over questions (Efron 1979), and McNemar's exact test."""
    lost = int(np.count_nonzero(original & ~changed))
    gained = int(np.count_nonzero(~original & changed))
    total = len(original)
    shares = [lost / total, gained / total, 1 - (lost + gained) / total]
    # To a resample, questions differ by which of three kinds they are alone.
    drawn = np.random.default_rng(SEED).multinomial(total, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / total, (0.025, 0.975))
    return {
        "difference": (gained - lost) / total,
        "95 % from": float(low),
        "95 % to": float(high),
        "right before alone": lost,
        "right after alone": gained,
        "McNemar p": mcnemar(lost, gained),
    }


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p: min(1, 2 P(X ≤ min(lost, gained))), X binomial of lost + gained fair throws."""
    throws = lost + gained
    logs = [
        math.lgamma(throws + 1) - math.lgamma(k + 1) - math.lgamma(throws - k + 1) - throws * math.log(2)
        for k in range(min(lost, gained) + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def perplexities(sweep: Sweep) -> pd.DataFrame:
    """Of each task of whole texts: by word and by byte, of the original and of each variant."""
    rows = []
    asked = requests(sweep)
    for task, windows in asked[asked["kind"] == WINDOW].groupby("task", sort=False):
        texts = windows[windows["part"] == 0]
        words, in_bytes = int(texts["words"].sum()), int(texts["bytes"].sum())
        for name in models(sweep):
            loss = -float(windows[name].sum())
            rows.append(
                {
                    "task": task,
                    "variant": name,
                    "texts": len(texts),
                    "word perplexity": _exp(loss / words),
                    "byte perplexity": _exp(loss / in_bytes),
                    "bits per byte": loss / in_bytes / math.log(2),
                }
            )
    return pd.DataFrame(rows)


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf  # a ruined model's may be infinite
