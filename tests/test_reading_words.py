"""Words, dates and time zones of many languages and systems."""

from datetime import date

import pandas as pd
import pytest
from babel.dates import format_date, get_month_names
from hypothesis import given, settings, strategies as st
from test_reading import adds_up, chose, found, put
from test_reading_large import assert_same

from crmlab.errors import DataError, SpecError
from crmlab.reading import ReadingOptions, read_sales
from crmlab.reading.columns import guess_columns
from crmlab.reading.dates import read_dates
from crmlab.reading.files import RawTable
from crmlab.reading.words import LANGUAGES, STATUSES, fold, month_words

TODAY = "2025-01-01"
TEN = ("en", "fr", "da", "de", "sv", "nb", "nl", "es", "it", "pt")
days = st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31))


def read_days(*texts, **options):
    read = read_dates(pd.Series(texts), name="date", **options)
    return read.days.dt.strftime("%Y-%m-%d").tolist()


# --- words ----------------------------------------------------------------------------------------


def test_no_month_is_named_as_another_month_of_another_language():
    named = {}
    for language in LANGUAGES:
        for month, name in get_month_names("wide", "stand-alone", language).items():
            named.setdefault(fold(name), set()).add(month)
    assert all(len(months) == 1 for months in named.values())
    assert all(month_words()[name] in months for name, months in named.items())


@settings(max_examples=60, deadline=None)
@given(days, st.sampled_from(TEN), st.sampled_from(["medium", "long", "full"]))
def test_a_date_is_read_as_its_language_writes_it(day, language, form):
    text = format_date(day, form, locale=language)
    order = "month-day" if language == "en" else "day-month"
    assert read_days(text, order=order) == [day.isoformat()], text


@pytest.mark.parametrize(
    "headers",
    [
        ("N° client", "Date de commande", "Montant TTC", "N° de commande", "Statut"),
        ("Kundenr", "Ordredato", "Beløb i kr.", "Ordrenr.", "Ordrestatus"),
        ("Kunden-Nr.", "Bestelldatum", "Gesamtbetrag", "Bestell-Nr.", "Bestellstatus"),
        ("Kundnummer", "Orderdatum", "Belopp", "Ordernr", "Orderstatus"),
        ("Kundenummer", "Kjøpsdato", "Ordresum", "Bestillingsnr", "Status"),
        ("Klantnr", "Besteldatum", "Totaalbedrag", "Bestelnummer", "Bestelstatus"),
        ("ID Cliente", "Fecha del pedido", "Importe total", "Nº de pedido", "Estado"),
        ("Codice cliente", "Data ordine", "Importo totale", "Numero ordine", "Stato ordine"),
        ("Código do cliente", "Data do pedido", "Valor total", "Número do pedido", "Situação"),
        ("客户编号", "订单日期", "实付金额", "订单号", "订单状态"),
    ],
)
def test_headers_of_a_shop_are_known(headers):
    raw = RawTable(
        pd.DataFrame([["a", "2024-01-05", "1.50", "1001", "paid"]], columns=list(headers)), "x", ()
    )
    columns = guess_columns(raw, {})[0]
    places = (columns.customer, columns.date, columns.amount, columns.order, columns.status)
    assert places == (0, 1, 2, 3, 4)


def test_a_status_has_one_meaning():
    words = [word for meaning in STATUSES.values() for word in meaning]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", ["Annulée", "annulleret", "Storniert", "Avbruten", "Devolvido"])
def test_a_cancelled_order_is_known_in_its_language(word):
    frame = pd.DataFrame({"customer": ["a", "b"], "date": ["2024-01-05"] * 2,
                          "amount": ["1.50"] * 2, "status": ["paid", word]})  # fmt: skip
    assert read_sales(frame, ReadingOptions(today=TODAY)).orders["customer_id"].tolist() == ["a"]


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["5 mars 2024", "5. marts 2024", "5 de marzo de 2024", "den 5. mars 2024 kl. 10.30",
     "mardi 5 mars 2024 à 10h30", "Di., 05.03.2024", "Tue, 5 Mar 2024 10:00:00 +0100",
     "Tue Mar 05 2024 10:00:00 GMT+0100 (Central European Standard Time)", "2024年3月5日 上午10:00",
     "2024年3月5日下午3:05", "2024년 3월 5일 오후 3:10", "２０２４年３月５日",
     "2024. 3. 5.", "2024-Mar-05",
     "2024-03-05 10:00:00+05:30", "2024-03-05T10:00:00.123Z", "2024-03-05 10:00:00 -08",
     "2024-03-05T10:00:00+01:00[Europe/Paris]", "Mar 5, 2024 12:03:13 AM PST",
     "05.03.2024 8:26:00 a. m.", "5th March 2024", "1709632800", "1709632800123",
     "1709632800.5", "1709632800123456", "5MAR2024", "1709632800123456789", "20240305101500",
     "20240305T101500Z", "Tue Mar  5 10:00:00 2024", "Tue Mar 5 10:00:00 UTC 2024",
     "05-MAR-24 02.30.15.000000 PM", "5 marzo 2024 alle ore 14:30", "d. 5. marts 2024",
     "dinsdag 5 maart 2024 om 14:30", "5 de março de 2024 às 14:30", "5 марта 2024 г.",
     "5 marca 2024 r.", "March 5th 2024 at 3pm", "5.3.2024 14 Uhr", "05.03.2024 14h", "'2024-03-05",
     "45356,5"],
)  # fmt: skip
def test_forms_of_one_day(text):
    assert read_days(text) == ["2024-03-05"]


