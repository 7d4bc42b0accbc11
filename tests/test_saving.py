"""Saved fits that were edited: a model, or one sentence; and nothing is imported for a file."""

import copy
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.inference.saving import FIT, from_spec, to_spec
from crmlab.models.base import StageModel
from crmlab.tables.folders import read_mark
from tests.cases.faults import refusal

SPACE = crm.StageSpace(("a", "b", "c"))
MODELS = (
    crm.ObservedMarkov(SPACE),
    crm.HiddenMarkov(
        SPACE,
        crm.transitions.CovariateLogit(("age",), customers=crm.transitions.CustomerEffects()),
        (crm.Poisson("orders"), crm.OrdinalSurvey("score", n_levels=5)),
        ordered_by="orders_rate",
    ),
    crm.HiddenMarkov(
        crm.KNAPP,
        crm.StickyDirichlet(3),
        (
            crm.StageLabel("report", accuracy=0.6),
            crm.ZeroInflatedSpend("spend", median=np.linspace(1, 2, len(crm.KNAPP))),
            crm.Bernoulli("reply", typical_prob=tuple(np.linspace(0.1, 0.9, len(crm.KNAPP)))),
        ),
        initial_probs=tuple(np.full(len(crm.KNAPP), 1 / len(crm.KNAPP))),
    ),
)
SPECS = [json.loads(json.dumps(to_spec(model))) for model in MODELS]
CLASSES = [
    "crmlab.stages:StageSpace",
    "crmlab.channels.counts:Poisson",
    "crmlab.channels.base:Channel",
    "crmlab.models.base:StageModel",
    "crmlab.cli.commands:Command",
    "crmlab.inference.result:Fit",
    "os:system",
    "antigravity:X",
    ":",
    "",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(CLASSES),
    lambda some: st.lists(some, max_size=3)
    | st.dictionaries(st.sampled_from(["class", "name", "space", "x"]), some, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(spec, before=()):
    """Every way into a nested object."""
    yield before
    keys = range(len(spec)) if isinstance(spec, list) else spec if isinstance(spec, dict) else ()
    for key in keys:
        yield from places(spec[key], (*before, key))


@st.composite
def edited(draw, specs=SPECS):
    """A spec in which one or two values are replaced, dropped, or added."""
    spec = copy.deepcopy(draw(st.sampled_from(specs)))
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from([place for place in places(spec) if place]))
        holder = spec
        for key in way:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(JSON)
        elif isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.text(max_size=3))] = draw(JSON)
        else:
            del holder[last]
    return spec


@pytest.mark.parametrize("k", range(len(MODELS)))
def test_a_spec_that_was_not_edited_gives_the_model(k):
    assert from_spec(SPECS[k]) == MODELS[k]


@settings(deadline=None, max_examples=400)
@given(spec=edited() | JSON)
def test_an_edited_spec_is_a_model_or_a_sentence(spec):
    before, made = {*sys.modules}, []
    said = refusal(lambda: made.append(from_spec(spec)))
    assert said.startswith("The saved model") if said else isinstance(made[0], StageModel)
    assert "antigravity" not in {*sys.modules} - before


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("crmlab.cli.commands:Command", "is not among the parts of a model"),
        ("crmlab.stages:Crosswalk.__init__", "is not among the parts of a model"),
        ("crmlab.stages:np", "is not among the parts of a model"),
        ("os:system", r"trust=\('os',\)"),
        ("x" * 10_000, r"x\.\.\., which is not there"),
        (None, "is not there"),
    ],
)
def test_a_class_of_others_is_not_taken(home, said):
    with pytest.raises(DataError, match=said) as refused:
        from_spec({**SPECS[0], "class": home})
    assert len(str(refused.value)) < 500


def test_a_part_is_not_a_model():
    with pytest.raises(DataError, match="is not a model of stages but StageSpace"):
        from_spec(SPECS[0]["space"])
    with pytest.raises(DataError, match="is not a model of stages but 'text'"):
        from_spec("text")


def test_trust_names_modules(tmp_path):
    with pytest.raises(SpecError, match="load_fit: `trust` must be"):
        crm.load_fit(tmp_path, trust="mypackage")
    with pytest.raises(SpecError, match="'no_such_package' cannot be imported"):
        from_spec(SPECS[0], ("no_such_package",))


def test_a_package_that_is_trusted_opens_no_other(tmp_path, monkeypatch):
    """A name that only begins alike is another package; a submodule is not imported by a file."""
    package = tmp_path / "shopmodels"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "shopmodels2.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for home in ("shopmodels.inner:X", "shopmodels2:X"):
        with pytest.raises(DataError, match="is not there"):
            from_spec({**SPECS[0], "class": home}, ("shopmodels",))
    sys.modules.pop("shopmodels")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"n": ' + "9" * 5000 + "}", "\x00", '"\\ud800"']
)
def test_a_file_that_is_no_object_is_no_mark(tmp_path, text):
    (tmp_path / FIT.mark).write_text(text)
    assert read_mark(tmp_path, FIT) == {}


@given(files=JSON)
def test_a_mark_lists_files_or_is_none(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("fit")
    (folder / FIT.mark).write_text(json.dumps({"format": FIT.format, "files": files}))
    is_list = isinstance(files, list) and all(isinstance(name, str) for name in files)
    assert bool(read_mark(folder, FIT)) == is_list


def test_a_deep_spec_is_refused():
    spec: object = "x"
    for _ in range(5000):
        spec = [spec]
    with pytest.raises(DataError, match="nested too deeply"):
        from_spec(spec)
