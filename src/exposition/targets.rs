//! What Prometheus finds its targets by: HTTP service discovery
//! (<https://prometheus.io/docs/prometheus/latest/http_sd/>).

use serde::Serialize;

use super::View;
use crate::model::host::Host;

/// Targets that share their labels.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    targets: [String; 1],
    labels: Labels,
}

/// Labels that begin with two underscores say how to scrape; the rest are put on every series.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Labels {
    #[serde(rename = "__scheme__")]
    scheme: &'static str,
    #[serde(rename = "__metrics_path__")]
    path: &'static str,
    #[serde(rename = "__param_endpoint")]
    endpoints: String,
    #[serde(rename = "__param_view", skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    instance: String,
}

/// The groups of these endpoints, each of as many as one scrape may have. Groups are of one address, so that each needs
/// an instance of its own: else the `up` of one would be that of all.
pub fn groups(
    api_host: &str,
    path: &'static str,
    endpoints: &[Host],
    most: usize,
    view: Option<View>,
) -> Vec<TargetGroup> {
    let group = |(number, endpoints): (usize, &[Host])| {
        let endpoints: Vec<_> = endpoints.iter().map(Host::as_str).collect();
        let labels = Labels {
            scheme: "https",
            path,
            endpoints: endpoints.join(","),
            view: view.map(View::parameter),
            instance: format!("{api_host}/{number}"),
        };
        TargetGroup { targets: [api_host.to_owned()], labels }
    };
    (1..).zip(endpoints.chunks(most)).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_grouped_by_as_many_as_one_scrape_may_have() {
        let hosts: Vec<_> = (0..42).map(|number| Host::parse(&format!("h{number:02}.example")).unwrap()).collect();
        let groups = groups("api.example", "/metrics", &hosts, 20, Some(View::Both));
        let sizes: Vec<_> = groups.iter().map(|group| group.labels.endpoints.split(',').count()).collect();
        assert_eq!(sizes, [20, 20, 2]);
        insta::assert_snapshot!(serde_json::to_string(&groups[2]).unwrap(), @r#"{"targets":["api.example"],"labels":{"__scheme__":"https","__metrics_path__":"/metrics","__param_endpoint":"h40.example,h41.example","__param_view":"window,counters","instance":"api.example/3"}}"#);
    }
}
