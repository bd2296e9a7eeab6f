//! What template.yaml promises: least privilege, logs that end, and every setting of the functions.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_yaml_ng::Value;
use wafer_metrics::settings::{RefreshSettings, ScrapeSettings};

fn template() -> Value {
    serde_yaml_ng::from_str(include_str!("../../template.yaml")).unwrap()
}

/// The resources of a type, each with its name and properties.
fn resources<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let resources = template["Resources"].as_mapping().unwrap();
    let of_kind = resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
    of_kind.map(|(name, resource)| (name.as_str().unwrap(), &resource["Properties"]))
}

/// What an intrinsic such as `!Ref` is given, and its name.
fn tagged(value: &Value) -> Option<(String, &Value)> {
    let Value::Tagged(tagged) = value else { return None };
    Some((tagged.tag.to_string(), &tagged.value))
}

/// Every text in a value, whichever branch of an `!If` it stands in; not the conditions' names.
fn texts(value: &Value) -> Vec<&str> {
    match (value, tagged(value)) {
        (Value::String(text), _) => vec![text],
        (Value::Sequence(items), _) => items.iter().flat_map(texts).collect(),
        (Value::Mapping(items), _) => items.values().flat_map(texts).collect(),
        (_, Some((tag, Value::Sequence(branches)))) if tag == "!If" => branches.iter().skip(1).flat_map(texts).collect(),
        (_, Some((_, inner))) => texts(inner),
        _ => Vec::new(),
    }
}

/// The statements of a role, those that stand in an `!If` too.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = role["Policies"].as_sequence().unwrap();
    let statements = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().unwrap());
    statements.map(|statement| tagged(statement).map_or(statement, |(_, branches)| &branches[1])).collect()
}

#[test]
fn roles_name_what_they_may_do_and_to_what() {
    let template = template();
    let mut seen = BTreeSet::new();
    for (name, role) in resources(&template, "AWS::IAM::Role") {
        assert!(role["ManagedPolicyArns"].is_null(), "{name} takes a policy that others write");
        for statement in statements(role) {
            let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            assert!(!actions.is_empty() && !resources.is_empty(), "{name}: {statement:?}");
            for action in &actions {
                assert!(!action.contains('*'), "{name} may {action}");
                seen.insert((name, action.split(':').next().unwrap()));
            }
            for resource in resources {
                // All objects of one folder, all streams of one log group: what they are is not known before.
                let named = resource.strip_suffix(":log-stream:*").or_else(|| resource.strip_suffix("/*")).unwrap_or(resource);
                assert!(!named.contains('*') && !named.ends_with(":::"), "{name} may {actions:?} to {resource}");
            }
        }
    }
    let of = |role: &str| seen.iter().filter(|(name, _)| *name == role).map(|(_, service)| *service).collect::<Vec<_>>();
    assert_eq!(of("ScrapeRole"), ["dynamodb", "logs"]);
    assert_eq!(of("RefreshRole"), ["athena", "dynamodb", "glue", "kms", "logs", "s3"]);
}

#[test]
fn neither_function_may_write_what_the_other_does() {
    let template = template();
    let tables = |role: &str, actions: &[&str]| {
        let (_, role) = resources(&template, "AWS::IAM::Role").find(|(name, _)| *name == role).unwrap();
        let of_those = |statement: &&Value| texts(&statement["Action"]).iter().any(|action| actions.contains(action));
        let resources = statements(role).into_iter().filter(of_those).flat_map(|statement| texts(&statement["Resource"]));
        let tables = ["ApiKeysTable", "RateLimitsTable", "HeartbeatsTable", "RollupsTable"];
        let named: Vec<_> = resources.flat_map(|text| tables.into_iter().filter(move |table| text.contains(table))).collect();
        named.into_iter().collect::<BTreeSet<_>>()
    };
    let writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"];
    assert_eq!(tables("ScrapeRole", &writes), ["RateLimitsTable"].into());
    assert_eq!(tables("RefreshRole", &writes), ["RollupsTable"].into());
    assert_eq!(tables("ScrapeRole", &["dynamodb:GetItem", "dynamodb:Query"]), ["ApiKeysTable", "HeartbeatsTable", "RollupsTable"].into());
    assert_eq!(tables("RefreshRole", &["dynamodb:GetItem", "dynamodb:Query"]), ["RollupsTable"].into());
}

