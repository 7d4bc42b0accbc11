"""Value and targeting against the truth of the bank: stages, purchases, and the usual shortcuts.

    python -m validation.value_truth                 # 8 banks of 600 customers, some minutes
    python -m validation.value_truth --banks 2       # a short look

Each bank (`three_stage_bank`, invented; follow-ups made strong enough to be worth a decision) is
watched for 24 quarters in which nobody is treated. Every method then says what each customer will
bring in the 12 quarters to come, and whom to follow up with a budget for a fifth of the customers.
What they brought, and what each list would have changed, is read off the simulated truth.

The stage model is told the log odds ratio of a follow-up, as from an experiment; the shortcuts have
no place for it. BG/NBD has draws and Poisson chance in its interval. Printed: means over banks, of
coverage the share of banks, of regret the mean in euros per bank of 600 customers.
"""

import argparse

import numpy as np
import pandas as pd

import crmlab as crm
from crmlab.evaluation.targeting import ValueForecast, score_targets, score_values, usual_shortcuts
from crmlab.generators.bank.presets import three_stage_bank
from crmlab.generators.bank.profile import profile_of
from crmlab.value import hidden_variance, stage_value, value_variance

CUTOFF, HORIZON, SHARE, EFFECT = 24, 12, 0.2, 1.0
RATE = crm.per_year(0.10).per_period("Q")
KEEP = 1 / (1 + RATE)
BANK = three_stage_bank().turned({"treatments.follow_up_effect": EFFECT})


def simulate_bank(n_customers: int, seed: int) -> crm.CustomerTables:
    """One bank in which nobody is treated."""
    return crm.simulate(BANK, n_customers, seed=seed, policy=crm.actions.NoAction())


def by_period(tables: crm.CustomerTables, channel: str, n_customers: int) -> np.ndarray:
    """Total of a channel of each customer in each period (n, 36)."""
    events = tables.events[tables.events["channel"] == channel]
    table = np.zeros((n_customers, BANK.n_periods))
    np.add.at(table, (events["customer_id"], events["period"]), events["value"])
    return table


def discounted(flows: np.ndarray) -> np.ndarray:
    """Value of flows at the ends of the periods to come."""
    return flows @ KEEP ** np.arange(1.0, flows.shape[1] + 1)


