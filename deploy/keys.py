"""API keys: issues, lists, rotates and revokes them, and retires a host name before another customer gets it.

issue HOST...    makes a key for these hosts, and prints it once
list             each key by the first digits of its hash, as in the log of the scrape
rotate DIGITS    makes a second key like that one, which then expires in 7 days
revoke DIGITS    ends a key within a second
retire HOST      erases what is kept of a host: its figures, its workers, and its place in keys
"""

import argparse
import hashlib
import re
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

KINDS = ("metrics", "dedicated", "serverless")
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
DAY = 24 * 3600
# A metrics key ends after this many days, unless another number is given.
METRICS_KEY_DAYS = 365
# How long the old key of a rotation still works: time for its owner to take the new one.
OVERLAP = 7 * DAY
# 10000-01-01: an expiry from then on is a number of milliseconds by mistake, and would never come.
NEVER = 253_402_300_800
# The digits of a hash that a log line shows.
DIGITS = 8
# An hour is summed up by then, so that the refresh no longer reads its minutes.
LEAST_QUIET_HOURS = 3
# A day after an hour was summed up the refresh compares it with the logs once more.
QUIET_HOURS = 26
WORKER_IS_FRESH = 600

Client = Any
Item = dict[str, Any]


class Refused(Exception):
    """Why nothing was done, in a sentence."""


class Unfinished(Exception):
    """What was left undone, in a sentence."""


@dataclass(frozen=True)
class Tables:
    """The names of the deployment's tables."""

    api_keys: str
    heartbeats: str
    rollups: str


