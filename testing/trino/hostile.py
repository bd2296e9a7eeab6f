"""Request logs as nobody should write them, in the minutes and folders that docs/query.sql reads."""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from deploy.request_logs import SCHEMA, Row

HOURS = ["2026-11-24-19", "2026-11-24-20"]
FROM = datetime(2026, 11, 24, 20, 3)
TO = datetime(2026, 11, 24, 20, 14)
HOST = "chat.example.com"
SECOND = timedelta(seconds=1)
# Other writers stamp microseconds.
MICROSECONDS = SCHEMA.set(SCHEMA.get_field_index("ended_at"), pyarrow.field("ended_at", pyarrow.timestamp("us")))


def row(name: str | None, **changes: Any) -> Row:
    """A request that every figure takes."""
    return {
        "request_id": name,
        "endpoint": HOST,
        "model": "model-a",
        "status_code": 200,
        "is_streaming": True,
        "ended_at": FROM,
        "ttft_ms": 250.0,
        "total_latency_ms": 4000.0,
        "input_tokens": 1000,
        "output_tokens": 200,
        "cache_read_tokens": 300,
        "error_code": None,
    } | changes


NUMBERS = [None, float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 0.0, 5e-324, 1e-310]
NUMBERS += [0.000999, 0.001, 0.0015, 1e9, 1e9 + 1, 1.7e308]
TOKENS = [None, -1, 0, 1, 10**12, 10**12 + 1, 2**63 - 1, -(2**63)]
STATUSES = [None, 0, 99, 100, 199, 200, 299, 302, 400, 429, 499, 500, 599, 600, -200, 2**31 - 1]


ODD: dict[str, Sequence[Any]] = {
    "status_code": STATUSES,
    "is_streaming": [None, False],
    **dict.fromkeys(("ttft_ms", "total_latency_ms"), NUMBERS),
    **dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens"), TOKENS),
}


def odd_values() -> Iterator[Row]:
    """One column after the other at each value that may upset it, then anything with anything."""
    for column, values in ODD.items():
        for index, value in enumerate(values):
            yield row(f"{column} {index}", **{column: value})
    chance = random.Random(476)

    def number() -> float | None:
        return chance.choice(NUMBERS) if chance.random() < 0.2 else 10 ** chance.uniform(-3, 9)

    def tokens() -> int | None:
        return chance.choice(TOKENS) if chance.random() < 0.2 else chance.randrange(100_000)

    for each in range(3000):
        yield row(
            chance.choice([None, "", f"any {each // 2}", f"any {each}"]),
            endpoint=chance.choice([HOST, HOST.upper(), "code.example.com", "a", "0.1.2.3", "not a host"]),
            status_code=chance.choice([200, 200, 200, chance.choice(STATUSES)]),
            is_streaming=chance.choice([True, True, False, None]),
            ended_at=FROM + timedelta(milliseconds=chance.randrange(-60_000, 720_000)),
            ttft_ms=number(),
            total_latency_ms=number(),
            input_tokens=tokens(),
            output_tokens=tokens(),
            cache_read_tokens=tokens(),
        )


def edges() -> Iterator[Row]:
    """On both sides of a minute and of the range, in microseconds: half a millisecond is rounded up."""
    for minute in (FROM, FROM + timedelta(minutes=4), TO):
        for microseconds in (-1_000, -501, -500, -499, -1, 0, 1, 499, 500, 999):
            at = minute + timedelta(microseconds=microseconds)
            yield row(f"edge {at.isoformat()}", endpoint="edge.example.com", ended_at=at)
    yield row("far ahead", ended_at=datetime(9999, 12, 30))
    yield row("before 1970", ended_at=datetime(1969, 12, 31, 23, 59, 59, 999_600))
    yield row("no time", ended_at=None)
    yield row(None, ended_at=None)


def names() -> Iterator[Row]:
    longest = ".".join(["l" * 63] * 3 + ["l" * 61])
    good: list[str | None] = ["UPPER.Example.COM", "localhost", "10.0.0.1", "xn--bcher-kva.example", "a" * 63, longest]
    bad: list[str | None] = [
        "",
        " ",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a.-b",
        "a_b",
        "a" * 64,
        f"l{longest}",
        "a" * 3000,
        None,
    ]
    bad += [f"{HOST}:443", f"https://{HOST}", f" {HOST}", f"{HOST}\n", f"{HOST}\x00", "a\tb", "a,b"]
    bad += ["\u00e4.example", "\u0130.example", "\u212a.example", "\U0001f980.example"]
    for number, name in enumerate(good + bad):
        yield row(f"name {number}", endpoint=name, ended_at=FROM + SECOND)


