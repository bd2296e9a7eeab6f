//! What template.yaml promises: least privilege, data that outlives a stack, logs that end, alarms that the operator's
//! page explains, and every setting of the functions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;
use wafer_metrics::settings::{RefreshSettings, ScrapeSettings};
use wafer_metrics::telemetry::metrics::{self, MetricBy};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

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
        (_, Some((tag, Value::Sequence(branches)))) if tag == "!If" => {
            branches.iter().skip(1).flat_map(texts).collect()
        }
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
                let named =
                    resource.strip_suffix(":log-stream:*").or_else(|| resource.strip_suffix("/*")).unwrap_or(resource);
                assert!(!named.contains('*') && !named.ends_with(":::"), "{name} may {actions:?} to {resource}");
            }
        }
    }
    let of =
        |role: &str| seen.iter().filter(|(name, _)| *name == role).map(|(_, service)| *service).collect::<Vec<_>>();
    assert_eq!(of("ScrapeRole"), ["dynamodb", "logs"]);
    assert_eq!(of("RefreshRole"), ["athena", "dynamodb", "glue", "kms", "logs", "s3"]);
}

#[test]
fn neither_function_may_write_what_the_other_does() {
    let template = template();
    let tables = |role: &str, actions: &[&str]| {
        let (_, role) = resources(&template, "AWS::IAM::Role").find(|(name, _)| *name == role).unwrap();
        let of_those = |statement: &&Value| texts(&statement["Action"]).iter().any(|action| actions.contains(action));
        let resources =
            statements(role).into_iter().filter(of_those).flat_map(|statement| texts(&statement["Resource"]));
        let tables = ["ApiKeysTable", "RateLimitsTable", "HeartbeatsTable", "RollupsTable"];
        let named: Vec<_> =
            resources.flat_map(|text| tables.into_iter().filter(move |table| text.contains(table))).collect();
        named.into_iter().collect::<BTreeSet<_>>()
    };
    let writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"];
    assert_eq!(tables("ScrapeRole", &writes), ["RateLimitsTable"].into());
    assert_eq!(tables("RefreshRole", &writes), ["RollupsTable"].into());
    assert_eq!(
        tables("ScrapeRole", &["dynamodb:GetItem", "dynamodb:Query"]),
        ["ApiKeysTable", "HeartbeatsTable", "RollupsTable"].into()
    );
    assert_eq!(tables("RefreshRole", &["dynamodb:GetItem", "dynamodb:Query"]), ["RollupsTable"].into());
}

/// The tables on which a role may take an action, with what it may do there.
fn actions_on_tables(role: &Value) -> BTreeSet<(&str, &str)> {
    let mut allowed = BTreeSet::new();
    for statement in statements(role) {
        let resources = texts(&statement["Resource"]);
        for table in resources.iter().filter_map(|resource| resource.strip_suffix(".Arn")) {
            allowed.extend(texts(&statement["Action"]).into_iter().map(|action| (table, action)));
        }
    }
    allowed.retain(|(_, action)| action.starts_with("dynamodb:"));
    allowed
}

#[test]
fn each_function_may_do_to_the_tables_exactly_what_it_does() {
    let template = template();
    let of = |role: &str| {
        let (_, role) = resources(&template, "AWS::IAM::Role").find(|(name, _)| *name == role).unwrap();
        actions_on_tables(role)
    };
    // A transaction of puts is allowed by PutItem.
    let rollups = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"].map(|action| ("RollupsTable", action));
    assert_eq!(of("RefreshRole"), rollups.into());
    assert_eq!(
        of("ScrapeRole"),
        [
            ("ApiKeysTable", "dynamodb:GetItem"),
            ("HeartbeatsTable", "dynamodb:Query"),
            ("RateLimitsTable", "dynamodb:UpdateItem"),
            ("RollupsTable", "dynamodb:GetItem"),
            ("RollupsTable", "dynamodb:Query"),
        ]
        .into()
    );
}

