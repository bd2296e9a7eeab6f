"""The table of request logs as template.yaml declares it to Athena, in Trino's words."""

from typing import Any

import yaml

from loopback import ROOT

SCHEMA = "hive.wafer"
TYPES = {"string": "varchar", "int": "integer", "timestamp": "timestamp(3)"}


class Template(yaml.SafeLoader):
    """CloudFormation's own tags read as nothing: none of what is read here has one."""


Template.add_multi_constructor("!", lambda *_: None)


def declared() -> tuple[dict[str, str], str, dict[str, Any]]:
    """What the template says of the table: its columns, and the parameters of its one partition."""
    resources = yaml.load((ROOT / "template.yaml").read_text(), Template)["Resources"]
    table = next(each["Properties"]["TableInput"] for each in resources.values() if each["Type"] == "AWS::Glue::Table")
    [partition] = table["PartitionKeys"]
    columns = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    return columns, partition["Name"], table["Parameters"]


def statement(name: str, location: str, first_hour: str) -> str:
    """CREATE TABLE over a folder of the server's. The partitions begin at `first_hour`, for as long as this test lives,
    and not at so many days before now."""
    columns, partition, parameters = declared()
    listed = ", ".join(f"{column} {TYPES.get(kind, kind)}" for column, kind in columns.items())
    projected = {
        name.removeprefix(f"projection.{partition}."): value
        for name, value in parameters.items()
        if name.startswith(f"projection.{partition}.")
    }
    _, last = projected["range"].split(",")
    properties = [
        f"partition_projection_type = '{projected['type']}'",
        f"partition_projection_format = '{projected['format']}'",
        f"partition_projection_range = ARRAY['{first_hour}', '{last}']",
        f"partition_projection_interval = {projected['interval']}",
        f"partition_projection_interval_unit = '{projected['interval.unit']}'",
    ]
    return f"""CREATE TABLE {SCHEMA}.{name} ({listed}, {partition} varchar WITH ({", ".join(properties)}))
        WITH (external_location = 'local:///{location}', format = 'PARQUET', partitioned_by = ARRAY['{partition}'],
        partition_projection_enabled = true)"""