@dataclass(frozen=True)
class Record:
    """A key's record, checked as the function that answers checks it."""

    key_hash: str
    kind: str
    endpoints: frozenset[str]
    revoked: bool
    expires_at: int | None

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Refuses a record that would be answered as an invalid key."""
        kind = item.get("kind", {}).get("S")
        if kind not in KINDS:
            raise Refused(f"its kind is not one of {', '.join(KINDS)}")
        endpoints = item.get("endpoints", {"SS": []}).get("SS")
        if endpoints is None:
            raise Refused("its endpoints are not a set of strings")
        revoked = item.get("revoked", {"BOOL": False}).get("BOOL")
        if revoked is None:
            raise Refused("its revoked is not a boolean")
        expires_at = None
        if "expires_at" in item:
            number = item["expires_at"].get("N")
            if number is None or float(number) >= NEVER:
                raise Refused("its expires_at is not a number of Unix seconds before the year 10000")
            expires_at = int(float(number))
        hosts = frozenset(host_name(endpoint) for endpoint in endpoints)
        return cls(item["key_hash"]["S"], kind, hosts, revoked, expires_at)

    def state(self, now: float) -> str:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"

    def item(self) -> Item:
        item: Item = {"key_hash": {"S": self.key_hash}, "kind": {"S": self.kind}}
        if self.endpoints:
            item["endpoints"] = {"SS": sorted(self.endpoints)}
        if self.expires_at is not None:
            item["expires_at"] = {"N": str(self.expires_at)}
        return item


def host_name(text: str) -> str:
    """A DNS host name (RFC 1123), in lower case."""
    if len(text) > 253 or not all(LABEL.fullmatch(label) for label in text.split(".")):
        raise Refused(f"{text!r} is not a valid host name: leave out scheme, port, path and a dot at the end")
    return text.lower()


def new_key() -> str:
    """A prefix that scanners for leaked secrets find, and 256 random bits."""
    return f"wafer_{secrets.token_urlsafe(32)}"


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def expiry(kind: str, days: int | None, now: float) -> int | None:
    """Only keys that can do nothing but scrape end by themselves: an inference key that does so stops its owner."""
    if days is None and kind != "metrics":
        return None
    days = METRICS_KEY_DAYS if days is None else days
    expires_at = int(now) + days * DAY
    if days < 1 or expires_at >= NEVER:
        raise Refused(f"{days} days is not a valid time until the expiry")
    return expires_at


def pages(call: Any, **request: Any) -> Iterator[Item]:
    """The items of every page of a query or scan."""
    while True:
        page = call(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


@dataclass(frozen=True)
class Keys:
    """The table of keys."""

    dynamodb: Client
    table: str

    def items(self) -> Iterator[Item]:
        return pages(self.dynamodb.scan, TableName=self.table, ConsistentRead=True)

    def issue(self, kind: str, hosts: list[str], days: int | None, now: float) -> tuple[str, Record]:
        """Puts a new key's record; the key itself is in the answer and nowhere else."""
        if kind not in KINDS:
            raise Refused(f"{kind!r} is not a valid kind: use {', '.join(KINDS)}")
        endpoints = frozenset(host_name(host) for host in hosts)
        if kind == "serverless" and endpoints:
            raise Refused("a serverless key has no hosts")
        if kind != "serverless" and not endpoints:
            raise Refused(f"a {kind} key needs at least one host")
        key = new_key()
        record = Record(hash_of(key), kind, endpoints, False, expiry(kind, days, now))
        self.dynamodb.put_item(
            TableName=self.table,
            Item=record.item(),
            ConditionExpression="attribute_not_exists(key_hash)",
        )
        return key, record

    def find(self, digits: str) -> Record:
        """The one key whose hash begins with these digits."""
        if not re.fullmatch(rf"[0-9a-f]{{{DIGITS},64}}", digits):
            raise Refused(f"{digits!r} is not a valid name of a key: give {DIGITS} or more hex digits of its hash")
        found = [item for item in self.items() if item["key_hash"]["S"].startswith(digits)]
        if not found:
            raise Refused(f"no key's hash begins with {digits}")
        if len(found) > 1:
            raise Refused(f"the hashes of {len(found)} keys begin with {digits}: give more digits")
        try:
            return Record.from_item(found[0])
        except Refused as error:
            raise Refused(f"the record of key {digits} is malformed: {error}") from error

    def rotate(self, digits: str, days: int | None, now: float) -> tuple[str, Record, Record]:
        """Puts a second key like the first, and ends the first in a week, both or neither."""
        old = self.find(digits)
        if old.state(now) != "good":
            raise Refused(f"key {digits} is {old.state(now)}: issue a new one")
        ends = int(now) + OVERLAP
        ends = ends if old.expires_at is None else min(ends, old.expires_at)
        key = new_key()
        new = Record(hash_of(key), old.kind, old.endpoints, False, expiry(old.kind, days, now))
        unchanged = "attribute_exists(key_hash) AND (attribute_not_exists(revoked) OR revoked = :no)"
        values: Item = {":ends": {"N": str(ends)}, ":no": {"BOOL": False}}
        if old.expires_at is None:
            unchanged += " AND attribute_not_exists(expires_at)"
        else:
            unchanged += " AND expires_at = :seen"
            values[":seen"] = {"N": str(old.expires_at)}
        put = {
            "TableName": self.table,
            "Item": new.item(),
            "ConditionExpression": "attribute_not_exists(key_hash)",
        }
        end = {
            "TableName": self.table,
            "Key": {"key_hash": {"S": old.key_hash}},
            "UpdateExpression": "SET expires_at = :ends",
            "ConditionExpression": unchanged,
            "ExpressionAttributeValues": values,
        }
        try:
            self.dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"Update": end}])
        except self.dynamodb.exceptions.TransactionCanceledException as error:
            raise Refused(f"key {digits} was changed meanwhile: look at the list and try again") from error
        return key, new, Record(old.key_hash, old.kind, old.endpoints, old.revoked, ends)

    def revoke(self, digits: str) -> Record:
        record = self.find(digits)
        self.dynamodb.update_item(
            TableName=self.table,
            Key={"key_hash": {"S": record.key_hash}},
            UpdateExpression="SET revoked = :yes",
            ConditionExpression="attribute_exists(key_hash)",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
        )
        return record

    def of_host(self, host: str) -> list[tuple[Item, list[str]]]:
        """Keys of a host, with the ways in which their records write it."""
        found = []
        for item in self.items():
            names = [name for name in item.get("endpoints", {}).get("SS", []) if name.lower() == host]
            if names:
                found.append(({"key_hash": item["key_hash"]}, names))
        return found

    def take_away(self, key: Item, names: list[str]) -> None:
        self.dynamodb.update_item(
            TableName=self.table,
            Key=key,
            UpdateExpression="DELETE endpoints :names",
            ExpressionAttributeValues={":names": {"SS": names}},
        )