#[test]
fn the_refresh_may_do_with_athena_what_a_query_needs() {
    let template = template();
    let (_, role) = resources(&template, "AWS::IAM::Role").find(|(name, _)| *name == "RefreshRole").unwrap();
    let actions: BTreeSet<_> = statements(role).into_iter().flat_map(|statement| texts(&statement["Action"])).collect();
    let of = |service: &str| actions.iter().filter_map(|action| action.strip_prefix(service)).collect::<Vec<_>>();
    assert_eq!(of("athena:"), ["GetQueryExecution", "GetQueryResults", "StartQueryExecution", "StopQueryExecution"]);
    assert_eq!(of("glue:"), ["GetDatabase", "GetPartition", "GetPartitions", "GetTable"]);
    let s3 = ["AbortMultipartUpload", "GetBucketLocation", "GetObject", "ListBucket", "ListBucketMultipartUploads"];
    assert_eq!(of("s3:"), [&s3[..], &["ListMultipartUploadParts", "PutObject"]].concat());
}

#[test]
fn what_cannot_be_made_again_outlives_the_stack() {
    let template = template();
    let mut kept = BTreeSet::new();
    for (name, table) in resources(&template, "AWS::DynamoDB::Table") {
        let resource = &template["Resources"][name];
        let recoverable = &table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
        let promises = [
            resource["DeletionPolicy"] == "RetainExceptOnCreate",
            resource["UpdateReplacePolicy"] == "Retain",
            tagged(&table["DeletionProtectionEnabled"]).is_some_and(|(_, branches)| branches[0] == "ProtectTables"),
            *recoverable == true,
        ];
        assert!(promises.iter().all(|promise| *promise == promises[0]), "{name} is kept in part: {promises:?}");
        if promises[0] {
            kept.insert(name);
        }
    }
    assert_eq!(kept, ["ApiKeysTable", "RollupsTable"].into());
    assert_eq!(template["Parameters"]["TablesProtected"]["Default"], "yes");
    // A creation that fails deletes what it made, which nothing may protect yet.
    let makefile = include_str!("../../Makefile");
    assert!(
        makefile.contains("$(SAM_DEPLOY) TablesProtected=no\n")
            && makefile.contains("$(SAM_DEPLOY) TablesProtected=yes\n")
    );
}

#[test]
fn tables_cost_no_key_of_kms() {
    for (name, table) in resources(&template(), "AWS::DynamoDB::Table") {
        assert_eq!(table["SSESpecification"]["SSEEnabled"], false, "{name}");
    }
}

/// Whether a pattern lets through only characters that it names, and of those none that means more than itself in an
/// ARN.
fn names_its_characters(pattern: &str) -> bool {
    let mut outside = String::new();
    for part in pattern.split_inclusive(']') {
        let (text, class) = part.split_once('[').unwrap_or((part, ""));
        if class.starts_with('^') || class.contains(['*', '?', '$', '{', '"', '\\']) {
            return false;
        }
        outside.push_str(text);
    }
    !outside.contains(['.', '\\', '['])
}

#[test]
fn no_parameter_takes_a_wildcard_into_a_policy() {
    let template = template();
    for (name, parameter) in template["Parameters"].as_mapping().unwrap() {
        if parameter["Type"] == "Number" || !parameter["AllowedValues"].is_null() {
            continue;
        }
        let pattern = parameter["AllowedPattern"].as_str().unwrap_or(".");
        assert!(names_its_characters(pattern), "{name:?} takes {pattern}");
    }
}

#[test]
fn the_refresh_lists_and_decrypts_only_what_its_queries_need() {
    let template = template();
    let (_, role) = resources(&template, "AWS::IAM::Role").find(|(name, _)| *name == "RefreshRole").unwrap();
    let mut keys = 0;
    for statement in statements(role) {
        let actions = texts(&statement["Action"]);
        if actions.contains(&"s3:ListBucket") {
            assert_eq!(actions, ["s3:ListBucket"]);
            assert!(!texts(&statement["Condition"]["StringLike"]["s3:prefix"]).is_empty(), "{statement:?}");
        }
        if actions.contains(&"kms:Decrypt") {
            assert_eq!(statement["Condition"]["StringLike"]["kms:ViaService"], "s3.*.amazonaws.com", "{statement:?}");
            keys += 1;
        }
    }
    assert_eq!(keys, 2);
}

