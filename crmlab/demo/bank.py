"""Part one of the demo: an invented bank, so that every answer can be checked.

Banque Méridienne has a thousand customers, who are in Knapp's ten stages and move by `K10`, a
teaching matrix that is also invented. The bank sees visits, spending, a few survey answers and
complaints, for two years. The model sees no more than that. What happened in the year after, and
where every customer really was, stays hidden until the answers are judged.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from crmlab import chains
from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels import Bernoulli, OrdinalSurvey, Poisson, ZeroInflatedSpend
from crmlab.evaluation import (
    FlagQuality,
    calibration_table,
    confusion_counts,
    flag_quality,
    log_score,
    stage_oracle,
)
from crmlab.evaluation.leakage import true_stages
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.inference import Fit, fit
from crmlab.models.hidden import HiddenMarkov
from crmlab.prediction import current_stage_probs, stage_probs, thin_draws
from crmlab.report.progress import Tell
from crmlab.report.rounding import round_by_error
from crmlab.stages import K10, K10_MARGINS, KNAPP
from crmlab.tables import CustomerTables, split_holdout, to_panel
from crmlab.transitions import StickyDirichlet
from crmlab.value import per_year, stage_value

N_CUSTOMERS, N_SEEN, N_HIDDEN = 1000, 8, 4  # customers; quarters that are seen, and hidden
WORLD_SEED, FIT_SEED = 7, 11
DRAWS, TUNE = 700, 700
DRAWS_READ = 200
YEARLY_RATE = 0.10
FLAG_ABOVE = 0.5
LEFT = KNAPP.index("terminating")
APART = np.array([phase == "apart" for phase in KNAPP.phases])
DRIFTING = APART & (np.arange(len(KNAPP)) != LEFT)  # coming apart, but not yet lost
MIRROR = np.arange(len(KNAPP))[::-1]  # the stage on the same tread of the other side


def build_world(n_quarters: int = N_SEEN + N_HIDDEN) -> StageWorld:
    """Make the bank's world from its true parameters, all of them invented.

    The first base that is seen was acquired evenly over three years: its shares are the expected
    quarters that a new customer spends in each stage in the first twelve.

    Parameters
    ----------
    n_quarters : int
    """
    quarters = chains.occupancy(K10, KNAPP.index("initiating"), n_periods=12)
    living = np.where(np.arange(len(KNAPP)) == LEFT, 0.0, quarters)
    rate = (1.8, 4.2, 7.2, 11.0, 15.0, 10.5, 6.5, 3.0, 0.5, 0.03)
    prob = (0.33, 0.48, 0.65, 0.80, 0.92, 0.78, 0.60, 0.35, 0.08, 0.01)
    median = (20.0, 35.0, 60.0, 100.0, 160.0, 100.0, 60.0, 35.0, 20.0, 20.0)
    location = (0.3, 0.5, 0.8, 1.1, 1.4, -0.4, -0.8, -1.1, -1.4, -1.6)
    complaint = (0.04, 0.05, 0.05, 0.05, 0.04, 0.28, 0.33, 0.30, 0.25, 0.005)
    return StageWorld(
        KNAPP,
        initial_probs=living / living.sum(),
        transition_matrix=K10.tolist(),
        channels=(
            Poisson("visits", rate=rate),
            ZeroInflatedSpend("spend", prob=prob, median=median, sigma=(0.4,) * len(KNAPP)),
            OrdinalSurvey("survey", location=location, response_rate=0.5),
            Bernoulli("complaint", prob=complaint),
        ),
        n_periods=n_quarters,
    )


def build_model() -> HiddenMarkov:
    """Make the model of the bank, with only what a manager would say before looking at the data.

    Visits and spending rise step by step on the way up and fall on the way down; those who come
    together are content; those who come apart are not, and complain. None of the numbers is a true
    parameter.
    """
    typical_visits = (2.0, 5.0, 8.0, 12.0, 16.0, 12.0, 8.0, 5.0, 1.0, 0.1)
    typical_spend = (25.0, 40.0, 60.0, 100.0, 150.0, 100.0, 60.0, 40.0, 25.0, 25.0)
    return HiddenMarkov(
        KNAPP,
        StickyDirichlet(stickiness=4, concentration=0.7),
        (
            Poisson("visits", typical_rate=typical_visits, spread=0.25),
            ZeroInflatedSpend("spend", typical_spend=typical_spend),
            OrdinalSurvey(
                "survey",
                typical_location=(0.75,) * 5 + (-0.75,) * 5,
                prior_sd=0.4,
                response_rate=0.5,
            ),
            Bernoulli("complaint", typical_prob=(0.05,) * 5 + (0.25,) * 4 + (0.01,), confidence=60),
        ),
        ordered_by="visits_rate",
    )


@dataclass(frozen=True)
class Bank:
    """The bank after two years, as the model sees it, and the truth.

    Attributes
    ----------
    fit : Fit
        To the quarters that are seen.
    truth : ndarray of int (customer, quarter)
        True stage as a position, hidden quarters included.
    probs, oracle : ndarray (customer, quarter, stage)
        Probability of each stage given what was seen up to the quarter: from the model, and from an
        oracle that knows the world's parameters.
    hindsight : xr.DataArray (chain, draw, customer_id, period, stage)
        Probability of each stage given all that is seen, for some of the draws.
    probs_now : xr.DataArray (chain, draw, customer_id, stage)
        Stage probabilities at the end of what is seen, draw by draw.
    """

    fit: Fit
    truth: Ints
    probs: Floats
    oracle: Floats
    hindsight: xr.DataArray
    probs_now: xr.DataArray

    @property
    def now(self) -> Ints:
        """True stages at the end of what is seen."""
        return self.truth[:, N_SEEN - 1]

    @property
    def later(self) -> Ints:
        """True stages a year later."""
        return self.truth[:, -1]

    @cached_property
    def matrices(self) -> xr.DataArray:
        """Transition matrices of the draws of `probs_now`."""
        drawn = thin_draws(self.fit, DRAWS_READ)["transition_matrix"]
        return drawn.transpose("chain", "draw", "stage_from", "stage_to")

    @cached_property
    def worth_of_stages(self) -> xr.DataArray:
        """Worth of a customer in each stage [EUR], (chain, draw, stage)."""
        rate = per_year(YEARLY_RATE).per_period("Q")
        values = stage_value(self.matrices.values, K10_MARGINS, discount_rate=rate, first="current")
        return self.probs_now.isel(customer_id=0, drop=True).copy(data=values)

    @cached_property
    def worth(self) -> xr.DataArray:
        """Worth of each customer [EUR], (chain, draw, customer_id)."""
        return (self.probs_now * self.worth_of_stages).sum("stage")

    @cached_property
    def at_risk(self) -> xr.DataArray:
        """How much more a drifting customer would be worth on the same tread while coming together.

        [EUR], (chain, draw, customer_id): the sum over the stages of coming apart (terminating
        excepted) of their probability times the gap in worth to their mirror stage.
        """
        worth = self.worth_of_stages
        gap = (worth.values[..., MIRROR] - worth.values) * DRIFTING
        return (self.probs_now * worth.copy(data=gap)).sum("stage")

    @cached_property
    def prob_left_later(self) -> xr.DataArray:
        """Probability of having left a year later, (chain, draw, customer_id)."""
        year = np.linalg.matrix_power(self.matrices.values, N_HIDDEN)[..., LEFT]
        return (self.probs_now * self.worth_of_stages.copy(data=year)).sum("stage")

    @cached_property
    def prob_drifting(self) -> Floats:
        """Probability of coming apart now and not having left, (customer,)."""
        return self.probs_now.mean(("chain", "draw")).values[:, DRIFTING].sum(axis=1)

    @cached_property
    def flagged(self) -> Bools:
        """Customers flagged as coming apart."""
        return self.prob_drifting > FLAG_ABOVE


def simulate_bank() -> CustomerTables:
    """Simulate the bank's three years: the tables and their truth."""
    return simulate(build_world(), N_CUSTOMERS, seed=WORLD_SEED)


