"""Are effects recovered? Causes, traits, fatigue and pillars on several invented banks.

    python -m validation.effects --banks 8 --customers 150 --repeats 4 --method nuts

Each bank has five pillars of its own and all other levers at 0 but those that are studied, so the
truth is a multinomial logit whose effects are known. The stages are given to the model as they
were: what is judged is the estimate of effects, not the decoding. Writes results/effects.csv and
results/effects.md.

The kinds of moves are the bank's: "forward" deepens and "skip" eases (both, like "repair", bring
closer), "back" slips or drifts; "back", "cross" and "exit" lead apart.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import crmlab as crm
from crmlab.generators.bank.levers import quiet_levers
from crmlab.generators.bank.people import TRAITS
from crmlab.generators.bank.profile import MOTIONS, profile_of
from crmlab.generators.bank.tilts import INCIDENT_PUSH
from crmlab.inference import Fit
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results"
CAUSES = ("innovation_lack", "low_standard", "inconvenience", "delays")
PILLARS = ("solutions", "respect", "emotional_connection", "fair_prices", "convenience")
PULL, WEAKEST, FATIGUE = 1.5, 0.6, 0.15
SHIFT = 2.0  # levels of pillars lie between -1 and 1, scores above 0
TRAIT_EFFECTS = {
    "adaptation": ("forward", 0.2),
    "trust": ("cross", -0.25),
    "commitment": ("exit", -0.25),
    "conflict_resolution": ("repair", 0.3),
}
KIND_OF = dict(
    zip(MOTIONS[1:], ("forward", "skip", "repair", "back", "back", "cross", "exit"), strict=True)
)
CLOSER, APART = ("forward", "skip", "repair"), ("back", "cross", "exit")
COVARIATES = (
    *(f"incident_{cause}" for cause in CAUSES),
    "excess_squared",
    "pillars_mean",
    "pillars_shortfall",
    *TRAITS,
)
DIMS = ("customer_id", "period")


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, fit, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banks", type=int, default=8)
    parser.add_argument("--customers", type=int, default=150, help="of each bank")
    parser.add_argument("--periods", type=int, default=12)
    parser.add_argument("--method", default="laplace", choices=("laplace", "nuts"))
    parser.add_argument("--repeats", type=int, default=1, help="data sets of so many banks")
    parser.add_argument("--seed", type=int, default=20261, help="of the first data set")
    chosen = parser.parse_args(arguments)
    RESULTS.mkdir(exist_ok=True)
    tables, parts = [], []
    for number in range(chosen.repeats):
        fit, seconds = fit_banks(chosen, chosen.seed + 1000 * number)
        tables.append(compare(fit).assign(repeat=number))
        parts.append(say(fit, number, tables[-1], seconds))
        table = pd.concat(tables)
        table.to_csv(RESULTS / "effects.csv", index=False, float_format="%.4f")
        page = "\n".join([head(chosen, table), *parts, "", print_table(tables[0])])
        (RESULTS / "effects.md").write_text(page, encoding="utf-8")
    print(page)


def fit_banks(chosen: argparse.Namespace, seed: int) -> tuple[Fit, float]:
    """Fit one data set; give the seconds that it took as well."""
    started = time.monotonic()
    panel = many_banks(chosen.banks, chosen.customers, chosen.periods, seed)
    fit = crm.fit(model_of(), panel, method=chosen.method, draws=500, seed=seed)
    return fit, time.monotonic() - started


def bank_space() -> crm.StageSpace:
    """Knapp's stages with the moves that the bank makes, of the bank's kinds."""
    motion, names = profile_of(crm.KNAPP).motion, crm.KNAPP.names
    moves = [
        crm.stages.Move(names[i], names[j], KIND_OF[MOTIONS[motion[i, j]]])
        for i, j in np.argwhere(np.asarray(crm.K10) > 0)
        if i != j
    ]
    return crm.StageSpace(names, crm.KNAPP.phases, tuple(moves))


def model_of() -> crm.HiddenMarkov:
    """Give the model: stages that are reported without error, moves that covariates drive."""
    label = crm.StageLabel("stage", confusion=np.eye(len(crm.KNAPP)))
    moves = crm.CovariateLogit(COVARIATES, lag=1)
    return crm.HiddenMarkov(bank_space(), moves, (label,))


def many_banks(n_banks: int, n_customers: int, n_periods: int, seed: int) -> xr.Dataset:
    """Panels of banks with different pillars, one below the other."""
    rng = np.random.default_rng(seed)
    panels = []
    for b in range(n_banks):
        pillars = dict(zip(PILLARS, rng.uniform(-0.6, 0.8, len(PILLARS)).round(2), strict=True))
        one = bank_panel(pillars, n_customers, n_periods, seed + b)
        panels.append(one.assign_coords(customer_id=one["customer_id"] + b * n_customers))
    panel = xr.concat(panels, dim="customer_id")
    return panel.drop_vars([f"pillar_{name}" for name in PILLARS])


def bank_panel(
    pillars: dict[str, float], n_customers: int, n_periods: int, seed: int
) -> xr.Dataset:
    """Panel of one bank with the true stages, and what drove them."""
    knobs = {f"pillars.{name}": float(level) for name, level in pillars.items()}
    knobs |= {"pillars.weakest_link": WEAKEST, "outreach.contacts": 1.2}
    knobs |= {"outreach.fatigue": FATIGUE}
    knobs |= {f"stagnation.{cause}": 0.08 for cause in CAUSES}
    knobs |= {f"traits.{name}": abs(effect) for name, (_, effect) in TRAIT_EFFECTS.items()}
    bank = crm.bank.Bank(levers=quiet_levers(), n_periods=n_periods).turned(knobs)
    tables = crm.simulate(bank, n_customers, seed=seed)
    truth, size = tables.truth, (n_customers, n_periods)
    stages = _cells(truth["stages"], size, truth["stages"]["stage"].map(crm.KNAPP.index))
    gone = np.cumsum(stages == len(crm.KNAPP) - 1, axis=1)
    observed = ~np.isnan(stages) & (gone <= 1)
    said = tables.more["touchpoints"].query(
        "direction == 'out' and kind == 'relationship_marketing'"
    )
    outgoing = said.groupby(["customer_id", "period"]).size().reset_index(name="n")
    contacts = np.nan_to_num(_cells(outgoing, size, outgoing["n"]))
    panel = xr.Dataset(
        {
            "observed": (DIMS, observed),
            "stage": (DIMS, np.where(observed, stages, np.nan)),
            "excess_squared": (DIMS, np.maximum(contacts - 1, 0) ** 2),
            **{n: ("customer_id", truth["people"][n].to_numpy(float)) for n in TRAITS},
            **{f"pillar_{n}": ("customer_id", np.full(n_customers, v + SHIFT))
               for n, v in pillars.items()},
        },
        coords={"customer_id": np.arange(n_customers), "period": np.arange(n_periods)},
    )  # fmt: skip
    felt = truth["feelings"]
    happened = {
        f"incident_{cause}": (DIMS, np.nan_to_num(_cells(felt, size, felt["incident"] == cause)))
        for cause in CAUSES
    }
    panel = crm.prediction.add_pillars(
        panel.assign(happened), [f"pillar_{name}" for name in PILLARS]
    )
    return panel.assign(pillars_mean=panel["pillars_mean"] - SHIFT)


def _cells(rows: pd.DataFrame, size: tuple[int, int], values: pd.Series) -> np.ndarray:
    """Spread rows over (customer, period), NaN where there is none."""
    cells = np.full(size, np.nan)
    cells[rows["customer_id"].to_numpy(int), rows["period"].to_numpy(int)] = values.to_numpy(float)
    return cells


def true_effects() -> dict[str, dict[str, float]]:
    """Log-odds per unit of each covariate, by kind of move."""
    effects = {name: dict.fromkeys((*CLOSER, *APART), 0.0) for name in COVARIATES}
    for cause in CAUSES:
        effects[f"incident_{cause}"] |= dict.fromkeys(APART, INCIDENT_PUSH)
    effects["excess_squared"] |= dict.fromkeys(APART, FATIGUE)
    for name, pull in (("pillars_mean", PULL), ("pillars_shortfall", -WEAKEST * PULL)):
        effects[name] |= dict.fromkeys(CLOSER, pull) | dict.fromkeys(APART, -pull)
    for name, (kind, effect) in TRAIT_EFFECTS.items():
        effects[name][kind] = effect
    return effects


def compare(fit: Fit) -> pd.DataFrame:
    """One row per covariate and kind of move: the truth, and a 90 % equal-tailed interval."""
    space, rows = fit.model.space, []
    for name, by_kind in true_effects().items():
        draws = fit.posterior[f"{name}_effect"].values.reshape(-1, len(space), len(space))
        for kind, truth in by_kind.items():
            i, j = np.argwhere(space.kinds == kind)[0]
            lower, upper = np.quantile(draws[:, i, j], [0.05, 0.95])
            found = {"mean": draws[:, i, j].mean(), "lower": lower, "upper": upper}
            rows.append({"covariate": name, "kind": kind, "truth": truth, **found})
    table = pd.DataFrame(rows)
    return table.assign(covered=table["truth"].between(table["lower"], table["upper"]))


def truth_as_fit(fit: Fit) -> Fit:
    """Give a fit with one draw, the truth, for the same functions to read."""
    space, matrix = fit.model.space, np.asarray(crm.K10, dtype=float)
    with np.errstate(divide="ignore"):
        logits = np.log(matrix) - np.log(np.diagonal(matrix))[:, None]
    draw = {"base_logits": np.where(space.mask, logits, 0.0)}
    for name, by_kind in true_effects().items():
        draw[f"{name}_effect"] = sum(np.where(space.kinds == k, v, 0.0) for k, v in by_kind.items())
    one = fit.posterior.isel(chain=[0], draw=[0])
    one = one.assign({n: one[n].copy(data=v[None, None]) for n, v in draw.items()})
    return replace(fit, idata=xr.DataTree.from_dict({"posterior": one}))


def head(chosen: argparse.Namespace, table: pd.DataFrame) -> str:
    """Sum up all data sets; they are what is independent, so errors are taken between them."""
    matters = table[table["truth"] != 0]
    share, error = _mean_of_repeats(table["covered"], table["repeat"])
    some, some_error = _mean_of_repeats(matters["covered"], matters["repeat"])
    off = matters["mean"] / matters["truth"] - 1
    weight = (matters["truth"] / (matters["upper"] - matters["lower"])) ** 2
    bias = (off * weight).groupby(matters["repeat"]).sum() / weight.groupby(matters["repeat"]).sum()
    shift, shift_error = _mean_of_repeats(bias, bias.index)
    rmse = np.sqrt(((table["mean"] - table["truth"]) ** 2).mean())
    return (
        "# Effects recovered on invented banks\n\n"
        f"`python -m validation.effects --banks {chosen.banks} --customers {chosen.customers} "
        f"--periods {chosen.periods} --method {chosen.method} --repeats {table['repeat'].nunique()}"
        f" --seed {chosen.seed}`; stages given; standard errors between data sets in brackets.\n\n"
        f"* 90 % equal-tailed intervals contain the true log-odds in {share:.3f}{error} of the "
        f"{len(table)} effects, in {some:.3f}{some_error} of the {len(matters)} that are not 0.\n"
        f"* Effects that are not 0, weighed by what is known of each: the estimate is "
        f"{1 + shift:.3f}{shift_error} times the truth; root mean squared error of all "
        f"{rmse:.3f} log-odds.\n"
    )


def _mean_of_repeats(values: pd.Series, repeat: pd.Series) -> tuple[float, str]:
    """Mean, and its standard error in brackets; no error where there is one data set."""
    means = values.astype(float).groupby(np.asarray(repeat)).mean()
    error = means.std() / np.sqrt(len(means)) if len(means) > 1 else np.nan
    return float(means.mean()), "" if np.isnan(error) else f" ({error:.3f})"


def say(fit: Fit, number: int, table: pd.DataFrame, seconds: float) -> str:
    """Say in two lines what came of one data set."""
    causes = {f"incident_{cause}": 0.0 for cause in CAUSES}
    options = {"low": causes, "high": {**causes, "incident_delays": 1.0}}
    effect, truth = (
        crm.prediction.transition_effects(f, **options) for f in (fit, truth_as_fit(fit))
    )
    years = {"n_periods": 12, "start": "bonding", **options}
    ahead, ahead_true = (
        crm.prediction.occupancy_effects(f, **years) for f in (fit, truth_as_fit(fit))
    )
    end = ahead.sel(horizon=12, stage="terminating")
    real = truth["mean"].values
    inside = (effect["lower"].values <= real) & (real <= effect["upper"].values)
    moves = fit.model.space.mask & (np.abs(real) > 1e-12)
    return (
        f"* Data set {number + 1}, {int(fit.panel['observed'].sum())} customer-periods, "
        f"{seconds:.0f} s, gate: {'; '.join(fit.problems) or 'no sign of trouble'}. Inside their "
        f"intervals {table['covered'].mean():.2f} of all effects, {inside[moves].mean():.2f} of "
        f"the {int(moves.sum())} average effects of a delay. A delay in every quarter for three "
        f"years, from bonding: {100 * float(end['mean']):.1f} points more are gone "
        f"({100 * float(end['lower']):.1f} to {100 * float(end['upper']):.1f}); truth "
        f"{100 * float(ahead_true['mean'].sel(horizon=12, stage='terminating')):.1f}."
    )


def print_table(table: pd.DataFrame) -> str:
    """The effects of the first data set, one row each."""
    return "The first data set:\n\n" + write_rows(table.drop(columns="repeat").round(3))


if __name__ == "__main__":
    main()
