"""The template of a release: deployed by the documented lines, and by names that the Terraform example knows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import release
from deploy.ministack import MiniStack, ministack
from deploy.tests import template_stack
from loopback import ROOT

VERSION = "0.1.0"  # as the page has it
TERRAFORM = (ROOT / "deploy/terraform/main.tf").read_text()
TEMPLATE = release.template(VERSION)


def names(section: str, text: str = TEMPLATE) -> dict[str, str]:
    """What stands in a section of the template, by name."""
    body = re.split(r"^(?=\S)", text.split(f"\n{section}:\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    parts = re.split(r"^  (\w+):\n", body, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[MiniStack]:
    """Commands run in the folder of a release, whose functions' code is a stand-in."""
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "template.yaml").write_text(TEMPLATE)
    for function in release.FUNCTIONS:
        release.write_archive(folder / release.archive(function, VERSION), template_stack.STAND_IN + function.encode())
    with ministack(folder, tmp_path / "log") as aws:
        for bucket in ("my-releases", "my-request-logs"):
            aws.client("s3").create_bucket(Bucket=bucket)
        yield aws


def deploy_release(aws: MiniStack) -> None:
    topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
    aws.run_documented("Releases", {"arn:aws:sns:eu-central-1:123456789012:on-call": topic})
    functions = aws.client("lambda").list_functions()["Functions"]
    sizes = {function["FunctionName"]: function["CodeSize"] for function in functions}
    assert sizes == {
        f"wafer-metrics-{function}": (aws.folder / release.archive(function, VERSION)).stat().st_size
        for function in release.FUNCTIONS
    }
    assert {tuple(function["Architectures"]) for function in functions} == {("x86_64",)}


def test_a_release_is_deployed_by_the_documented_lines(aws: MiniStack) -> None:
    deploy_release(aws)
    assert "ScrapeUrl" in aws.outputs("wafer-metrics")


def test_a_release_goes_over_a_stack_that_was_built_where_it_was_deployed(aws: MiniStack) -> None:
    built = template_stack.put_code(aws)
    topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
    status = template_stack.create(aws, built, "wafer-metrics", topic, Architecture="x86_64")
    assert status == "CREATE_COMPLETE"
    before = aws.outputs("wafer-metrics")
    deploy_release(aws)
    assert aws.outputs("wafer-metrics") == before


def test_it_is_the_template_but_for_where_the_code_comes_from() -> None:
    source = (ROOT / "template.yaml").read_text()
    assert names("Parameters").keys() - names("Parameters", source).keys() == {"CodeBucket", "CodePrefix"}
    assert names("Resources").keys() == names("Resources", source).keys()
    assert names("Outputs") == names("Outputs", source)
    assert "BuildMethod" not in TEMPLATE
    assert "CodeUri: ." not in TEMPLATE


def test_the_terraform_example_gives_what_the_template_needs_and_nothing_that_it_does_not_know() -> None:
    given = set(re.findall(r"^      ([A-Z]\w+) += ", TERRAFORM, re.MULTILINE))
    needed = {name for name, text in names("Parameters").items() if "    Default:" not in text}
    assert needed == {"CodeBucket", "RequestLogsBucket", "AlarmTopicArn"}
    assert needed <= given <= names("Parameters").keys()


def test_the_terraform_example_reads_outputs_that_the_template_has() -> None:
    read = set(re.findall(r'outputs\["(\w+)"\]', TERRAFORM))
    assert read
    assert read <= names("Outputs").keys()


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("aws_s3_object", {"for_each", "bucket", "key", "source"}),
        ("aws_cloudformation_stack", {"name", "template_url", "capabilities", "parameters", "depends_on"}),
        ("aws_s3_bucket", {"bucket"}),
    ],
)
def test_the_terraform_example_uses_what_the_provider_documents(kind: str, known: set[str]) -> None:
    blocks = re.findall(r'^(?:resource|data) "(\w+)" "\w+" \{\n(.*?)^\}', TERRAFORM, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    [body] = [body for found, body in blocks if found == kind]
    assert set(re.findall(r"^  (\w+) += ", body, re.MULTILINE)) == known


def test_both_templates_are_too_long_to_be_sent_along_and_fit_into_a_bucket() -> None:
    """CloudFormation takes 51,200 bytes in a call, and a megabyte from S3."""
    for text in (TEMPLATE, (ROOT / "template.yaml").read_text()):
        assert 51_200 < len(text.encode()) < 1_000_000
