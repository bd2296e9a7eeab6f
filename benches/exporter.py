"""A small exporter of the usual kind: it runs one query over 24 h and caches the result for a minute.

python -m benches.exporter ATHENA_URL QUERY
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3

CACHED_SECONDS = 60
PAUSE = 0.05


class Figures:
    def __init__(self, url: str, query: str) -> None:
        own = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
        self._athena: Any = boto3.client("athena", endpoint_url=url, **own)
        self._query = query
        self._text, self._queried_at = "", float("-inf")

    def text(self) -> str:
        if time.monotonic() - self._queried_at > CACHED_SECONDS:
            self._text, self._queried_at = self._queried(), time.monotonic()
        return self._text

    def forget(self) -> None:
        self._queried_at = float("-inf")

    def _queried(self) -> str:
        context = {"Database": "wafer"}
        started = self._athena.start_query_execution(QueryString=self._query, QueryExecutionContext=context)
        identity = started["QueryExecutionId"]
        while (state := self._state(identity)) in ("QUEUED", "RUNNING"):
            time.sleep(PAUSE)
        assert state == "SUCCEEDED", state
        head, *rows = self._athena.get_query_results(QueryExecutionId=identity)["ResultSet"]["Rows"]
        names = [cell["VarCharValue"] for cell in head["Data"]]
        lines = []
        for row in rows:
            values = dict(zip(names, (cell.get("VarCharValue", "") for cell in row["Data"]), strict=True))
            status_class = values.pop("status_class")
            lines += [f'llm_{name}{{status_class="{status_class}"}} {value}' for name, value in values.items()]
        return "\n".join(lines) + "\n"

    def _state(self, identity: str) -> str:
        execution = self._athena.get_query_execution(QueryExecutionId=identity)["QueryExecution"]
        return str(execution["Status"]["State"])


class Handler(BaseHTTPRequestHandler):
    figures: Figures

    def do_GET(self) -> None:
        self._answer(self.figures.text())

    def do_DELETE(self) -> None:
        """For the bench alone: as after a minute."""
        self.figures.forget()
        self._answer("")

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def main() -> None:
    Handler.figures = Figures(*sys.argv[1:])
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