def test_the_first_of_a_month_is_read_in_french_and_portuguese():
    assert read_days("1er août 2024", "1º de agosto de 2024") == ["2024-08-01"] * 2


def test_numbers_of_ten_digits_are_no_dates_unless_a_header_says_so():
    frame = pd.DataFrame({"who": ["1709632800", "1709632801"], "amount": ["1.5", "2.5"]})
    with pytest.raises(DataError, match="no column looks like the date"):
        read_sales(frame, ReadingOptions(customer="amount", today=TODAY))


@pytest.mark.parametrize(
    ("texts", "cause"),
    [
        (["2023-02-29", "2024-01-05"], "no day of the calendar (1 row)"),
        (["3 prairial 2024", "4 prairial 2024"], "'prairial', which is no month known here (2"),
        (["", "2024-01-05"], "an empty cell (1 row)"),
        (["2024-01-05 10:10 foo"], "a time of day in an unknown form, such as '2024-01-05 10:10"),
        (["soon"], "no form of a date that is known here (1 row)"),
        (["1709632800", "1709632801", "x"], "no number of 10 digits (1 row)"),
    ],
)
def test_what_cannot_be_read_says_why(texts, cause, tmp_path):
    assert cause in read_dates(pd.Series(texts), name="date").unread
    rows = "".join(f"a,{text},1.50\n" for text in texts)
    with pytest.raises(DataError, match="no readable date: ") as refused:
        read_sales(put(tmp_path, f"customer,date,amount\n{rows}"), ReadingOptions(today=TODAY))
    assert cause in str(refused.value)


def test_the_finding_about_a_date_says_why(tmp_path):
    rows = "".join(f"a,{1 + k % 28} mai 2023,1.50\n" for k in range(40))
    sales = read_sales(
        put(tmp_path, f"customer,date,amount\n{rows}a,31 juin 2023,1.50\n"),
        ReadingOptions(today=TODAY),
    )
    done = {f.what: f.done for f in sales.quality.findings}
    assert done["no readable date"] == "set aside: no day of the calendar (1 row)"


# --- time zones -----------------------------------------------------------------------------------

INSTANT = ("2024-01-01T23:30:00-05:00", "2024-01-02T04:30:00Z", "2024-01-02T05:30:00+01:00")


def test_one_instant_is_one_day_whatever_its_offset():
    for common in INSTANT:
        assert len(set(read_days(*INSTANT, common))) == 1


def test_summer_and_winter_time_of_one_place_keep_the_written_day():
    texts = ("2024-07-01 00:30:00 +0200", "2024-01-01 00:30:00 +0100")
    assert read_days(*texts) == ["2024-07-01", "2024-01-01"]
    third = "2024-07-02 00:30:00 +0100"  # in summer too: a second place
    assert read_days(*texts, third) == ["2024-06-30", "2024-01-01", "2024-07-02"]


def test_the_user_may_name_the_zone():
    assert read_days("2024-01-01T23:30:00Z", timezone="Europe/Paris") == ["2024-01-02"]
    assert read_days("2024-07-01T22:30:00Z", timezone="Europe/Paris") == ["2024-07-02"]
    assert read_days("1709681400", timezone="Asia/Tokyo") == ["2024-03-06"]
    stored = pd.Series(pd.to_datetime(["2024-01-01T23:30:00Z"]))
    assert read_dates(stored, name="d", timezone="Asia/Tokyo").days[0] == pd.Timestamp("2024-01-02")
    with pytest.raises(SpecError, match="`timezone` must be a name such as Europe/Paris"):
        ReadingOptions(timezone="Middle-earth")


def test_a_mixture_of_zones_is_told(tmp_path):
    rows = "".join(f"a,{text},1.50\n" for text in (*INSTANT, INSTANT[1]))
    path = put(tmp_path, f"customer,date,amount\n{rows}")
    sales = read_sales(path, ReadingOptions(today=TODAY))
    assert chose(sales)["time zone"] == "UTC"
    assert found(sales)["dates written in another time zone"] == 1
    assert adds_up(sales.quality)
    assert_same(path)
    assert_same(path, {"timezone": "America/New_York"})


