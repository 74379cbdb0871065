"""The report: one HTML page of tables and pictures about one sweep file, or many compared.

>>> from actsweep.report import write_report
>>> write_report(["results/demo.h5"], "report")
"""

from .write import write_report

__all__ = ["write_report"]
