"""Options and manifests: the same rules for both, and no value that ends in a traceback."""

import copy
import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from crmlab.analyst import manifest
from crmlab.analyst.study import SETTINGS_RULES, Settings
from crmlab.cli import analyst, options
from crmlab.errors import DataError, SpecError
from crmlab.reading import ReadingOptions
from crmlab.reading.options import READING_RULES
from tests.cases.faults import given as case, refusal

# --- one table of rules ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "rules", "group"),
    [
        (ReadingOptions(), READING_RULES, options.FileOptions),
        (Settings(), SETTINGS_RULES, options.StudyOptions),
    ],
)
def test_every_option_has_a_rule_which_its_default_keeps(made, rules, group):
    assert set(rules) == {field.name for field in dataclasses.fields(made)}
    assert all(rules[name].holds(value) for name, value in vars(made).items())
    shown = {field.name: field.default for field in dataclasses.fields(group)}
    assert set(shown) <= set(rules)
    assert set(shown.values()) == {None}  # what is left out can be taken from a report


@pytest.mark.parametrize("rule", [*SETTINGS_RULES.values(), READING_RULES["since"]])
@pytest.mark.parametrize("value", [-1, 1e9, 10**40, float("nan"), float("inf"), True, "7", [], {}])
def test_nonsense_keeps_no_rule(rule, value):
    assert not rule.holds(value)


def test_a_specification_names_all_of_its_problems():
    with pytest.raises(SpecError, match="3 problems") as refused:
        Settings(margin=1e9, sample=-5, seed=True)
    for said in ("`margin` must be a number from 0 to 1, got 1000000000.0", "got -5", "got True"):
        assert said in str(refused.value)


@pytest.mark.parametrize("day", ["today", "now", "2024-02-30", "2024-01-01T00:00+01:00", ""])
def test_a_day_is_the_same_whenever_it_is_read(day):
    with pytest.raises(SpecError, match="`until` must be a date such as"):
        ReadingOptions(until=day)


# --- manifests ------------------------------------------------------------------------------------

GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A manifest whose inputs are there, and a file of surveys with a column named by the user."""
    folder = tmp_path_factory.mktemp("manifests")
    said = json.loads(case("22_manifests/base.json").read_text(encoding="utf-8"))
    (folder / "o.csv").write_text("customer,date\na,2024-01-05\n")
    one = {"path": "o.csv", "sha256": manifest.checksum(folder / "o.csv")}
    said |= {"inputs": {"source": one, "surveys": one}, "columns": {"surveys": {"score": "NPS"}},
             "levels": {"surveys": [7, 9.5]}}  # fmt: skip
    said["reading"] |= {"since": "2023-01-01", "delimiter": ",", "large": False}
    return folder, said


def ask(folder, said):
    (folder / "manifest.json").write_text(json.dumps(said), encoding="utf-8")
    return manifest.request_again(folder, lambda line: print(line.encode()))


def places(value, way=()):
    """All places in nested objects and lists."""
    yield way
    inside = enumerate(value) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, dict) else inside:
        yield from places(one, (*way, key))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_edited_manifest_is_obeyed_or_refused_in_words(home, data):
    folder, said = home[0], copy.deepcopy(home[1])
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(list(places(said))[1:] or [("new",)]))
        inside = said
        for key in way[:-1]:
            inside = inside[key]
        if said and data.draw(st.booleans()):
            del inside[way[-1]]
        else:
            inside[way[-1]] = data.draw(GARBAGE)
        if isinstance(inside, dict) and data.draw(st.booleans()):
            inside[data.draw(st.text(max_size=5))] = data.draw(GARBAGE)
    refused = refusal(lambda: ask(folder, said))  # any other error ends the test
    assert refused == "" or refused.startswith("manifest.json: ")
    assert len(refused) < 10_000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "9" * 9_000 + "}", "\x00", "3"])
def test_a_file_that_is_no_object_is_no_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: is not of the format"):
        manifest.read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "", 3, "a" * 300, "a/" * 3000])
def test_a_name_that_no_file_can_have_is_refused(home, name):
    said = copy.deepcopy(home[1])
    said["inputs"]["source"] = {"path": name, "sha256": "0"}
    with pytest.raises(DataError, match=r"`inputs\.source` must be an object with two texts"):
        ask(home[0], said)


@pytest.mark.parametrize("versions", [{"numpy": 3}, {"\ud800": "1"}, {"a": "\x1b[31m"}])
def test_versions_that_a_terminal_would_obey_are_refused(home, versions):
    with pytest.raises(DataError, match="`versions` must be an object of printable texts"):
        ask(home[0], home[1] | {"versions": versions})


def test_all_problems_of_a_manifest_are_said_at_once(home):
    said = copy.deepcopy(home[1])
    said["settings"] |= {"margin": 1e9, "sample": -5}
    said["reading"]["decimal"] = ";"
    said["columns"]["surveys"] = {"colour": "x"}
    del said["plan"]
    with pytest.raises(DataError, match="5 problems") as refused:
        ask(home[0], said)
    for words in ("`settings.margin` must be a number from 0 to 1, got 1000000000.0",
                  "`settings.sample` must be a whole number from 100 to 1,000,000, got -5",
                  "`reading.decimal` must be '.' or ',', got ';'", "`columns.surveys` must be",
                  "`plan` is missing"):  # fmt: skip
        assert words in str(refused.value)


def test_a_manifest_brings_every_option_back(home):
    """Also options that an older manifest does not know."""
    said = copy.deepcopy(home[1])
    request = ask(home[0], said)
    unknown = dict.fromkeys(set(vars(request.reading)) - set(said["reading"]))
    assert manifest._as_plain(request.reading) == {**said["reading"], **unknown}
    assert request.events[0].columns == {"score": "NPS"}
    del said["reading"]["encoding"], said["levels"], said["columns"]
    assert ask(home[0], said).reading == request.reading
    others = manifest.read_manifest(home[0]).reading_of_others()
    assert others == dataclasses.replace(request.reading, today=None, large=None)


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Orders that are read and then refused, because they carry no model: no test waits."""
    folder = tmp_path_factory.mktemp("small")
    rows = [f"c{k % 3},2024-0{1 + k % 9}-03,{k}.50" for k in range(12)]
    (folder / "o.csv").write_text("\n".join(["customer,date,amount", *rows]) + "\n")
    return folder


