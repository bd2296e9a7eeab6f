//! What docs/openapi.yaml promises: every route, status, header and example is that of a real answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;
use testing::proxy::{Fault, Proxy};
use wafer_metrics::answer::ROUTES;

use crate::fixture::*;
use crate::json::minute_of_traffic;

const MANY_KEY: &str = "key-of-twenty-one";

fn document() -> Value {
    serde_yaml_ng::from_str(include_str!("../../docs/openapi.yaml")).unwrap()
}

/// A value, or what its `$ref` names.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    let path = reference.strip_prefix("#/").unwrap().split('/');
    path.fold(document, |value, name| &value[name])
}

fn names(mapping: &Value) -> Vec<String> {
    let names = mapping.as_mapping().into_iter().flat_map(|mapping| mapping.keys());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// A call, what is at fault meanwhile, and the status and the name of the example that it is answered with.
struct Case {
    event: Event,
    fault: Option<(&'static str, Fault)>,
    example: (i64, &'static str),
}

fn cases(path: &str) -> Vec<Case> {
    let case = |event: Event, status, name| Case { event, fault: None, example: (status, name) };
    let broken =
        |event: Event, call, fault, status, name| Case { fault: Some((call, fault)), ..case(event, status, name) };
    let good = || Event::scrape().path(path);
    let mut cases = vec![
        case(good().path(&format!("{path}/")), 404, "not_found"),
        case(good().method("POST"), 405, "method_not_allowed"),
        case(good().key("short"), 401, "invalid_api_key"),
        case(good().key(SERVERLESS_KEY), 403, "dedicated_only"),
        broken(good(), "GetItem api_keys", Fault::server_error(), 503, "unavailable"),
    ];
    let figures = |good: &dyn Fn() -> Event| {
        let hurried = good().waiting("3");
        [
            case(good().query("endpoint=_"), 422, "invalid_endpoint"),
            case(good().query("endpoint=x"), 403, "endpoint_forbidden"),
            broken(good(), "Query rollups", Fault::server_error(), 502, "summary_failed"),
            broken(hurried, "Query rollups", Fault::Hangs, 504, "summary_timeout"),
        ]
    };
    let of = |query: &str| good().query(query);
    match path.rsplit('/').next().unwrap() {
        "prometheus" => {
            cases.extend(figures(&good));
            cases.extend([
                case(of("endpoint=x&view=all"), 422, "invalid_view"),
                case(of("endpoint=*").key(MANY_KEY), 422, "too_many_endpoints"),
                case(good(), 200, "window"),
                case(of(&format!("endpoint={CODE}")).header("accept", "application/openmetrics-text"), 200, "idle"),
            ]);
        }
        "targets" => {
            cases.extend([case(of("view=all"), 422, "invalid_view"), case(of("view=window,counters"), 200, "targets")]);
        }
        _ => {
            cases.extend(figures(&good));
            cases.extend([
                case(of("endpoint=x&range_minutes=7"), 422, "invalid_range"),
                case(of(&format!("endpoint={CHAT}&range_minutes=5")), 200, "minutes"),
            ]);
        }
    }
    cases
}

/// Answers of a service whose DynamoDB has a fault; a key that nobody has used yet where the case needs one.
async fn answer(case: &Case) -> Reply {
    let proxy = Proxy::to(dynamodb().await).await;
    let client = client(proxy.address);
    put_minute(&client, window_end().plus(-2), &minute_of_traffic()).await;
    let hosts: Vec<_> = (0..21).map(|number| format!("h{number}.example")).collect();
    put_key(&client, MANY_KEY, "metrics", &hosts.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
    let scrape = scrape(&client);
    if let Some((call, fault)) = &case.fault {
        proxy.breaks(call, fault.clone());
    }
    call(&scrape, &case.event, now()).await
}

#[test]
fn its_paths_are_the_routes() {
    let routes: BTreeSet<_> = ROUTES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(names(&document()["paths"]).into_iter().collect::<BTreeSet<_>>(), routes);
    for (_, path) in document()["paths"].as_mapping().unwrap() {
        assert_eq!(names(path), ["get"]);
    }
}

#[test]
fn its_version_is_that_of_the_functions() {
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn its_codes_and_types_are_those_of_the_errors() {
    let document = document();
    let error = &document["components"]["schemas"]["Error"]["properties"]["error"]["properties"];
    let listed = |name: &str| error[name]["enum"].as_sequence().unwrap().iter().map(|one| one.as_str().unwrap());
    // The code of each error follows its type.
    let source = include_str!("../../src/http/problem.rs").split("let param").next().unwrap();
    let words: Vec<_> = source.split('"').skip(1).step_by(2).collect();
    let errors = words.windows(2).filter(|words| words[0].ends_with("_error"));
    let (types, codes): (BTreeSet<_>, BTreeSet<_>) = errors.map(|words| (words[0], words[1])).unzip();
    assert_eq!(listed("code").collect::<BTreeSet<_>>(), codes);
    assert_eq!(listed("type").collect::<BTreeSet<_>>(), types);
}

#[tokio::test]
async fn its_statuses_headers_and_examples_are_those_of_real_answers() {
    let document = document();
    for (path, _) in ROUTES {
        let responses = &document["paths"][path]["get"]["responses"];
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for case in cases(path) {
            check(&document, path, &answer(&case).await, case.example);
            seen.entry(case.example.0.to_string()).or_default().insert(case.example.1.to_owned());
        }
        let limited = answer_over_the_limit(&Event::scrape().path(path)).await;
        check(&document, path, &limited, (429, "rate_limited"));
        seen.entry("429".to_owned()).or_default().insert("rate_limited".to_owned());

        for (status, response) in responses.as_mapping().unwrap() {
            let status = status.as_str().unwrap();
            let contents = resolved(&document, response)["content"].as_mapping().unwrap();
            let examples: BTreeSet<_> = contents.values().flat_map(|content| names(&content["examples"])).collect();
            let of_the_gateway = BTreeSet::from(["gateway".to_owned()]);
            let ours: BTreeSet<_> = examples.difference(&of_the_gateway).cloned().collect();
            assert_eq!(Some(&ours), seen.get(status), "{path} {status}");
            assert_eq!(examples != ours, ["429", "503"].contains(&status), "{path} {status}: the gateway's own answer");
        }
        assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), names(responses), "{path}");
    }
}

async fn answer_over_the_limit(event: &Event) -> Reply {
    let scrape = scrape(&client(dynamodb().await));
    for _ in 0..6 {
        assert_eq!(call(&scrape, event, now()).await.status, 200);
    }
    call(&scrape, event, now()).await
}

/// Checks a reply against the example of that name.
fn check(document: &Value, path: &str, reply: &Reply, (status, name): (i64, &str)) {
    let what = format!("{path} {status} {name}");
    assert_eq!(reply.status, status, "{what}");
    let response = resolved(document, &document["paths"][path]["get"]["responses"][status.to_string()]);
    let mut headers: BTreeSet<_> = names(&response["headers"]).iter().map(|name| name.to_ascii_lowercase()).collect();
    headers.insert("content-type".to_owned());
    if name == "unavailable" || name == "rate_limited" {
        assert!(reply.headers.contains_key("retry-after"), "{what}");
    }
    assert_eq!(reply.headers.keys().cloned().collect::<BTreeSet<_>>(), headers, "{what}");
    for (name, header) in response["headers"].as_mapping().unwrap() {
        let constant = &resolved(document, header)["schema"]["const"];
        let value = reply.header(&name.as_str().unwrap().to_ascii_lowercase());
        assert!(constant.is_null() || text(constant) == value, "{what}: {value}");
    }
    let content = &response["content"][reply.header("content-type")];
    let example = &resolved(document, &content["examples"][name])["value"];
    assert_eq!(text(example), text_with_id(&reply.body), "{what}");
}

/// A text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| serde_json::to_string(value).unwrap(), str::to_owned)
}

/// The body with the request id that the examples have.
fn text_with_id(body: &str) -> String {
    let Some((before, after)) = body.split_once("\"request_id\":\"") else { return body.to_owned() };
    format!("{before}\"request_id\":\"req_5f0c0a3e4b1d{}", &after[16..])
}

#[test]
fn its_schemas_have_the_fields_of_the_examples_in_their_order() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let example = |path: &str, name: &str| {
        document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["examples"][name]["value"]
            .clone()
    };
    let metrics = example("/v1/endpoints/metrics", "minutes");
    let targets = example("/v1/endpoints/metrics/targets", "targets");
    for (schema, value) in [
        (&schemas["Metrics"], &metrics),
        (&schemas["Summary"], &metrics["summary"]),
        (&schemas["Backend"], &metrics["backends"][0]),
        (&schemas["Bin"], &metrics["timeseries"][0]),
        (&schemas["TargetGroup"], &targets[0]),
        (&schemas["TargetGroup"]["properties"]["labels"], &targets[0]["labels"]),
    ] {
        assert_eq!(names(&schema["properties"]), names(value));
        let required: Vec<_> = schema["required"].as_sequence().unwrap().iter().map(text).collect();
        let always = |name: &String| name != "__param_view";
        assert_eq!(required, names(value).into_iter().filter(always).collect::<Vec<_>>());
    }
}