#[test]
fn results_travel_encrypted_only() {
    let template = template();
    let (_, policy) = resources(&template, "AWS::S3::BucketPolicy").next().unwrap();
    assert_eq!(texts(&policy["Bucket"]), ["ResultsBucket"]);
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!((statement["Effect"].as_str(), statement["Action"].as_str()), (Some("Deny"), Some("s3:*")));
    assert_eq!(texts(&statement["Resource"]), ["ResultsBucket.Arn", "${ResultsBucket.Arn}/*"]);
    assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], "false");
}

#[test]
fn scrapers_have_a_ceiling_that_strangers_on_other_paths_do_not_use_up() {
    let template = template();
    let (_, stage) = resources(&template, "AWS::ApiGatewayV2::Stage").next().unwrap();
    let default = |value: &Value| template["Parameters"][texts(value)[0]]["Default"].as_u64().unwrap();
    let throttle =
        |settings: &Value| (default(&settings["ThrottlingRateLimit"]), default(&settings["ThrottlingBurstLimit"]));
    assert_eq!(throttle(&stage["DefaultRouteSettings"]), (1000, 2000));
    let own = stage["RouteSettings"].as_mapping().unwrap();
    assert_eq!(own.keys().collect::<Vec<_>>(), ["$default"]);
    assert_eq!(throttle(&stage["RouteSettings"]["$default"]), (20, 40));
    // Every route is there before its settings.
    let routes: BTreeSet<_> = resources(&template, "AWS::ApiGatewayV2::Route").map(|(name, _)| name).collect();
    let first: BTreeSet<_> = texts(&template["Resources"]["Stage"]["DependsOn"]).into_iter().collect();
    assert_eq!(first, routes);
    let keys: BTreeSet<_> =
        resources(&template, "AWS::ApiGatewayV2::Route").map(|(_, route)| texts(&route["RouteKey"])[0]).collect();
    let metrics = "GET /v1/endpoints/metrics";
    let routes = ["", "/prometheus", "/targets"].map(|route| format!("{metrics}{route}"));
    assert_eq!(keys, routes.iter().map(String::as_str).chain(["$default"]).collect());
}

#[test]
fn with_a_domain_the_api_has_no_other_name() {
    let template = template();
    let (_, api) = resources(&template, "AWS::ApiGatewayV2::Api").next().unwrap();
    let (_, branches) = tagged(&api["DisableExecuteApiEndpoint"]).unwrap();
    assert_eq!((&branches[0], &branches[1], &branches[2]), (&"NameApi".into(), &true.into(), &false.into()));
    let condition = texts(&template["Conditions"]["NameApi"]);
    assert_eq!(condition, ["HasDomain", "HasFront"], "with a domain and without a front");
}

#[test]
fn no_route_is_open_beside_the_front() {
    for (name, route) in resources(&template(), "AWS::ApiGatewayV2::Route") {
        let authorization = (texts(&route["AuthorizationType"]), texts(&route["AuthorizerId"]));
        assert_eq!(authorization, (vec!["CUSTOM", "NONE"], vec!["Authorizer", "AWS::NoValue"]), "{name}");
    }
}

