"""A report on one's own orders: from a file to a folder with a page, a table, a fit and a manifest.

`write_report` does the whole of it; `rewrite_report` does it again from a manifest.
"""

from crmlab.analyst.folder import rewrite_report, score_file, write_report

__all__ = ["rewrite_report", "score_file", "write_report"]
