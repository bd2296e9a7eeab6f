"""One file each: a column of every type under every type that the table declares, names, kinds of files, and codecs."""

import datetime
import decimal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from testing.trino import table

Write = Callable[[Path], None]

TIMES = [datetime.datetime(2026, 11, 24, 21, 5, 0, microseconds) for microseconds in (123_456, 123_500, 999_999)]
NUMBERS = [100, 127, 1]
TEXTS = ["200", "a.example.com", ""]


def of(kind: Any, values: Sequence[Any] | None = None) -> Any:
    return pyarrow.array(NUMBERS if values is None else values, kind)


def decimals(precision: int, scale: int) -> Any:
    return of(pyarrow.decimal128(precision, scale), [decimal.Decimal(number) for number in NUMBERS])


COLUMNS = {
    **{str(kind): of(kind) for kind in (pyarrow.int8(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64())},
    **{str(kind): of(kind) for kind in (pyarrow.uint8(), pyarrow.uint16(), pyarrow.uint32(), pyarrow.uint64())},
    "int64 beyond int32": of(pyarrow.int64(), [200, 2**33, 1]),
    "int64 below int32": of(pyarrow.int64(), [200, -(2**31) - 1, 1]),
    "uint32 at its end": of(pyarrow.uint32(), [200, 2**32 - 1, 2**31]),
    "uint64 at its end": of(pyarrow.uint64(), [200, 2**64 - 1, 2**63]),
    **{str(kind): of(kind, [1.5, 2.5, float("nan")]) for kind in (pyarrow.float32(), pyarrow.float64())},
    "float16": of(pyarrow.float32(), [1.5, 2.5, 3.0]).cast(pyarrow.float16()),
    "decimal(5,0)": decimals(5, 0),
    "decimal(18,0)": decimals(18, 0),
    "decimal(20,0)": decimals(20, 0),
    "decimal(10,3)": decimals(10, 3),
    "bool": of(pyarrow.bool_(), [True, False, None]),
    "string": of(pyarrow.string(), TEXTS),
    "large string": of(pyarrow.large_string(), TEXTS),
    "dictionary of strings": of(pyarrow.string(), TEXTS).dictionary_encode(),
    "bytes": of(pyarrow.binary(), [text.encode() for text in TEXTS]),
    "fixed bytes": of(pyarrow.binary(3), [b"abc", b"200", b"   "]),
    "date": of(pyarrow.date32(), [time.date() for time in TIMES]),
    "time": of(pyarrow.time64("us"), [time.time() for time in TIMES]),
    "milliseconds": of(pyarrow.timestamp("ms"), [time.replace(microsecond=123_000) for time in TIMES]),
    "microseconds": of(pyarrow.timestamp("us"), TIMES),
    "nanoseconds": of(pyarrow.timestamp("ns"), TIMES),
    "microseconds UTC": of(pyarrow.timestamp("us", "UTC"), TIMES),
    "nanoseconds UTC": of(pyarrow.timestamp("ns", "UTC"), TIMES),
    "int96": of(pyarrow.timestamp("ns"), TIMES),
    "nulls": pyarrow.nulls(3),
    "list": of(pyarrow.list_(pyarrow.string()), [["a"], [], None]),
    "struct": of(pyarrow.struct([("a", pyarrow.string())]), [{"a": "b"}] * 3),
}
# One of each type that the table declares.
DECLARED = ["endpoint", "status_code", "is_streaming", "ended_at", "total_latency_ms", "input_tokens"]
NAMES = ["x", "x.snappy", "x.parquet.tmp", "x.json", "_x.parquet", ".x.parquet"]
NAMES += ["below/x.parquet", "_below/x.parquet", ".below/x.parquet"]
CODECS = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]


@dataclass
class Case:
    name: str
    select: str
    write: Write
    # What a refusal must name.
    names: tuple[str, ...] = ()


def cases() -> Iterator[Case]:
    for column in DECLARED:
        for kind, values in COLUMNS.items():
            yield Case(f"{kind} for {column}", column, whole({column: values}, kind), ("odd.parquet", column))
    texts, others = of(pyarrow.string(), TEXTS), of(pyarrow.string(), ["2020", "2020", "2020"])
    # Only what is asked for is read.
    yield Case("text for another column", "endpoint", whole({"endpoint": texts, "status_code": texts}))
    for name in ("endpoint", "Endpoint", "ENDPOINT", "end_point", "endPoint"):
        yield Case(f"a column named {name}", "endpoint", whole({name: texts}))
    yield Case("two names that differ in case", "endpoint", whole({"Endpoint": texts, "endpoint": others}))
    yield Case("a name of the partition", "hour", whole({"endpoint": texts, "hour": others}))
    for name in NAMES:
        yield Case(f"a file {name}", "count(*) AS n", whole({"endpoint": texts}, name=name))
    yield Case("no bytes", "count(*) AS n", lambda folder: (folder / "odd.parquet").touch())
    yield Case("not Parquet", "count(*) AS n", json_as("odd.parquet"), ("odd.parquet",))
    yield Case("a file under a hidden name that is not Parquet", "count(*) AS n", json_as("_odd"))
    yield Case("a file cut short", "endpoint", cut, ("odd.parquet",))
    for codec in CODECS:
        yield Case(f"compression {codec}", "endpoint", whole({"endpoint": texts}, compression=codec), ("odd.parquet",))


def whole(
    columns: Mapping[str, Any], kind: str | None = None, name: str = "odd.parquet", compression: str = "snappy"
) -> Write:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        int96 = kind == "int96"
        pyarrow.parquet.write_table(
            pyarrow.table(columns), path, use_deprecated_int96_timestamps=int96, compression=compression
        )

    return write


def json_as(name: str) -> Write:
    def write(folder: Path) -> None:
        (folder / name).write_text('{"endpoint":"a"}\n')

    return write


def cut(folder: Path) -> None:
    whole({"endpoint": of(pyarrow.string(), TEXTS)})(folder)
    path = folder / "odd.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


TYPES = table.declared()[0]
assert {TYPES[column] for column in DECLARED} == set(TYPES.values()), "a declared type without a column here"
