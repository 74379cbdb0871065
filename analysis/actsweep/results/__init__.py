"""What a sweep file says, as tables: one pandas frame per question, computed from raw sums.

In: a `Sweep`. Out: frames with one row per answer, their columns in the words of the report. None
of these modules draws or lays out anything; docs/analysis.md has the formulas and their sources.
"""