NONSENSE = [
    ("--margin", ["nan", "inf", "-0.1", "1e9", "half", ""]),
    ("--discount", ["nan", "-inf", "-1", "1e300"]),
    ("--sample", ["-5", "99", "1.5", "9" * 30, "9" * 5_000]),
    ("--seed", ["-1", "1e3", "9" * 30, " "]),
    ("--decimal", [";", "", "..", "comma"]),
    ("--date-order", ["year", ""]),
    ("--encoding", ["utf-99", "", "hex", "\udcff"]),
    ("--delimiter", ["", ";;", "a", '"', "\n"]),
    ("--since", ["soon", "today", "2024-02-30", "", "nan"]),
    ("--until", ["-1", "inf", "99999-01-01"]),
    ("--customer", [""]),
    ("--table", [""]),
    ("--column", ["", "score", "surveys.=x", "letters.date=x", "surveys.score="]),
]


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in NONSENSE for value in values]
)
def test_nonsense_is_refused_in_a_sentence(small, capsys, option, value):
    code = analyst.main(["report", str(small / "o.csv"), "--out", str(small / "r"), option, value])
    said = capsys.readouterr().err
    assert code == analyst.Code.DATA
    assert said.startswith("crmlab: ")
    assert option in said
    assert len(said) < 400
    assert not (small / "r").exists()


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
VALUES = TEXTS | st.sampled_from(["-1", "nan", "inf", "1e400", "#0", "#1", "#9999999999", "0",
                                  "\udcff", "..", "/", "2024-01-01"])  # fmt: skip
OPTIONS = [f"--{name.replace('_', '-')}" for group in (options.FileOptions, options.StudyOptions,
           options.EventOptions) for name in vars(group())]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    command=st.sampled_from(["report", "fit"]),
    chosen=st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES), min_size=1, max_size=3),
)
def test_no_value_of_an_option_ends_in_a_traceback(small, capsys, command, chosen):
    words = [f"{option}={value}" for option, value in chosen]
    code = analyst.main([command, str(small / "o.csv"), "--out", str(small / "r"), *words])
    assert code in (analyst.Code.USAGE, analyst.Code.DATA)
    assert capsys.readouterr().err


@pytest.mark.parametrize("option", ["--pseudonymise", "--same-person", "--touchpoints"])
def test_a_folder_in_the_place_of_a_file_is_refused(small, capsys, option):
    words = ["report", str(small / "o.csv"), "--out", str(small / "r"), option, str(small)]
    assert analyst.main(words) == analyst.Code.DATA
    assert small.name in capsys.readouterr().err
