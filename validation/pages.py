"""How the studies' pages lay out what they found."""

import pandas as pd


def write_rows(table: pd.DataFrame) -> str:
    """Lay out a table in Markdown, without its index."""
    head = "| " + " | ".join(table.columns) + " |"
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join([head, "|" + "---|" * table.shape[1], *rows]) + "\n"