@dataclass(frozen=True)
class Host:
    """What the tables hold of a host."""

    name: str
    keys: list[tuple[Item, list[str]]]
    workers: list[Item]
    rollups: list[Item]

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.rollups)} items of figures, {len(self.workers)} workers, "
            f"a place in {len(self.keys)} keys"
        )


@dataclass(frozen=True)
class Hosts:
    """Retires host names."""

    dynamodb: Client
    tables: Tables

    def look_up(self, text: str) -> Host:
        name = host_name(text)
        return Host(
            name,
            Keys(self.dynamodb, self.tables.api_keys).of_host(name),
            list(self.items(self.tables.heartbeats, name)),
            list(self.items(self.tables.rollups, name)),
        )

    def items(self, table: str, name: str) -> Iterator[Item]:
        return pages(
            self.dynamodb.query,
            TableName=table,
            ConsistentRead=True,
            KeyConditionExpression="endpoint = :endpoint",
            ExpressionAttributeValues={":endpoint": {"S": name}},
        )

    def check_quiet(self, host: Host, quiet_hours: int, now: float) -> None:
        """What still writes a host's items would bring them back."""
        if quiet_hours < LEAST_QUIET_HOURS:
            raise Refused(f"{quiet_hours} quiet hours are too few: the refresh may still read that hour's logs")
        reports = [worker for worker in host.workers if reported_at(worker) > now - WORKER_IS_FRESH]
        if reports:
            raise Refused(f"worker {reports[0]['worker_id']['S']} of {host.name} still reports: stop it first")
        periods = (item["period"]["S"] for item in host.rollups)
        minutes = [period.split("#", 1)[1] for period in periods if period.startswith("m")]
        if not minutes:
            return
        last = datetime.strptime(max(minutes), "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
        free = last + timedelta(hours=quiet_hours)
        if free.timestamp() > now:
            raise Refused(f"{host.name} had requests at {last:%F %R} UTC: retire it at {free:%F %R} UTC or later")

    def erase(self, host: Host) -> None:
        """Keys go first, so that nobody sees a part."""
        keys = Keys(self.dynamodb, self.tables.api_keys)
        for key, names in host.keys:
            keys.take_away(key, names)
        self.delete(self.tables.heartbeats, host.workers, ("endpoint", "worker_id"))
        self.delete(self.tables.rollups, host.rollups, ("endpoint", "period"))
        left = self.look_up(host.name)
        if left.keys or left.workers or left.rollups:
            raise Unfinished(f"{host.name} was written to meanwhile, and {left} are left: try again")

    def delete(self, table: str, items: list[Item], key: tuple[str, str]) -> None:
        requests = [{"DeleteRequest": {"Key": {name: item[name] for name in key}}} for item in items]
        while requests:
            batch, requests = requests[:25], requests[25:]
            answer = self.dynamodb.batch_write_item(RequestItems={table: batch})
            unprocessed = answer.get("UnprocessedItems", {}).get(table, [])
            if unprocessed:
                time.sleep(1)
            requests += unprocessed


def reported_at(worker: Item) -> float:
    """Unix seconds; a heartbeat that is malformed says nothing of when."""
    return float(worker.get("reported_at_ms", {}).get("N", 0)) / 1000


def day(seconds: int | None) -> str:
    return "never" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%F}"


