"""The refresh's query, docs/query.sql, as Athena would read it."""

import sqlglot
from sqlglot import exp

from loopback import ROOT

# Functions that sqlglot has no class for; each is in Trino's documentation.
DOCUMENTED = {"GROUPING", "TRANSLATE"}


def test_query_is_athenas_sql_and_scans_the_logs_once() -> None:
    text = (ROOT / "docs" / "query.sql").read_text()
    query = sqlglot.parse_one(text, dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)
    unknown = {call.name.upper() for call in query.find_all(exp.Anonymous)} - DOCUMENTED
    assert not unknown, f"functions that Athena may not have: {unknown}"
    scans = [table.name for table in query.find_all(exp.Table) if table.name == "request_logs"]
    assert len(scans) == 1, f"the logs are scanned {len(scans)} times"
    read_again = sqlglot.parse_one(query.sql(dialect="athena"), dialect="athena")
    assert read_again == query, "the query changes when Athena's dialect writes it"