def study_bank(say: Tell) -> Bank:
    """Simulate the bank, fit its first two years, and derive the results of the model.

    Parameters
    ----------
    say : callable
        Takes one line of progress.
    """
    tables = simulate_bank()
    seen, _ = split_holdout(tables, cutoff=N_SEEN)
    panel = to_panel(seen, freq="Q")
    say(f"fitting ten stages to {N_CUSTOMERS:,} customers (the longest step, a minute or two)")
    fitted = fit(build_model(), panel, draws=DRAWS, tune=TUNE, seed=FIT_SEED)
    say("reading off stages, value and risk")
    return read_bank(tables, fitted)


def read_bank(tables: CustomerTables, fitted: Fit) -> Bank:
    """Derive the results of a fitted model, and the truth.

    Parameters
    ----------
    tables : CustomerTables
        The whole bank, with its truth.
    fitted : Fit
        To the quarters that are seen.
    """
    seen, _ = split_holdout(tables, cutoff=N_SEEN)
    return Bank(
        fit=fitted,
        truth=true_stages(tables, KNAPP),
        probs=stage_probs(fitted, kind="filtered", average=True).values,
        oracle=stage_oracle(seen, build_world()).filtered,
        hindsight=stage_probs(fitted, kind="smoothed", draws=60),
        probs_now=current_stage_probs(fitted, draws=DRAWS_READ),
    )


