"""The counts of the Ibis expressions on PySpark: the same as on pandas, to the last one.

Spark runs on Java; where there is none, the tests are skipped and say so.
"""

import shutil

import pytest

from tests.same_counts import (
    check_cells,
    check_label_moves,
    check_recency_moves,
    check_summary,
    labels,
    orders,
)

# PySpark 4 warns at each conversion that it does not know pandas 3 yet, and of its own habits
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="PySpark needs Java, 17 or later"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    import ibis
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark")))
        .getOrCreate()
    )
    yield ibis.pyspark.connect(session)
    session.stop()


def test_summary(spark):
    check_summary(orders(seed=3), spark)


@pytest.mark.parametrize("freq", ["W", "M", "Q"])
def test_cells(spark, freq):
    check_cells(orders(seed=3), freq, spark)


@pytest.mark.parametrize("freq", ["W", "M", "Y"])
def test_recency_moves(spark, freq):
    check_recency_moves(orders(seed=3), freq, 4, spark)


def test_label_moves(spark):
    check_label_moves(labels(seed=4), spark)