def line_of(item: Item, now: float) -> str:
    digits = item["key_hash"]["S"][:DIGITS]
    try:
        record = Record.from_item(item)
    except Refused as error:
        return f"{digits}  malformed: {error}"
    hosts = ",".join(sorted(record.endpoints)) or "-"
    return f"{digits}  {record.kind:<10}  {record.state(now):<7}  {day(record.expires_at):<10}  {hosts}"


def tables_of(arguments: argparse.Namespace) -> Tables:
    """The tables that were named, and those of the stack for the others."""
    named = (arguments.api_keys_table, arguments.heartbeats_table, arguments.rollups_table)
    if all(named):
        return Tables(*named)
    stacks = boto3.client("cloudformation").describe_stacks(StackName=arguments.stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}
    of_stack = (outputs["ApiKeysTable"], outputs["HeartbeatsTable"], outputs["RollupsTable"])
    return Tables(*(name or other for name, other in zip(named, of_stack, strict=True)))


def explain(text: str) -> None:
    """To people; what a pipe takes goes to the standard output."""
    print(text, file=sys.stderr)


def run(arguments: argparse.Namespace) -> None:
    dynamodb = boto3.client("dynamodb")
    tables = tables_of(arguments)
    keys = Keys(dynamodb, tables.api_keys)
    now = time.time()
    if arguments.command == "issue":
        key, record = keys.issue(arguments.kind, arguments.host, arguments.days, now)
        own = ", ".join(sorted(record.endpoints)) or "no host"
        digits = record.key_hash[:DIGITS]
        explain(f"Key {digits}, {record.kind}, for {own}; expires: {day(record.expires_at)}. Shown this once:")
        print(key)
    elif arguments.command == "list":
        for line in sorted(line_of(item, now) for item in keys.items()):
            print(line)
    elif arguments.command == "rotate":
        key, new, old = keys.rotate(arguments.digits, arguments.days, now)
        explain(f"Key {old.key_hash[:DIGITS]} works until {day(old.expires_at)}.")
        explain(f"Key {new.key_hash[:DIGITS]} takes its place; expires: {day(new.expires_at)}. Shown this once:")
        print(key)
    elif arguments.command == "revoke":
        record = keys.revoke(arguments.digits)
        explain(f"Key {record.key_hash[:DIGITS]} is revoked.")
    else:
        hosts = Hosts(dynamodb, tables)
        host = hosts.look_up(arguments.host)
        hosts.check_quiet(host, arguments.quiet_hours, now)
        if not arguments.yes:
            explain(f"Would erase {host}. Nothing was changed: add --yes.")
            return
        hosts.erase(host)
        explain(f"Erased {host}.")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m deploy.keys",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--stack", default="wafer-metrics", help="the stack whose tables these are (%(default)s)")
    for table in ("api-keys", "heartbeats", "rollups"):
        top.add_argument(f"--{table}-table", help="this table instead of the stack's")
    commands = top.add_subparsers(dest="command", required=True)
    days_help = f"days until it expires (metrics: {METRICS_KEY_DAYS}; other kinds: never)"

    issue = commands.add_parser("issue")
    issue.add_argument("host", nargs="*")
    issue.add_argument("--kind", choices=KINDS, default="metrics")
    issue.add_argument("--days", type=int, help=days_help)
    commands.add_parser("list")
    rotate = commands.add_parser("rotate")
    rotate.add_argument("digits")
    rotate.add_argument("--days", type=int, help=days_help)
    revoke = commands.add_parser("revoke")
    revoke.add_argument("digits")
    retire = commands.add_parser("retire")
    retire.add_argument("host")
    retire.add_argument("--yes", action="store_true", help="erase, instead of saying what would be")
    retire.add_argument(
        "--quiet-hours",
        type=int,
        default=QUIET_HOURS,
        help="for how long it must have had no request (%(default)s)",
    )
    return top


def main() -> None:
    try:
        run(parser().parse_args())
    except Refused as refusal:
        sys.exit(f"Nothing done: {refusal}.")
    except Unfinished as rest:
        sys.exit(f"Not finished: {rest}.")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {error}")


if __name__ == "__main__":
    main()
