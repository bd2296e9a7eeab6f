"""CloudFront and WAF before the API, where the template is asked for them, as far as an AWS emulator shows it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.ministack import MiniStack, ministack
from deploy.tests import template_stack

STACK = "fronted"


@dataclass(frozen=True)
class Fronted:
    aws: MiniStack
    outputs: dict[str, str]

    def secret(self) -> str:
        secrets = self.aws.client("secretsmanager")
        [secret] = secrets.list_secrets()["SecretList"]
        return str(secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"])

    def distribution(self) -> dict[str, Any]:
        cloudfront = self.aws.client("cloudfront")
        [listed] = cloudfront.list_distributions()["DistributionList"]["Items"]
        return dict(cloudfront.get_distribution(Id=listed["Id"])["Distribution"])

    def status(self, **headers: str) -> int:
        """Of a call to the API itself."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.aws.scrape(self.outputs["ApiId"], "a-key", "endpoint=chat.example.com", sent).status


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronted]:
    folder = tmp_path_factory.mktemp("ministack")
    with ministack(folder, folder / "log") as aws:
        template = template_stack.put_code(aws)
        topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
        parameters = {"Front": "cloudfront", "Architecture": "x86_64", "FrontCallsPerAddress": "1234"}
        status = template_stack.create(aws, template, STACK, topic, **parameters)
        assert status == "CREATE_COMPLETE"
        yield Fronted(aws, aws.outputs(STACK))


def test_the_api_answers_none_but_its_front(fronted: Fronted) -> None:
    assert fronted.status() == 401
    assert fronted.status(x_origin_secret="a-guess") == 403
    assert fronted.status(x_origin_secret=fronted.secret()[:-1]) == 403
    assert fronted.status(x_origin_secret=fronted.secret() + "x") == 403
    # It comes to the function, whose code here does nothing.
    assert fronted.status(x_origin_secret=fronted.secret()) >= 500


def test_no_route_is_left_open(fronted: Fronted) -> None:
    gateway = fronted.aws.client("apigatewayv2")
    routes = gateway.get_routes(ApiId=fronted.outputs["ApiId"])["Items"]
    [authorizer] = gateway.get_authorizers(ApiId=fronted.outputs["ApiId"])["Items"]
    assert len(routes) >= 2
    for route in routes:
        found = (route["AuthorizationType"], route["AuthorizerId"])
        assert found == ("CUSTOM", authorizer["AuthorizerId"]), route["RouteKey"]


def test_the_front_sends_on_the_key_and_its_secret_and_keeps_nothing(fronted: Fronted) -> None:
    distribution = fronted.distribution()
    config = distribution["DistributionConfig"]
    [origin] = config["Origins"]["Items"]
    assert origin["DomainName"].startswith(fronted.outputs["ApiId"])
    [header] = origin["CustomHeaders"]["Items"]
    assert header == {"HeaderName": "x-origin-secret", "HeaderValue": fronted.secret()}
    behavior = config["DefaultCacheBehavior"]
    # AWS's CachingDisabled, and AllViewerExceptHostHeader.
    assert behavior["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behavior["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert behavior["ViewerProtocolPolicy"] == "https-only"
    kept = {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in config["CustomErrorResponses"]["Items"]}
    # Those of our replies whose errors CloudFront keeps unless told otherwise.
    assert {403, 404, 405, 502, 503, 504} <= kept.keys()
    assert set(kept.values()) == {0}
    assert fronted.outputs["ScrapeUrl"] == f"https://{distribution['DomainName']}/v1/endpoints/metrics/prometheus"


def test_an_alarm_watches_what_lets_the_front_in(fronted: Fronted) -> None:
    [guard] = [
        function["FunctionName"]
        for function in fronted.aws.client("lambda").list_functions()["Functions"]
        if function["FunctionName"].endswith("-guard")
    ]
    name = f"{STACK}-guard-failures"
    [alarm] = fronted.aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": guard}]
    assert alarm["AlarmActions"] == alarm["OKActions"] != []


def test_one_address_may_not_send_a_flood(fronted: Fronted) -> None:
    waf = fronted.aws.client("wafv2")
    [listed] = waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
    acl = waf.get_web_acl(Name=listed["Name"], Scope="CLOUDFRONT", Id=listed["Id"])["WebACL"]
    [rule] = acl["Rules"]
    limit = rule["Statement"]["RateBasedStatement"]
    assert (limit["AggregateKeyType"], int(limit["Limit"])) == ("IP", 1234)
    assert rule["Action"] == {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    assert fronted.distribution()["DistributionConfig"]["WebACLId"] == acl["ARN"]


def test_the_secret_is_printed_nowhere(fronted: Fronted) -> None:
    [stack] = fronted.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert fronted.secret() not in json.dumps(stack, default=str)
    assert len(fronted.secret()) == 64
