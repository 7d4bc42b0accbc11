"""What a fit shows of itself, as text and in a notebook."""

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import xarray as xr

import crmlab as crm
from crmlab.inference import Fit
from crmlab.inference.summary import INTERVAL, MOST_ROWS, print_with_error, tabulate_parameters
from tests.ragged import SPACE

OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=1.0))


@pytest.fixture(scope="module")
def exact():
    label = crm.StageLabel("stage", confusion=np.eye(3))
    matrix = ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.0, 0.0, 1.0))
    world = crm.StageWorld(SPACE, (0.6, 0.3, 0.1), matrix, (label,), n_periods=6)
    panel = crm.to_panel(crm.simulate(world, 40, seed=2), freq="M")
    return crm.fit(OBSERVED, panel, draws=1000, seed=1)


def judged(fit, method, *, problems=(), **attrs):
    """The same fit as if another method had made it."""
    idata = fit.idata.copy()
    idata.attrs.update(method=method, problems=json.dumps(list(problems)), **attrs)
    return replace(fit, idata=idata)


def words(text):
    return re.sub(r"<[^>]+>", " ", text).split()


@pytest.mark.sampling
def test_a_sampled_fit_says_what_it_is(loyalty_fit):
    heading, verdict, readings, blank, header, *rows = repr(loyalty_fit).splitlines()
    assert heading == (
        "Fit of HiddenMarkov (2 stages; visits) to 30 customers x 8 periods: "
        "NUTS, 2 chains x 400 draws."
    )
    assert verdict == (
        "Converged: for every parameter R-hat is at most 1.02 and the effective sample size at "
        "least 200; no divergences."
    )
    assert readings == "The data have one reading."
    assert header.split() == ["mean", *INTERVAL.split(), "R-hat", "ESS"]
    assert [row.split()[0].split("[")[0] for row in rows if row] == [
        *["visits_rate"] * 2, *["transition_matrix"] * 2, *["initial_probs"] * 2
    ]  # fmt: skip
    assert blank == ""


def test_text_and_html_have_the_same_words(exact):
    for fit in (exact, judged(exact, "nuts", problems=["R-hat is 2.00 for <x> (limit 1.02)"])):
        assert words(unescape(fit._repr_html_())) == words(repr(fit))
        assert "color" not in fit._repr_html_(), "the colours are those of the page"


def test_html_is_escaped(exact):
    assert "for &lt;x&gt;" in judged(exact, "nuts", problems=["is bad for <x>"])._repr_html_()


def test_numbers_are_those_of_the_draws(exact):
    table, left_out = tabulate_parameters(exact.model, exact.idata)
    assert left_out == []
    draws = exact.posterior["transition_matrix"].sel(stage_from="new", stage_to="new").values
    found = table.loc["transition_matrix[new, new]"]
    half = 0.5 * 10.0 ** -len(found["mean"].partition(".")[2])
    assert float(found["mean"]) == pytest.approx(draws.mean(), abs=half)
    ends = [float(word) for word in found[INTERVAL].split(" to ")]
    assert ends == pytest.approx(np.quantile(draws, [0.05, 0.95]), abs=half)


def test_what_is_known_is_left_out(exact):
    """Nobody comes back from the third stage, and reports are exact."""
    table, _ = tabulate_parameters(exact.model, exact.idata)
    kinds = {label.partition("[")[0] for label in table.index}
    assert kinds == {"transition_matrix", "initial_probs"}
    absorbing = SPACE.names[int(np.argmax([row.sum() == 1 for row in SPACE.mask]))]
    assert f"transition_matrix[{absorbing}, {absorbing}]" not in table.index


@pytest.mark.parametrize(
    ("method", "attrs", "sentence"),
    [
        ("exact", {}, "The draws are independent"),
        ("laplace", {"pareto_khat": 0.123, "n_effective": 87.6}, "k 0.12): the draws are worth 88"),
        (None, {}, "Nobody has checked whether the draws converged."),
    ],
)
def test_every_method_has_its_verdict(exact, method, attrs, sentence):
    assert sentence in repr(judged(exact, method, **attrs))


def test_a_mode_has_one_number_a_row(exact):
    single = replace(exact, idata=exact.idata.isel(chain=slice(1), draw=slice(1)))
    shown = repr(judged(single, "map", n_agreeing=3))
    assert "MAP, 1 chain x 1 draw." in shown
    assert "3 of 4 starts found this mode" in shown
    assert INTERVAL not in shown


def test_problems_and_remarks_are_told(exact):
    shown = repr(judged(exact, "nuts", problems=["3 draws diverged"]))
    assert "Do not read this fit yet: 3 draws diverged." in shown
    assert "Converged" not in shown
    silent = replace(exact, panel=exact.panel.isel(period=slice(1)))
    assert silent.remarks
    assert f"Note: {silent.remarks[0]}." in repr(silent)


def test_a_large_model_shows_its_first_parameters_and_names_the_others():
    ten = crm.StageSpace(tuple("abcdefghij"))
    model = crm.HiddenMarkov(ten, channels=(crm.Poisson("visits"),), ordered_by="visits_rate")
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(10), size=(2, 50, 11))
    coords = {"stage": list(ten.names), "stage_from": list(ten.names), "stage_to": list(ten.names)}
    posterior = xr.Dataset(
        {
            "initial_probs": (("chain", "draw", "stage"), rows[:, :, 0]),
            "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), rows[:, :, 1:]),
            "visits_rate": (("chain", "draw", "stage"), rng.gamma(2.0, size=(2, 50, 10))),
        },
        coords=coords,
    )
    idata = xr.DataTree.from_dict({"posterior": posterior})
    table, left_out = tabulate_parameters(model, idata)
    assert list(table.index) == [f"visits_rate[{name}]" for name in ten.names]
    assert len(table) <= MOST_ROWS
    assert left_out == ["transition_matrix", "initial_probs"]


def test_the_same_fit_says_the_same_from_disk(exact, tmp_path):
    exact.save(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit")
    assert isinstance(loaded, Fit)
    assert repr(loaded) == repr(exact)
    assert loaded._repr_html_() == exact._repr_html_()


@pytest.mark.parametrize(
    ("value", "error", "printed"),
    [
        (0.5, 0.0049, "0.50"),
        (0.5, 0.0051, "0.5"),
        (123456.0, 30.0, "123,500"),
        (-0.001, 0.1, "0"),
        (0.123456789, 1e-12, "0.123457"),
        (0.123456789, 0.0, "0.123"),
    ],
)
def test_digits_follow_the_error(value, error, printed):
    assert print_with_error(value, error) == printed
