//! The columns of the request logs, as everybody has them.

use datafusion::arrow::datatypes::DataType;
use local_athena::log_columns;
use serde_yaml_ng::Value;

/// What Athena calls a type.
fn athena_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 => "string",
        DataType::Int32 => "int",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) => "timestamp",
        DataType::Float64 => "double",
        DataType::Int64 => "bigint",
        other => panic!("{other} is not a type of the request logs"),
    }
}

fn columns() -> Vec<(String, String)> {
    log_columns().iter().map(|(name, data_type)| ((*name).to_owned(), athena_type(data_type).to_owned())).collect()
}

#[test]
fn the_deployed_table_has_the_columns_of_the_local_one() {
    let template: Value = serde_yaml_ng::from_str(include_str!("../../../template.yaml")).unwrap();
    let table = &template["Resources"]["LogsTable"]["Properties"]["TableInput"]["StorageDescriptor"]["Columns"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let deployed = table.as_sequence().unwrap().iter().map(|column| (text(&column["Name"]), text(&column["Type"])));
    assert_eq!(deployed.collect::<Vec<_>>(), columns());
}

#[test]
fn the_contract_lists_the_columns_of_the_local_table() {
    let page = include_str!("../../../docs/contract.md");
    let section = page.split("**Request logs**").nth(1).unwrap();
    let table = section.split("\n\n").find(|paragraph| paragraph.contains("| `request_id` |")).unwrap();
    let mut listed = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let data_type = cells[2].split(',').next().unwrap();
        listed.extend(cells[1].split(", ").map(|name| (name.trim_matches('`').to_owned(), data_type.to_owned())));
    }
    assert_eq!(listed, columns());
}