@settings(max_examples=40, deadline=None)
@given(
    st.datetimes(min_value=pd.Timestamp("1990-01-01"), max_value=pd.Timestamp("2060-01-01")),
    st.integers(-12 * 4, 14 * 4),
)
def test_any_offset_gives_the_day_of_utc(when, quarters):
    offset = pd.Timedelta(minutes=15 * quarters)
    sign, size = ("+", offset) if quarters >= 0 else ("-", -offset)
    clock = f"{size.components.hours:02d}:{size.components.minutes:02d}"
    text = f"{when + offset:%Y-%m-%d %H:%M:%S}{sign}{clock}"
    assert read_days(text, timezone="UTC") == [f"{when:%Y-%m-%d}"]


FORMS = ["1er mai 2023", "15. maj 2023", "2023-05-01 12:01:33+00", "2023-05-01T23:59:59.5-05:30",
         "2023年5月1日 上午8:05", "Mon, 1 May 2023 23:30:00 +0100", "02/05/2023 8:26:00 p. m.",
         "31/05/2023", "2023-05-02 07:00:00", "31 juin 2023", "2023-05-01 25:00 EST"]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"timezone": "Asia/Kolkata"}])
def test_both_engines_read_dates_alike(options, tmp_path):
    rows = "".join(f'{"ab"[k % 2]},"{FORMS[k % len(FORMS)]}",{k}.50\n' for k in range(9))
    plain = "".join(f"a,2023-04-{1 + k % 28:02d},{k}.50\n" for k in range(60))
    bad = "".join(f'a,"{text}",1.50\n' for text in FORMS[9:])
    assert_same(put(tmp_path, f"customer,date,amount\n{plain}{rows}{bad}"), options)


@pytest.mark.parametrize("unit", [1, 1000])
def test_both_engines_read_counted_time_alike(unit, tmp_path):
    rows = "".join(
        f"{'ab'[k % 2]},{(1_704_447_000 + 50_000 * k) * unit},{k}.50\n" for k in range(9)
    )
    path = put(tmp_path, f"customer,created_at,amount\n{rows}")
    assert_same(path)
    frame = pd.read_csv(path)
    frame.to_parquet(tmp_path / "orders.parquet")
    assert_same(tmp_path / "orders.parquet", {"timezone": "Asia/Tokyo"}, with_examples=False)


# --- lines above the header -----------------------------------------------------------------------

TABLE = "customer;date;amount\na;2024-01-31;3,50\nb;2024-02-28;4,25\n"
ABOVE = st.text(st.characters(codec="utf-8", exclude_characters=";\r\n\x00\ufeff\"",
                              exclude_categories=["C", "Zl", "Zp"]), max_size=30)  # fmt: skip


def told_above(sales):
    return [f for f in sales.quality.findings if f.what == "lines above the header"]


@settings(max_examples=40, deadline=None)
@given(st.lists(ABOVE, max_size=3))
def test_titles_above_a_table_change_nothing_but_are_told(tmp_path_factory, above):
    text = "".join(f"{line}\n" for line in above) + TABLE
    sales = read_sales(put(tmp_path_factory.mktemp("x"), text), ReadingOptions(today=TODAY))
    assert sales.orders["amount"].tolist() == [3.5, 4.25]
    filled = [line for line in above if line.strip()]
    assert sum(f.rows for f in told_above(sales)) == len(filled)
    assert sales.quality.rows_read == 2


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_line_that_names_the_delimiter_is_obeyed_and_told(first, tmp_path):
    path = put(tmp_path, f"{first}\r\n" + TABLE.replace("\n", "\r\n"))
    sales = read_sales(path, ReadingOptions(today=TODAY))
    assert told_above(sales)[0].rows == 1
    assert "the first line says so" in str(sales.quality.decisions)
    assert_same(path)


@pytest.mark.parametrize(
    "text",
    [
        'customer;"Order\ndate";amount\na;2024-01-31;3,50\n',  # a header of two lines
        ";customer;date;amount\n0;a;2024-01-31;3,50\n1;b;2024-02-28;4,25\n",  # without a name
        "\n\n" + TABLE,
        "customer;note;date;amount\n"
        + 'a;"two\nlines";2024-01-31;3,50\nb;"of\na note";2024-02-28;4,25\n' * 9,
    ],
)
def test_a_header_is_not_taken_for_a_title(text, tmp_path):
    path = put(tmp_path, text)
    sales = read_sales(path, ReadingOptions(today=TODAY))
    assert not told_above(sales)
    assert sales.orders["amount"][0] == 3.5
    assert_same(path)


def test_a_remark_as_wide_as_the_table_is_no_header(tmp_path):
    path = put(tmp_path, f"Report: orders;from 2024-01-01;to 2024-12-31\n\n{TABLE}")
    sales = read_sales(path, ReadingOptions(today=TODAY))
    assert told_above(sales)[0].rows == 1
    assert sales.orders["amount"].tolist() == [3.5, 4.25]
    assert_same(path)


def test_rows_wider_than_their_header_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not one table"):
        read_sales(
            put(tmp_path, "customer;date\na;2024-01-31;3,50\nb;2024-02-28;4,25\n"),
            ReadingOptions(today=TODAY),
        )
