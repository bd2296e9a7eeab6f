"""The same question to Trino and to the local Athena, and the two answers in one form."""

import json
import math
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

import trino

ANSWER_SECONDS = 600


class Refusal(str):
    """Why a query failed, in the engine's words."""


# A header and rows, or why there are none.
Cell = str | None
Answer = list[list[Cell]] | Refusal


class Trino:
    def __init__(self, port: int) -> None:
        self.connection = trino.dbapi.connect(host="127.0.0.1", port=port, user="test", catalog="hive", schema="wafer")

    def answer(self, sql: str) -> Answer:
        """While Trino has no node it is asked again. Its only node is the server itself, which counts some seconds
        after a start, and not for a while after the machine has paused."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self.answer_once(sql)
            except trino.exceptions.TrinoQueryError as error:
                if error.error_name != "NO_NODES_AVAILABLE":
                    return Refusal(f"{error.error_name}: {error.message}")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Trino had no node for {ANSWER_SECONDS} s") from error
            time.sleep(0.5)

    def answer_once(self, sql: str) -> Answer:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall()
        header: list[Cell] = [column.name for column in cursor.description or []]
        return [header, *([as_athena_prints(cell) for cell in row] for row in rows)]

    def created(self, statement: str) -> None:
        if isinstance(answer := self.answer(statement), Refusal):
            raise RuntimeError(answer)


def as_athena_prints(cell: Any) -> Cell:
    match cell:
        case None:
            return None
        case bool():
            return str(cell).lower()
        case datetime():
            return cell.isoformat(" ", "milliseconds")
        case float():
            return "NaN" if math.isnan(cell) else str(cell)
        case list():
            return f"[{', '.join(str(as_athena_prints(each)) for each in cell)}]"
        case _:
            return str(cell)


class LocalAthena:
    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/"

    def answer(self, sql: str) -> Answer:
        started = self.call("StartQueryExecution", QueryString=sql, QueryExecutionContext={"Database": "wafer"})
        query = started["QueryExecutionId"]
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            status = self.call("GetQueryExecution", QueryExecutionId=query)["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                return self.results(query)
            if status["State"] == "FAILED":
                return Refusal(str(status["StateChangeReason"]))
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")
            time.sleep(0.02)

    def results(self, query: str) -> list[list[Cell]]:
        rows: list[list[Cell]] = []
        token: dict[str, str] | None = {}
        while token is not None:
            page = self.call("GetQueryResults", QueryExecutionId=query, **token)
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        return rows

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonAthena.{operation}"}
        request = urllib.request.Request(self.url, json.dumps(arguments).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as reply:
                return dict(json.load(reply))
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{operation}: {error.read().decode()}") from error
