"""The public names of crmlab.analyst."""

from crmlab.analyst.folder import (
    rewrite_report as rewrite_report,
    score_file as score_file,
    write_report as write_report,
)