#[test]
fn the_gateways_refusals_are_counted_from_what_its_log_says() {
    let template = template();
    let (_, stage) = resources(&template, "AWS::ApiGatewayV2::Stage").next().unwrap();
    let format = texts(&stage["AccessLogSettings"]["Format"])[0];
    let fields: BTreeMap<String, String> = serde_json::from_str(format).unwrap();
    for chosen_by_callers in ["$context.path", "userAgent", "httpMethod", "domainName", "header"] {
        assert!(!format.contains(chosen_by_callers), "the access log holds {chosen_by_callers}");
    }
    let (_, filter) = resources(&template, "AWS::Logs::MetricFilter").next().unwrap();
    let conditions: Vec<_> = texts(&filter["FilterPattern"])[0].split("$.").skip(1).collect();
    let mut meanings = conditions.iter().map(|condition| {
        let (field, comparison) = condition.split_once(' ').unwrap();
        (fields[field].as_str(), comparison.split(')').next().unwrap())
    });
    assert_eq!(meanings.next(), Some(("$context.status", "= \"429\"")));
    assert_eq!(meanings.next(), Some(("$context.error.message", "!= \"-\"")));
    assert_eq!(meanings.next(), Some(("$context.routeKey", "!= \"$default\"")));
    assert_eq!(meanings.next(), None);

    let counted = &filter["MetricTransformations"][0];
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let watched = alarms.filter(|(_, alarm)| {
        texts(&alarm["Namespace"]) == texts(&counted["MetricNamespace"]) && alarm["MetricName"] == counted["MetricName"]
    });
    assert_eq!(watched.count(), 1);
}

#[test]
fn a_table_that_refuses_what_a_function_does_raises_an_alarm() {
    let template = template();
    let mut watched = BTreeSet::new();
    for (_, alarm) in
        resources(&template, "AWS::CloudWatch::Alarm").filter(|(_, alarm)| alarm["Namespace"] == "AWS/DynamoDB")
    {
        let dimension = &alarm["Dimensions"][0];
        assert_eq!(dimension["Name"], "TableName");
        watched.insert((texts(&dimension["Value"])[0], alarm["MetricName"].as_str().unwrap()));
    }
    let mut used = BTreeSet::new();
    for (name, role) in resources(&template, "AWS::IAM::Role") {
        for (table, action) in actions_on_tables(role) {
            let writes = ["dynamodb:PutItem", "dynamodb:UpdateItem"].contains(&action);
            // What the refresh could not read it reads a minute later.
            if writes || name == "ScrapeRole" {
                used.insert((table, if writes { "WriteThrottleEvents" } else { "ReadThrottleEvents" }));
            }
        }
    }
    assert_eq!(watched, used);
}

/// The alarms' names without the stack's, each with the name of its resource.
fn alarm_names(template: &Value) -> BTreeMap<&str, &str> {
    let alarms = resources(template, "AWS::CloudWatch::Alarm");
    let named = alarms.map(|(resource, alarm)| (texts(&alarm["AlarmName"])[0], resource));
    named.map(|(name, resource)| (name.strip_prefix("${AWS::StackName}-").unwrap(), resource)).collect()
}

#[test]
fn every_alarm_is_on_the_dashboard_and_explained_on_the_operators_page() {
    let template = template();
    let alarms = alarm_names(&template);
    let (_, dashboard) = resources(&template, "AWS::CloudWatch::Dashboard").next().unwrap();
    let body = texts(&dashboard["DashboardBody"])[0];
    let shown: BTreeSet<_> =
        body.split("${").filter_map(|text| text.split_once(".Arn}")).map(|(name, _)| name).collect();
    // A dashboard that named what is only there with a front could not be made without.
    let always: BTreeSet<_> =
        alarms.values().copied().filter(|name| template["Resources"][name]["Condition"].is_null()).collect();
    assert_eq!(shown, always);

    let section = OPERATIONS.split("\n## Alarms\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let explained: BTreeSet<_> =
        section.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(explained, alarms.keys().copied().collect());
    assert!(OPERATIONS.contains(&format!("{} alarms at $0.10", always.len())), "the page counts other alarms");

    for (name, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        assert_eq!(texts(&alarm["AlarmActions"]), ["AlarmTopicArn"], "{name} goes to nobody");
        assert!(texts(&alarm["AlarmDescription"])[0].ends_with("See docs/operations.md."), "{name} names no page");
    }
}

#[test]
fn the_lag_alarm_comes_before_scrapes_are_refused() {
    let template = template();
    let default = |parameter: &str| template["Parameters"][parameter]["Default"].as_u64().unwrap();
    let (alarm, refusal) = (default("RefreshLagAlarmSeconds"), default("MaxStalenessSeconds"));
    assert!(alarm + 120 < refusal);
    let page = OPERATIONS.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&format!("The window's end was over {alarm} s old")));
    assert!(page.contains(&format!("over {refusal} s scrapes answer 502")));
}

