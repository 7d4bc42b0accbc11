"""Lives as strips: what is drawn is what is in the tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import crmlab as crm
from crmlab.plots import stage_colours
from crmlab.plots.lives import describe_lives, plot_lives


@pytest.fixture(scope="module")
def tables():
    return crm.simulate(crm.bank.Bank(n_periods=12), 60, seed=2)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_every_contact_of_the_chosen_is_one_mark_at_its_time(tables):
    contacts, chosen = tables.more["touchpoints"], [7, 3, 40]
    ax = plot_lives(contacts, customers=chosen)
    drawn = np.concatenate([line.get_xydata() for line in ax.lines])
    theirs = contacts[contacts["customer_id"].isin(chosen)]
    when = np.sort(theirs["period"] + (theirs["day"] + 0.5) / 90)
    assert np.allclose(np.sort(drawn[:, 0]), when)
    rows, counts = np.unique(np.round(-drawn[:, 1]), return_counts=True)
    expected = theirs.groupby("customer_id").size().reindex(chosen)
    assert dict(zip(rows, counts, strict=True)) == dict(enumerate(expected))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["7", "3", "40"]


def test_bands_have_the_colour_of_the_stage_and_the_lost_are_white(tables):
    stages = tables.truth["stages"]
    ax = plot_lives(tables.more["touchpoints"], customers=[0], stages=stages, space=crm.KNAPP)
    life = stages.loc[stages["customer_id"] == 0, "stage"].astype("str")
    colours = {**stage_colours(crm.KNAPP), "terminating": "none"}
    drawn = ax.collections[0].get_facecolors()
    assert len(drawn) == len(life)
    for seen, stage in zip(drawn, life, strict=True):
        assert (seen[3] == 0) if stage == "terminating" else to_hex(seen) == colours[stage].lower()


def test_complaints_and_closings_stand_out(tables):
    contacts = tables.more["touchpoints"]
    loud = contacts.loc[contacts["kind"] == "complaint", "customer_id"].unique()[:5].tolist()
    ax = plot_lives(contacts, customers=loud)
    marks = {
        line.get_marker(): len(line.get_xdata()) for line in ax.lines if line.get_marker() != "|"
    }
    theirs = contacts[contacts["customer_id"].isin(loud)]
    assert marks["X"] == (theirs["kind"] == "complaint").sum() > 0
    assert marks["s"] == (theirs["kind"] == "closing").sum()


def test_the_sentence_counts(tables):
    contacts = tables.more["touchpoints"]
    sentence = describe_lives(contacts, customers=range(60))
    counts = contacts.groupby("customer_id").size()
    assert f"Of 60 customers, {(counts <= 1).sum()} met" in sentence
    assert f"the busiest {counts.max()}" in sentence


def test_everything_wrong_is_said_at_once(tables):
    contacts = tables.more["touchpoints"].drop(columns="day")
    with pytest.raises(crm.SpecError) as error:
        plot_lives(contacts, customers=[], stages=pd.DataFrame({"customer_id": [1]}))
    for words in ("no column 'day'", "1 to 60", "no column 'stage'", "`space` is needed"):
        assert words in str(error.value)
    with pytest.raises(crm.SpecError, match="1 to 60"):
        describe_lives(tables.more["touchpoints"], customers=range(100))