def copies(folder: str) -> Iterator[Row]:
    """Rows delivered again, in the same file and in another folder, and copies that differ in one column."""
    yield row("copied", ended_at=FROM + 2 * SECOND)
    yield row("copied", ended_at=FROM + 2 * SECOND)
    yield row("copied", ended_at=FROM + 3 * SECOND)
    yield row("copied", endpoint="code.example.com", ended_at=FROM + 2 * SECOND)
    for unnamed in (None, None, "", ""):
        yield row(unnamed, ended_at=FROM + 2 * SECOND)
    differing: list[tuple[str, Any, Any]] = [
        ("status_code", 200, 503),
        ("is_streaming", True, False),
        ("ttft_ms", 10.0, float("nan")),
        ("total_latency_ms", 900.0, 800.0),
        ("input_tokens", 5000, None),
        ("output_tokens", 7, 70),
        ("cache_read_tokens", 0, 1),
        ("error_code", "timeout", None),
    ]
    for column, one, other in differing:
        value = one if folder == HOURS[0] else other
        yield row(f"differs in {column}", ended_at=FROM + 4 * SECOND, **{column: value})


def no_utf8(column: str, values: Sequence[bytes]) -> Any:
    """A table whose `column` holds bytes that are not text."""
    rows = [row(f"bytes {number}", ended_at=FROM + 5 * SECOND) for number in range(len(values))]
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    texts = pyarrow.array(values, pyarrow.binary()).view(pyarrow.string())
    return table.set_column(table.column_names.index(column), column, texts)


def by_other_writers(name: str) -> tuple[Any, dict[str, Any]]:
    """A file's table and how it is written, each as some writer does it."""
    rows = [row(f"{name} {each}", endpoint=f"{name}.example.com", ended_at=FROM + each * SECOND) for each in range(50)]
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)

    def cast(**kinds: Any) -> Any:
        fields = [(field.name, kinds.get(field.name, field.type)) for field in SCHEMA]
        return pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(fields))

    stamp = pyarrow.timestamp
    match name:
        case "nanoseconds":
            return cast(ended_at=stamp("ns", "UTC")), {"version": "2.6"}
        case "int96":
            return cast(ended_at=stamp("ns")), {"use_deprecated_int96_timestamps": True}
        case "wide":
            text = pyarrow.large_string()
            return cast(status_code=pyarrow.int64(), request_id=text, endpoint=text), {"data_page_version": "2.0"}
        case "narrow":
            narrow = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens"), pyarrow.int32())
            narrow |= {
                "status_code": pyarrow.int16(),
                "ttft_ms": pyarrow.float32(),
                "total_latency_ms": pyarrow.int32(),
            }
            return cast(**narrow), {}
        case "unsigned":
            unsigned = {"input_tokens": pyarrow.uint32(), "output_tokens": pyarrow.uint64()}
            return cast(status_code=pyarrow.uint16(), **unsigned), {}
        case "decimal":
            return cast(status_code=pyarrow.decimal128(5, 0), input_tokens=pyarrow.decimal128(18, 0)), {}
        case "bytes":
            return cast(endpoint=pyarrow.binary(), request_id=pyarrow.binary()), {"compression": "gzip"}
        case "capitals":
            return table.rename_columns([column.title() for column in table.column_names]), {"compression": "zstd"}
        case "turned":
            return table.select(table.column_names[::-1]), {"compression": "none"}
        case "older":
            return table.drop_columns(["cache_read_tokens", "is_streaming", "model", "error_code"]), {}
        case "newer":
            newer = table.append_column("region", pyarrow.array(["eu"] * table.num_rows))
            return newer.append_column("tags", pyarrow.array([["a"]] * table.num_rows)), {}
        case "delta":
            encodings = {"request_id": "DELTA_BYTE_ARRAY", "model": "DELTA_LENGTH_BYTE_ARRAY"}
            encodings |= {"ttft_ms": "BYTE_STREAM_SPLIT"}
            return table, {"use_dictionary": False, "column_encoding": encodings}
        case "no-rows":
            return table.slice(0, 0), {}
    raise ValueError(name)


WRITERS = ["nanoseconds", "int96", "wide", "narrow", "unsigned", "decimal", "bytes", "capitals", "turned"]
WRITERS += ["older", "newer", "delta", "no-rows"]


def write(folder: Path) -> None:
    """Writes them all under `folder`."""
    early, late = (folder / f"hour={hour}" for hour in HOURS)
    for each in (early, late / "below" / "deeper"):
        each.mkdir(parents=True)

    def rows(path: Path, each: Iterable[Row], schema: Any = MICROSECONDS, **options: Any) -> None:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(each), schema=schema), path, **options)

    # Small row groups: readers leave them out by what the file says of them, which knows of no NaN.
    rows(late / "odd-values.parquet", odd_values(), row_group_size=100)
    rows(late / "edges", edges(), row_group_size=5)
    rows(late / "below" / "names.snappy", names())
    rows(late / "below" / "deeper" / "copies.parquet", copies(HOURS[1]))
    rows(early / "copies.parquet.gz", copies(HOURS[0]), schema=SCHEMA)
    for column in ("endpoint", "request_id"):
        values = [b"chat\xff.example.com", b"\xc3", b"\xff", b"\xfe", b"\xff"]
        pyarrow.parquet.write_table(no_utf8(column, values), late / f"bytes-in-{column}.parquet")
    for name in WRITERS:
        table, options = by_other_writers(name)
        pyarrow.parquet.write_table(table, late / f"{name}.parquet", **options)
    for name in ("_unfinished.parquet", ".hidden.parquet", "_SUCCESS"):
        (late / name).write_text("not Parquet")
    (late / "empty.parquet").touch()
