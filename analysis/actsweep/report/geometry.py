"""Section on the directions of the residual stream."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import geometry as results
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves


def directions(models: Sequence[Model]) -> Section:
    """In how many directions tokens lie, and where they turn."""
    section = Section(
        "geometry",
        "Geometry: in how many directions tokens lie",
        "The participation ratio (tr K)² / tr K² of K = X Xᵀ says in how many directions the tokens of"
        " a sequence lie. With rows as they are a massive activation makes it nearly 1, the valley of"
        " arXiv 2510.06477; with rows normed it counts directions alone. A token beyond position 0"
        " with |cos| > 0.9 to the first token in some layers may be a secondary sink (arXiv"
        " 2512.22213).",
    )
    key = "The job key `[statistics] geometry = true` makes it."
    having = section.having(models, "geometry", "geometry", key)
    ratios = of_models(having, results.participation_by_layer)
    sources = ("/geometry/participation", "/geometry/participation_normed")
    section.picture(
        "participation",
        "Participation ratio of each layer, mean over sequences.",
        lambda: curves(
            ratios, LAYER, Axis("participation", "participation ratio", log=True), "rows"
        ),
        ratios,
        *sources,
    )
    with_rows = [m for m in having if m.sweep.has("geometry/token_cos_first")]
    with_rows = [m for m in with_rows if "token" in m.sweep.group("geometry").sizes]
    cosines = of_models(with_rows, results.cosines_by_layer)
    rows = ("/geometry/token_cos_first", "/geometry/token_cos_previous", "/tokens/position")
    section.picture(
        "cosine_with_the_layer_before",
        "Cosine of a token's residual with its own before the layer, mean over tokens: where it is"
        " far from 1, the layer turns the token.",
        lambda: curves(cosines, LAYER, Axis("with the layer before", "mean cosine"), "tokens"),
        cosines,
        *rows,
    )
    section.table("cosines_by_layer", "Mean cosines by layer.", cosines, *rows)
    section.table(
        "tokens_along_the_first",
        "The tokens beyond position 0 along the first token of their sequence, by the number of"
        " layers.",
        of_models(with_rows, results.tokens_along_first),
        *rows,
        "/tokens/id",
    )
    return section
