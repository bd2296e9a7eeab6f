"""The same question to Trino and to the local Athena, and the two answers in one form."""

import json
import math
import time
import urllib.error
import urllib.request
from datetime import datetime

import trino

ANSWER_SECONDS = 120


class Refusal(str):
    """Why a query failed, in the engine's words."""


class Trino:
    def __init__(self, port):
        self.connection = trino.dbapi.connect(host="127.0.0.1", port=port, user="test", catalog="hive", schema="wafer")

    def answer(self, sql):
        """A header and rows, or a refusal."""
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql)
            rows = cursor.fetchall()
        except trino.exceptions.TrinoQueryError as error:
            return Refusal(f"{error.error_name}: {error.message}")
        return [[column.name for column in cursor.description or []]] + [
            [as_athena_prints(cell) for cell in row] for row in rows
        ]

    def created(self, statement):
        if isinstance(answer := self.answer(statement), Refusal):
            raise RuntimeError(answer)


def as_athena_prints(cell):
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
            return f"[{', '.join(map(as_athena_prints, cell))}]"
        case _:
            return str(cell)


class LocalAthena:
    def __init__(self, address):
        self.url = f"http://{address}/"

    def answer(self, sql):
        started = self.call("StartQueryExecution", QueryString=sql, QueryExecutionContext={"Database": "wafer"})
        query = started["QueryExecutionId"]
        deadline = time.monotonic() + ANSWER_SECONDS
        while (status := self.call("GetQueryExecution", QueryExecutionId=query)["QueryExecution"]["Status"])[
            "State"
        ] != "SUCCEEDED":
            if status["State"] == "FAILED":
                return Refusal(status["StateChangeReason"])
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")
            time.sleep(0.02)
        rows, token = [], {}
        while token is not None:
            page = self.call("GetQueryResults", QueryExecutionId=query, **token)
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        return rows

    def call(self, operation, **arguments):
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonAthena.{operation}"}
        request = urllib.request.Request(self.url, json.dumps(arguments).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{operation}: {error.read().decode()}") from error