def amounts(bought: np.ndarray, margin: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the margin of a purchase, from totals of periods."""
    mean = margin.sum() / bought.sum()
    some = bought > 0
    # The margin of k purchases scatters around k times the mean with k times the variance of one.
    variance = ((margin[some] - mean * bought[some]) ** 2 / bought[some]).mean()
    return float(mean), float(np.sqrt(variance))


def fit_stages(train: crm.CustomerTables, seed: int) -> crm.Fit:
    """Three hidden stages from purchases."""
    model = crm.HiddenMarkov(
        BANK.space,
        crm.StickyDirichlet(stickiness=2),
        (crm.Poisson("purchases"),),
        ordered_by="purchases_rate",
    )
    panel = crm.to_panel(train, freq="Q", channels=["purchases"])
    return crm.fit(model, panel, draws=600, tune=500, seed=seed)


def forecast_by_stage(
    found: crm.Fit, amount: float, amount_sd: float, seed: int
) -> tuple[ValueForecast, np.ndarray]:
    """Value of each customer, draws of the total, and the gain of a follow-up, by the stages."""
    law = crm.current_stage_probs(found, draws=200).transpose(
        "chain", "draw", "customer_id", "stage"
    )
    kept = found.posterior.sel(chain=law["chain"], draw=law["draw"])
    order = ("chain", "draw", "stage_from", "stage_to")
    K = len(BANK.space)
    P = kept["transition_matrix"].transpose(*order).values.reshape(-1, K, K)
    rates = kept["purchases_rate"].transpose("chain", "draw", "stage").values.reshape(-1, K)
    laws = law.values.reshape(len(P), -1, K)
    options = {"discount_rate": RATE, "n_periods": HORIZON, "timing": "end"}
    values = stage_value(P, amount * rates, **options, first="current")
    spread = np.sqrt(rates * (amount**2 + amount_sd**2))  # of a Poisson number of amounts
    chance = value_variance(P, amount * rates, margin_sd=spread, **options, first="current")
    ahead = laws @ P  # the first payment to come is that of the next period
    means = np.einsum("dnk,dk->dn", ahead, values)
    noise = hidden_variance(ahead, values[:, None], chance[:, None]).sum(axis=1)
    rng = np.random.default_rng(seed)
    totals = means.sum(axis=1) + rng.normal(size=len(P)) * np.sqrt(noise)
    tilted = crm.actions.tilt(P, BANK.space, closer())
    gain = np.einsum("dnk,dkj,dj->dn", laws, tilted - P, values).mean(axis=0)
    return ValueForecast(means.mean(axis=0), totals), gain


def closer() -> np.ndarray:
    """Log odds ratios of a follow-up: all moves to a more intense stage."""
    K = len(BANK.space)
    return EFFECT * np.triu(np.ones((K, K)), 1)


def forecast_by_purchases(bought: np.ndarray, amount: float, amount_sd: float, seed: int):
    """BG/NBD on quarters since the first purchase, with Poisson chance in the total."""
    first = np.where((bought > 0).any(axis=1), (bought > 0).argmax(axis=1), CUTOFF)
    periods = np.arange(CUTOFF)
    after = np.where(periods > first[:, None], bought, 0.0)
    x = after.sum(axis=1)
    last = np.where(x > 0, CUTOFF - 1 - (after[:, ::-1] > 0).argmax(axis=1), first)
    known = first < CUTOFF
    history = x[known], (last - first)[known].astype(float), (CUTOFF - 1 - first)[known] * 1.0
    found = crm.btyd.population_posterior(crm.btyd.BGNBD, *history, seed=seed, n_draws=100)
    rng = np.random.default_rng(seed)
    means, totals = np.zeros(len(bought)), []
    for params in found.populations:
        upto = np.stack([params.expected_purchases(h, *history) for h in range(HORIZON + 1)], 1)
        flows = np.diff(upto, axis=1)
        value = amount * discounted(flows)
        means[known] += value / len(found.populations)
        chance = (amount**2 + amount_sd**2) * (flows @ KEEP ** (2 * np.arange(1, HORIZON + 1.0)))
        totals.append(value.sum() + rng.normal() * np.sqrt(chance.sum()))
    return ValueForecast(means, np.array(totals))


def study(n_customers: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every method on one bank."""
    tables = simulate_bank(n_customers, seed)
    bought, margin = (by_period(tables, name, n_customers) for name in ("purchases", "margin"))
    actual = discounted(margin[:, CUTOFF:])
    amount, amount_sd = amounts(bought[:, :CUTOFF], margin[:, :CUTOFF])
    train, _ = crm.split_holdout(tables, cutoff=CUTOFF)
    found = fit_stages(train, seed)
    by_stage, gain = forecast_by_stage(found, amount, amount_sd, seed)
    by_purchases = forecast_by_purchases(bought[:, :CUTOFF], amount, amount_sd, seed)
    short = usual_shortcuts(
        bought[:, :CUTOFF], margin[:, :CUTOFF], n_periods=HORIZON, discount_rate=RATE
    )
    forecasts = {"stages": by_stage, "BG/NBD": by_purchases, **short.values}
    truth = tables.truth["stages"]
    at_cutoff = truth[truth["period"] == CUTOFF - 1].set_index("customer_id")["stage"]
    rates = profile_of(BANK.space).purchases
    regrets = score_targets(
        BANK,
        n_customers,
        {"stages": gain, "BG/NBD": np.asarray(by_purchases.customers), **short.rankings},
        action="follow_up",
        period=CUTOFF - 1,
        share=SHARE,
        stages=at_cutoff.reindex(range(n_customers)).astype(str).tolist(),
        margins=dict(zip(BANK.space.names, amount * rates, strict=True)),
        seed=seed,
        discount_rate=RATE,
    )
    return score_values(forecasts, actual), regrets


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banks", type=int, default=8)
    parser.add_argument("--customers", type=int, default=600)
    options = parser.parse_args()
    values, regrets = [], []
    for seed in range(1, options.banks + 1):
        value, regret = study(options.customers, seed)
        values.append(value.assign(bank=seed))
        regrets.append(regret.assign(bank=seed))
        print(f"bank {seed} done", flush=True)
    print_values(pd.concat(values), options.banks)
    print_regrets(pd.concat(regrets), options.banks)


def print_values(values: pd.DataFrame, n_banks: int) -> None:
    """Mean over banks."""
    print(f"\nValue of 12 quarters, {n_banks} banks: euros per customer (se over banks)")
    groups = values.groupby(level=0, sort=False)
    for name, rows in groups:
        covered = rows["covers"].dropna()
        share = f"{int(covered.sum())} of {len(covered)}" if len(covered) else "no interval"
        print(
            f"{name:<20} bias {rows['bias'].mean():>8.1f} ({rows['bias'].sem():.1f})   "
            f"MAE {rows['mae'].mean():>7.1f}   90 % interval covers: {share}"
        )


def print_regrets(regrets: pd.DataFrame, n_banks: int) -> None:
    """Mean over banks, in euros for all customers, largest value first."""
    print(f"\nFollow-ups for {SHARE:.0%} of the customers, {n_banks} banks: euros per bank")
    table = regrets.groupby(level=0)[["value", "regret"]].agg(["mean", "sem"])
    nobody = table.loc["nobody", ("value", "mean")]
    table = table.sort_values(("regret", "mean"))
    for name, row in table.iterrows():
        print(
            f"{name:<20} brings {row['value', 'mean'] - nobody:>8.0f}   "
            f"regret {row['regret', 'mean']:>7.0f} ({row['regret', 'sem']:.0f})"
        )


if __name__ == "__main__":
    main()