# --- judging --------------------------------------------------------------------------------------


def score_stages(bank: Bank) -> pd.DataFrame:
    """Compare the model with the oracle and a guess, in every customer-quarter before leaving.

    Returns
    -------
    DataFrame
        One row per judge: `stage` and `side`, the shares of customer-quarters in which the most
        likely stage, and the side of the staircase, was right; `log_score` in nats.
    """
    truth = bank.truth[:, :N_SEEN]
    here = truth != LEFT
    shares = np.bincount(truth[here], minlength=len(KNAPP)) / here.sum()
    guess = np.broadcast_to(shares, bank.probs.shape)
    judges = {"model": bank.probs, "oracle": bank.oracle, "guess": guess}
    rows = {name: _score(probs[here], truth[here]) for name, probs in judges.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _score(probs: Floats, truth: Ints) -> dict[str, float]:
    said_apart = probs[:, APART].sum(axis=1) > 0.5
    return {
        "stage": float((probs.argmax(axis=1) == truth).mean()),
        "side": float((said_apart == APART[truth]).mean()),
        "log_score": log_score(probs, truth),
    }


def count_confusions(bank: Bank) -> pd.DataFrame:
    """Count which stage was named for each true one, over all customers and seen quarters."""
    return confusion_counts(bank.truth[:, :N_SEEN], bank.probs.argmax(axis=2), KNAPP)


def split_mistakes(confusions: pd.DataFrame) -> dict[str, float]:
    """Classify the mistakes about customers who had not left, as shares of all those mistakes.

    Parameters
    ----------
    confusions : DataFrame (10, 10)
        As `count_confusions` gives it.

    Returns
    -------
    dict
        "mirror": the right tread, the wrong side; "neighbour": the right side, one tread off;
        "other".
    """
    counts = confusions.to_numpy()[:LEFT]
    i, j = np.indices(counts.shape)
    wrong = np.where(i == j, 0, counts)
    mirror = wrong[j == MIRROR[i]].sum()
    neighbour = wrong[(APART[i] == APART[j]) & (abs(i - j) == 1)].sum()
    total = max(wrong.sum(), 1)
    return {
        "mirror": mirror / total,
        "neighbour": neighbour / total,
        "other": (wrong.sum() - mirror - neighbour) / total,
    }


def calibrate_stages(bank: Bank) -> pd.DataFrame:
    """Compare stage probabilities with the truth, in ten bins, all customer-quarters together."""
    truth = bank.truth[:, :N_SEEN, None] == np.arange(len(KNAPP))
    who = np.broadcast_to(np.arange(len(bank.truth))[:, None, None], truth.shape)
    return calibration_table(bank.probs.ravel(), truth.ravel(), clusters=who.ravel())


def judge_flags(bank: Bank) -> FlagQuality:
    """Judge the flags against the customers who were really coming apart."""
    return flag_quality(bank.flagged, DRIFTING[bank.now])


def judge_year(bank: Bank) -> dict[str, float]:
    """Return the shares of flagged and of other customers who had left a year later.

    Returns
    -------
    dict
        "flagged", "others": shares that had left, of the customers who according to the model were
        still there; "expected", "happened": number expected to have left, and number who had.
    """
    gone_later = bank.later == LEFT
    believed_here = bank.probs[:, -1, LEFT] < 0.5
    others = believed_here & ~bank.flagged
    return {
        "flagged": float(gone_later[bank.flagged].mean()),
        "others": float(gone_later[others].mean()),
        "expected": float(bank.prob_left_later.mean(("chain", "draw")).sum()),
        "happened": int(gone_later.sum()),
    }


def compare_worth(bank: Bank) -> pd.DataFrame:
    """Compare the worth of each stage and its central 90 % interval with the truth [EUR]."""
    rate = per_year(YEARLY_RATE).per_period("Q")
    draws = bank.worth_of_stages.stack(sample=("chain", "draw")).values
    low, high = np.quantile(draws, [0.05, 0.95], axis=1)
    return pd.DataFrame(
        {
            "mean": draws.mean(axis=1),
            "low": low,
            "high": high,
            "true": stage_value(K10, K10_MARGINS, discount_rate=rate, first="current"),
        },
        index=pd.Index(KNAPP.names, name="stage"),
    )


# --- the file -------------------------------------------------------------------------------------

COLUMNS = {
    "customer_id": "number of the customer",
    "visits": "visits in the last quarter that was seen",
    "spend": "EUR spent in that quarter",
    "complaints": "quarters with a complaint, of the eight that were seen",
    "last_survey": "last survey answer, 1 to 5; empty if there was none",
    "p_...": "probability of each of the ten stages at the end of that quarter",
    "most_likely_stage": "the stage with the highest of these probabilities",
    "p_coming_apart": "probability of coming apart and not having left",
    "flagged": "1 if that probability is above one half",
    "p_left_in_a_year": "probability of having left four quarters later",
    "value": "expected worth, EUR: all margins to come, discounted at 10 % a year",
    "value_low, value_high": "central 90 % interval of that expectation",
    "value_at_risk": "EUR that the customer would be worth more on the same tread coming together",
    "true_stage": "where the customer really stood (known only because the bank is simulated)",
    "true_left_in_a_year": "1 if the customer had really left four quarters later",
}


def list_customers(bank: Bank) -> pd.DataFrame:
    """Write one row per customer, numbers rounded to what the draws support (see `COLUMNS`)."""
    panel, names = bank.fit.panel, np.array(KNAPP.names)
    probs = bank.probs_now.mean(("chain", "draw")).values
    rounded = round_by_error(bank.probs_now)
    low, high = (
        round_by_error(bank.worth, bank.worth.quantile(q, ("chain", "draw")).values)
        for q in (0.05, 0.95)
    )
    return pd.DataFrame(
        {
            "customer_id": panel["customer_id"].values,
            "visits": panel["visits"].values[:, -1].astype(int),
            "spend": panel["spend"].values[:, -1].round(2),
            "complaints": panel["complaint"].values.sum(axis=1).astype(int),
            "last_survey": _last_answers(panel["survey"].values),
            **{f"p_{name}": rounded[:, k] for k, name in enumerate(names)},
            "most_likely_stage": names[probs.argmax(axis=1)],
            "p_coming_apart": round_by_error(bank.probs_now[..., DRIFTING].sum("stage")),
            "flagged": bank.flagged.astype(int),
            "p_left_in_a_year": round_by_error(bank.prob_left_later),
            "value": round_by_error(bank.worth),
            "value_low": low,
            "value_high": high,
            "value_at_risk": round_by_error(bank.at_risk),
            "true_stage": names[bank.now],
            "true_left_in_a_year": (bank.later == LEFT).astype(int),
        }
    )


def _last_answers(answers: Floats) -> pd.Series:
    """Find the last answer of each customer; missing if there was none."""
    return pd.DataFrame(answers).ffill(axis=1).iloc[:, -1].astype("Int64")
