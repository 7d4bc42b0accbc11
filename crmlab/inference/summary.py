"""The display of a fit: a few sentences, and a table of its first parameters.

No number is printed to more digits than its Monte Carlo error supports.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import Floats
from crmlab.inference.convergence import ESS_PER_CHAIN, RHAT_LIMIT
from crmlab.models.base import StageModel

MOST_ROWS = 12
INTERVAL = "90 % equal-tailed interval"
QUANTILES = (0.05, 0.95)
METHODS = {"exact": "closed form", "nuts": "NUTS", "laplace": "Laplace", "map": "MAP"}


class Summary(NamedTuple):
    """Sentences, a table of text, and sentences below it; the same words as text and as HTML."""

    sentences: list[str]
    table: pd.DataFrame
    footnotes: list[str]

    def as_text(self) -> str:
        """Return plain text."""
        table = [] if self.table.empty else ["", self.table.to_string(), ""]
        return "\n".join([*self.sentences, *table, *self.footnotes])

    def as_html(self) -> str:
        """Return HTML in the colours of the page around it."""
        first, *others = (escape(sentence) for sentence in self.sentences)
        paragraph = "<br>".join([f"<strong>{first}</strong>", *others])
        table = "" if self.table.empty else self.table.to_html(border=0)
        footnotes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.footnotes)
        return f"<div><p>{paragraph}</p>{table}{footnotes}</div>"


def summarise(
    model: StageModel,
    panel: xr.Dataset,
    idata: xr.DataTree,
    problems: Sequence[str],
    remarks: Sequence[str],
) -> Summary:
    """Describe what was fitted, whether it can be read, and its results."""
    sentences = [describe_fit(model, panel, idata), describe_verdict(idata, problems)]
    sentences += describe_readings(idata)
    sentences += [f"Note: {remark}." for remark in remarks]
    table, left_out = tabulate_parameters(model, idata)
    footnotes = [f"Also in `posterior`: {', '.join(left_out)}."] if left_out else []
    return Summary(sentences, table, footnotes)


def describe_fit(model: StageModel, panel: xr.Dataset, idata: xr.DataTree) -> str:
    """Describe the model, the data, the method and the number of draws."""
    seen = ", ".join(channel.name for channel in model.channels)
    method = METHODS.get(idata.attrs.get("method", ""), "unknown method")
    sizes = {**panel.sizes, **idata["posterior"].sizes}
    names = ("customer_id", "period", "chain", "draw")
    n_customers, n_periods, n_chains, n_draws = (
        count(sizes[name], name.removesuffix("_id")) for name in names
    )
    return (
        f"Fit of {type(model).__name__} ({len(model.space)} stages; {seen}) to {n_customers} x "
        f"{n_periods}: {method}, {n_chains} x {n_draws}."
    )


def count(n: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> count(1, "chain"), count(2000, "draw")
    ('1 chain', '2,000 draws')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def describe_verdict(idata: xr.DataTree, problems: Sequence[str]) -> str:
    """Report whether the draws can be read, and why."""
    if problems:
        return f"Do not read this fit yet: {'; '.join(problems)}."
    attrs = idata.attrs
    match attrs.get("method"):
        case "exact":
            return "The draws are independent: there is nothing to converge."
        case "nuts":
            enough = ESS_PER_CHAIN * idata["posterior"].sizes["chain"]
            return (
                f"Converged: for every parameter R-hat is at most {RHAT_LIMIT} and the effective "
                f"sample size at least {enough}; no divergences."
            )
        case "laplace":
            return (
                "The posterior is close to normal around its mode (Pareto k "
                f"{attrs['pareto_khat']:.2f}): the draws are worth {attrs['n_effective']:.0f} "
                "independent ones."
            )
        case "map":
            return f"{attrs['n_agreeing']} of 4 starts found this mode, which has no uncertainty."
    return "Nobody has checked whether the draws converged."


NUMBERS = {2: "two", 3: "three", 4: "four"}


def describe_readings(idata: xr.DataTree) -> list[str]:
    """Say in how many ways the data can be read; nothing where nobody has looked for that."""
    masses = tabulate_readings(idata)["mass"]
    if len(masses) < 2:
        return ["The data have one reading."] * len(masses)
    *first, last = (f"{mass:.2f}".removeprefix("0") for mass in masses)
    return [
        f"The data have {NUMBERS[len(masses)]} readings, masses {', '.join(first)} and {last} "
        "(see `readings`)."
    ]


def tabulate_readings(idata: xr.DataTree) -> pd.DataFrame:
    """List the readings of a fit, one per row (see `crmlab.Fit.readings`)."""
    names = ["mass", "log_evidence", "error", "n_runs", "n_starts"]
    if "search" not in idata.children:
        return pd.DataFrame(columns=names, index=pd.Index([], name="reading"))
    search = idata["search"].to_dataset()
    index = pd.RangeIndex(search.sizes["reading"], name="reading")
    homes, starts = search["hill_reading"].values, search["n_starts"].values
    found = search[names[:-1]].to_dataframe().set_index(index)
    return found.assign(n_starts=[int(starts[homes == k].sum()) for k in index])


def tabulate_parameters(model: StageModel, idata: xr.DataTree) -> tuple[pd.DataFrame, list[str]]:
    """Summarise the first parameters that are not known.

    Returns
    -------
    DataFrame
        One row of text per number, at most `MOST_ROWS`; of a transition matrix, only the
        probabilities of staying.
    list of str
        Names of the variables that are not in the table.
    """
    posterior = idata["posterior"].to_dataset()
    rows: dict[str, Floats] = {}
    left_out = []
    for name in _in_reading_order(model, posterior):
        numbers = list(islice(_free_numbers(name, posterior[name]), MOST_ROWS + 1))
        if rows and len(rows) + len(numbers) > MOST_ROWS:
            left_out.append(name)
        else:
            rows |= dict(numbers[:MOST_ROWS])
    return _summarise(rows, idata), left_out


def _in_reading_order(model: StageModel, posterior: xr.Dataset) -> list[str]:
    """Order the variables: what stages look like, how customers move, where they begin."""
    names = [name for name in model.posterior_names if name in posterior]
    seen = sum(len(channel.parameter_names) for channel in model.channels)
    split = len(names) - seen
    return [*names[split:], *names[1:split], *names[:1]]


def _free_numbers(name: str, values: xr.DataArray) -> Iterator[tuple[str, Floats]]:
    """Yield label and draws (chain, draw) of each number that is unknown and not a repetition."""
    axes = [values[dim].values for dim in values.dims[2:]]
    seen = set()
    for place in np.ndindex(values.shape[2:]):
        draws = values.values[(..., *place)]
        is_move = name == "transition_matrix" and place[0] != place[1]
        is_known = draws.size > 1 and np.ptp(draws) == 0
        if is_move or is_known or draws.tobytes() in seen:
            continue
        seen.add(draws.tobytes())
        labels = ", ".join(str(axis[k]) for axis, k in zip(axes, place, strict=True))
        yield (f"{name}[{labels}]" if labels else name), draws


def _summarise(rows: dict[str, Floats], idata: xr.DataTree) -> pd.DataFrame:
    """Write one row of text for the draws of each number."""
    method = idata.attrs.get("method")
    if method == "map":
        return pd.DataFrame({"mode": {name: f"{draws.item():.3g}" for name, draws in rows.items()}})
    if method in ("exact", "laplace"):
        n_independent = idata.attrs.get("n_effective")  # of "exact": all
        summaries = [_mean_and_interval(d, n_independent or d.size) for d in rows.values()]
    else:
        summaries = [_summarise_chains(draws) for draws in rows.values()]
    return pd.DataFrame(summaries, index=list(rows))


def _mean_and_interval(draws: Floats, n_independent: float) -> dict[str, str]:
    error = draws.std() / np.sqrt(n_independent)
    low, high = (print_with_error(end, error) for end in np.quantile(draws, QUANTILES))
    return {"mean": print_with_error(draws.mean(), error), INTERVAL: f"{low} to {high}"}


def _summarise_chains(draws: Floats) -> dict[str, str]:
    """Write also R-hat and the bulk effective sample size; nan where draws are too few."""
    import arviz_stats

    rhat = ess = np.nan
    if draws.shape[0] >= 2 and draws.shape[1] >= 4:
        with np.errstate(invalid="ignore", divide="ignore"):  # of a chain that does not move
            rhat = float(arviz_stats.rhat(draws))
            ess = float(arviz_stats.ess(draws, method="bulk"))
    both = {"R-hat": f"{rhat:.2f}", "ESS": f"{float(f'{ess:.2g}'):.0f}"}
    return _mean_and_interval(draws, ess) | both


def print_with_error(value: float, error: float) -> str:
    """Print a number to the digits that twice its Monte Carlo error leaves.

    Examples
    --------
    >>> print_with_error(0.31415, 0.004), print_with_error(1234.5, 7.0)
    ('0.31', '1,200')
    >>> print_with_error(0.31415, float("nan"))  # unknown
    '0.314'
    """
    if not error > 0:
        return f"{value:.3g}"
    decimals = min(int(np.floor(-np.log10(2 * error))), 6)
    return f"{round(float(value), decimals) + 0.0:,.{max(decimals, 0)}f}"
