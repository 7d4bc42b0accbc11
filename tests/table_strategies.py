"""Customer tables for property tests: few customers, few periods, every table, odd values."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from crmlab.tables import CustomerTables

WINDOW_START = pd.Timestamp("2024-01-01")  # a Monday, the first day of a month
N_DAYS = 91  # to the end of March: whole months, whole weeks
CHANNELS = {
    "events": ("visits", "spend"),
    "surveys": ("satisfaction",),
    "cases": ("complaints", "claims"),
    "labels": ("stage",),
    "actions": ("mail", "call"),
}
STAGES = ("dormant", "active", "leaving")
# characters that a CSV must quote or that a reader may take for something else
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)
ODD_TEXT = st.sampled_from(
    ["007", "NA", "nan", " ", "a,b", '"', "a\nb", "a\r\nb", "\r", "True", "1e3"]
)
MONEY = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-9, 9).map(float)


@st.composite
def customer_frames(draw):
    ids = (
        st.integers(-(2**40), 2**40) | st.integers(0, 9) if draw(st.booleans()) else TEXT | ODD_TEXT
    )
    listed = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    n = len(listed)
    columns = {
        "region": st.sampled_from(["north", "south", None]) | ODD_TEXT | TEXT,
        "age": st.floats(18, 99) | st.none(),
        "children": st.integers(0, 5),
        "member": st.booleans(),
        "since": st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2023-12-31").date()),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(columns)), unique=True))
    covariates = {
        name: draw(st.lists(columns[name], min_size=n, max_size=n)) for name in sorted(chosen)
    }
    frame = pd.DataFrame({"customer_id": listed, **covariates})
    return frame.assign(since=pd.to_datetime(frame["since"])) if "since" in frame else frame


@st.composite
def record_frames(draw, name, customers, time, windows):
    """Records of some customers, each inside the customer's window."""
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        customer = draw(st.integers(0, len(customers) - 1))
        first, last = windows[customer]
        rows.append(
            (customer, draw(st.integers(first, last)), draw(st.sampled_from(CHANNELS[name])))
        )
    frame = pd.DataFrame(rows, columns=["customer", "at", "key"])
    values = {
        "events": MONEY,
        "surveys": st.integers(1, 5).map(float) | st.just(np.nan),
        "actions": st.integers(0, 3).map(float),
        "labels": st.sampled_from([*STAGES, None]),
    }
    n = len(frame)
    drawn = draw(st.lists(values[name], min_size=n, max_size=n)) if name in values else None
    key = "action" if name == "actions" else "channel"
    result = pd.DataFrame(
        {
            "customer_id": customers["customer_id"].to_numpy()[
                frame["customer"].to_numpy(dtype=int)
            ],
            time: frame["at"].astype("int64")
            if time == "period"
            else WINDOW_START + pd.to_timedelta(frame["at"].astype("int64"), unit="D"),
            key: pd.Categorical(frame["key"], categories=list(CHANNELS[name])),
        }
    ).astype({"customer_id": customers["customer_id"].dtype})
    if name == "labels":
        result["stage"] = pd.Categorical(drawn, categories=list(STAGES))
        return result.drop_duplicates(["customer_id", time, "channel"]).reset_index(drop=True)
    return result if drawn is None else result.assign(value=np.array(drawn, dtype=float))


@st.composite
def customer_tables(draw, dated=None):
    """Tables of either kind; customers' windows may be shorter than the firm's."""
    dated = draw(st.booleans()) if dated is None else dated
    n_times = N_DAYS if dated else draw(st.integers(1, 8))
    customers = draw(customer_frames())
    windows = []
    for _ in range(len(customers)):
        first = draw(st.integers(0, n_times - 1))
        windows.append((first, draw(st.integers(first, n_times - 1))))
    if draw(st.booleans()):
        windows = [(0, n_times - 1)] * len(customers)
    else:
        ends = pd.DataFrame(windows, columns=["start", "end"], dtype="int64")
        ends = ends.map(lambda day: WINDOW_START + pd.Timedelta(days=day)) if dated else ends
        customers = customers.assign(start=ends["start"], end=ends["end"])
    last = WINDOW_START + pd.Timedelta(days=n_times - 1)
    time = "date" if dated else "period"
    names = draw(st.lists(st.sampled_from(sorted(CHANNELS)), unique=True))
    records = {name: draw(record_frames(name, customers, time, windows)) for name in names}
    return CustomerTables(
        customers,
        **records,
        window=(WINDOW_START, last) if dated else (0, n_times - 1),
        provenance={"made_by": "a property test", "seed": 1},
    )