/// In words: of how many minutes how many must be bad.
fn duration_in_words(alarm: &Value) -> String {
    let number = |name: &str| alarm[name].as_u64();
    let (period, of) = (number("Period").unwrap(), number("EvaluationPeriods").unwrap());
    match (period, number("DatapointsToAlarm").unwrap_or(of), of) {
        (60, bad, of) if bad < of => format!("in {bad} of {of} minutes"),
        (period, bad, of) if bad == of && period * of == 900 => "quarter of an hour".to_owned(),
        (3_600, 1, 1) => "for an hour".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// How a threshold is put into words.
type InWords<'a> = &'a dyn Fn(&Value) -> String;

#[test]
fn the_page_and_the_dashboard_say_by_the_templates_numbers_when_an_alarm_fires() {
    let template = template();
    let alarms: BTreeMap<_, _> = resources(&template, "AWS::CloudWatch::Alarm").collect();
    let (_, dashboard) = resources(&template, "AWS::CloudWatch::Dashboard").next().unwrap();
    let body = texts(&dashboard["DashboardBody"])[0];
    let share = |threshold: &Value| format!("over {} %", threshold.as_f64().unwrap() * 100.0);
    let seconds = |threshold: &Value| format!("over {} s", threshold.as_u64().unwrap() / 1_000);
    let count = |threshold: &Value| format!("more than {} hours", threshold.as_u64().unwrap());
    let nothing = |_: &Value| String::new();
    let thresholds: [(&str, InWords<'_>); 8] = [
        ("refresh-errors", &nothing),
        ("rows-too-late", &nothing),
        ("hours-unsealed", &count),
        ("logs-silent", &nothing),
        ("server-errors", &share),
        ("scrape-duration", &seconds),
        ("heartbeats-unread", &share),
        ("malformed-heartbeats", &nothing),
    ];
    for (name, threshold_in_words) in thresholds {
        let alarm = alarms[alarm_names(&template)[name]];
        let section = OPERATIONS.split(&format!("### `{name}`\n")).nth(1).unwrap().split("\n##").next().unwrap();
        let section = section.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for words in [threshold_in_words(&alarm["Threshold"]), duration_in_words(alarm)] {
            assert!(section.contains(&words), "{name} does not say {words:?}: {section}");
        }
    }
    for name in ["server-errors", "scrape-duration", "hours-unsealed"] {
        let alarm = alarms[alarm_names(&template)[name]];
        let shown = body.split("{\"type\": \"metric\"").find(|widget| {
            widget.contains(alarm["MetricName"].as_str().unwrap()) && widget.contains("\"label\": \"alarm\"")
        });
        let line = format!("\"value\": {}}}", serde_yaml_ng::to_string(&alarm["Threshold"]).unwrap().trim());
        assert!(shown.unwrap().contains(&line), "{name} is drawn elsewhere than at {line}");
    }
    let most = template["Parameters"]["RefusedScrapesAlarmCount"]["Default"].as_u64().unwrap();
    for name in ["keys-refused", "scrapes-rate-limited"] {
        let alarm = alarms[alarm_names(&template)[name]];
        assert_eq!((alarm["Period"].as_u64(), alarm["EvaluationPeriods"].as_u64()), (Some(300), Some(3)));
        let section = OPERATIONS.split(&format!("### `{name}`\n")).nth(1).unwrap();
        let said = format!("\nOver {},{:03} calls in 5 minutes, three times in a row,", most / 1_000, most % 1_000);
        assert!(section.starts_with(&said), "{name}");
    }
}

#[test]
fn what_is_deployed_is_built_from_the_versions_that_are_locked() {
    let makefile = include_str!("../../Makefile");
    let deploy = makefile.split("\ndeploy: ").nth(1).unwrap().split("\n\n").next().unwrap();
    let line = |text: &str| deploy.lines().position(|line| line.contains(text)).unwrap();
    assert!(line("cargo fetch --locked") < line("sam build"));
    let tools = include_str!("../../requirements/deploy.txt");
    for tool in ["aws-sam-cli", "cargo-lambda", "ziglang"] {
        let pinned = tools.split(&format!("\n{tool}==")).nth(1).unwrap().lines().nth(1).unwrap();
        assert!(pinned.contains("--hash=sha256:"), "{tool}: {pinned}");
    }
}

#[test]
fn alarms_watch_metrics_that_the_functions_write() {
    let template = template();
    let codes = include_str!("../../docs/contract.md");
    let mut watched = 0;
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    for (name, alarm) in alarms.filter(|(_, alarm)| alarm["Namespace"] == "WaferMetrics") {
        let metric = alarm["MetricName"].as_str().unwrap();
        let dimensions = alarm["Dimensions"].as_sequence().unwrap().iter();
        let dimensions = dimensions.map(|one| (one["Name"].as_str().unwrap(), texts(&one["Value"])[0]));
        let written = match dimensions.collect::<Vec<_>>()[..] {
            [("Function", "ScrapeFunction")] => metrics::OF_SCRAPE.iter().any(|written| written.name == metric),
            [("Function", "RefreshFunction")] => metrics::OF_REFRESH.iter().any(|written| written.name == metric),
            [("Function", "ScrapeFunction"), (dimension, code)] => {
                let MetricBy { metric: written, dimension: by } = metrics::SCRAPES;
                (written.name, by) == (metric, dimension) && codes.contains(&format!("| `{code}` |"))
            }
            _ => false,
        };
        assert!(written, "{name}: nobody writes {metric}");
        watched += 1;
    }
    assert!(watched >= 6);
}

#[test]
fn every_log_ends_and_every_function_has_one_of_them() {
    let template = template();
    let mut groups = BTreeSet::new();
    for (name, group) in resources(&template, "AWS::Logs::LogGroup") {
        assert!(!group["RetentionInDays"].is_null(), "{name} is kept forever");
        groups.insert(name);
    }
    let kinds = ["AWS::Serverless::Function", "AWS::Lambda::Function"];
    for (name, function) in kinds.into_iter().flat_map(|kind| resources(&template, kind)) {
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
    let (_, properties) =
        resources(template, "AWS::Serverless::Function").find(|(found, _)| *found == function).unwrap();
    let value = properties["Environment"]["Variables"].get(name)?;
    let default =
        tagged(value).and_then(|(_, reference)| template["Parameters"].get(reference.as_str()?)?.get("Default"));
    Some(default.map_or_else(
        || "given".to_owned(),
        |default| {
            default.as_str().map_or_else(|| serde_yaml_ng::to_string(default).unwrap().trim().to_owned(), str::to_owned)
        },
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
    let scrape = ScrapeSettings::from_lookup(|name| ask("ScrapeFunction", name)).unwrap();
    let without = ScrapeSettings::from_lookup(|name| name.ends_with("_TABLE").then(|| "given".to_owned())).unwrap();
    assert_eq!(scrape, without);
    let refresh = RefreshSettings::from_lookup(|name| ask("RefreshFunction", name)).unwrap();
    let required = |name: &str| (name.ends_with("_TABLE") || name.starts_with("ATHENA_")).then(|| "given".to_owned());
    assert_eq!(refresh, RefreshSettings::from_lookup(required).unwrap());

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
    let (_, refresh) =
        resources(&template, "AWS::Serverless::Function").find(|(name, _)| *name == "RefreshFunction").unwrap();
    let (_, schedule) = resources(&template, "AWS::Scheduler::Schedule").next().unwrap();
    for retries in [&refresh["EventInvokeConfig"], &schedule["Target"]["RetryPolicy"]] {
        assert_eq!(
            (retries["MaximumRetryAttempts"].as_u64(), retries["MaximumEventAgeInSeconds"].as_u64()),
            (Some(0), Some(60))
        );
    }
    assert!(refresh["Timeout"].as_u64().unwrap() < 60);
}