#[test]
fn alarms_watch_metrics_that_the_functions_write() {
    let sources = [include_str!("../../src/refresh.rs"), include_str!("../../src/scrape/log.rs")].concat();
    let template = template();
    let mut watched = 0;
    for (name, alarm) in resources(&template, "AWS::CloudWatch::Alarm").filter(|(_, alarm)| alarm["Namespace"] == "WaferMetrics") {
        let metric = alarm["MetricName"].as_str().unwrap();
        assert!(sources.contains(&format!("(\"{metric}\", Unit::")), "{name} watches {metric}");
        watched += 1;
    }
    assert!(watched >= 3);
}

#[test]
fn every_log_ends_and_every_function_has_one_of_them() {
    let template = template();
    let mut groups = BTreeSet::new();
    for (name, group) in resources(&template, "AWS::Logs::LogGroup") {
        assert!(!group["RetentionInDays"].is_null(), "{name} is kept for ever");
        groups.insert(name);
    }
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        let group = texts(&function["LoggingConfig"]["LogGroup"]);
        assert!(matches!(group[..], [group] if groups.contains(group)), "{name} logs to a group of its own making");
    }
    for (name, stage) in resources(&template, "AWS::ApiGatewayV2::Stage") {
        let log = texts(&stage["AccessLogSettings"]).join(" ");
        assert!(!log.to_lowercase().contains("authoriz") && !log.contains("querystring"), "{name} logs keys: {log}");
    }
}

/// What a function's variable is where it is a parameter's default; any text where it is something else.
fn variable(template: &Value, function: &str, name: &str) -> Option<String> {
    let (_, properties) = resources(template, "AWS::Serverless::Function").find(|(found, _)| *found == function).unwrap();
    let value = properties["Environment"]["Variables"].get(name)?;
    let default = tagged(value).and_then(|(_, reference)| template["Parameters"].get(reference.as_str()?)?.get("Default"));
    Some(default.map_or_else(
        || "given".to_owned(),
        |default| default.as_str().map_or_else(|| serde_yaml_ng::to_string(default).unwrap().trim().to_owned(), str::to_owned),
    ))
}

#[test]
fn each_function_gets_every_setting_it_reads_and_no_other() {
    let template = template();
    let asked = RefCell::new(BTreeSet::new());
    let ask = |function: &str, name: &str| {
        asked.borrow_mut().insert((function.to_owned(), name.to_owned()));
        variable(&template, function, name)
    };
    // With the template's defaults the functions do what they do without them.
    let scrape = ScrapeSettings::read(|name| ask("ScrapeFunction", name)).unwrap();
    let without = ScrapeSettings::read(|name| name.ends_with("_TABLE").then(|| "given".to_owned())).unwrap();
    assert_eq!(scrape, without);
    let refresh = RefreshSettings::read(|name| ask("RefreshFunction", name)).unwrap();
    let required = |name: &str| (name.ends_with("_TABLE") || name.starts_with("ATHENA_")).then(|| "given".to_owned());
    assert_eq!(refresh, RefreshSettings::read(required).unwrap());

    let mut given = BTreeSet::new();
    for (function, properties) in resources(&template, "AWS::Serverless::Function") {
        let variables = properties["Environment"]["Variables"].as_mapping().unwrap();
        given.extend(variables.keys().map(|name| (function.to_owned(), name.as_str().unwrap().to_owned())));
    }
    assert_eq!(given, asked.into_inner());
}

#[test]
fn a_minute_that_failed_is_left_to_the_next() {
    let template = template();
    let (_, refresh) = resources(&template, "AWS::Serverless::Function").find(|(name, _)| *name == "RefreshFunction").unwrap();
    let (_, schedule) = resources(&template, "AWS::Scheduler::Schedule").next().unwrap();
    for retries in [&refresh["EventInvokeConfig"], &schedule["Target"]["RetryPolicy"]] {
        assert_eq!((retries["MaximumRetryAttempts"].as_u64(), retries["MaximumEventAgeInSeconds"].as_u64()), (Some(0), Some(60)));
    }
    assert!(refresh["Timeout"].as_u64().unwrap() < 60);
}
