# The packaged template of a release as one stack, for those who deploy with Terraform or OpenTofu. An example to copy:
# docs/operations.md, Releases.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "release_folder" {
  description = "The unpacked release, with template.yaml and the zips."
  type        = string
}

variable "code_bucket" {
  description = "An existing bucket in the stack's region, for the release."
  type        = string
}

variable "request_logs_bucket" {
  description = "The existing bucket that the request logs are written to."
  type        = string
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms are sent to."
  type        = string
}

variable "tables_protected" {
  description = "Give no the first time, so that a creation that fails leaves nothing behind, and then yes."
  type        = string
  default     = "yes"
}

variable "parameters" {
  description = "Other parameters of the template: docs/operations.md, Deploying."
  type        = map(string)
  default     = {}
}

locals {
  prefix = "wafer-metrics/${filesha256("${var.release_folder}/SHA256SUMS")}/"
}

# A new release has new names, so that the functions are replaced.
resource "aws_s3_object" "release" {
  for_each = fileset(var.release_folder, "{template.yaml,*.zip}")

  bucket = var.code_bucket
  key    = "${local.prefix}${each.value}"
  source = "${var.release_folder}/${each.value}"
}

data "aws_s3_bucket" "code" {
  bucket = var.code_bucket
}

resource "aws_cloudformation_stack" "wafer_metrics" {
  name = "wafer-metrics"

  # Too long to be sent along.
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.release["template.yaml"].key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  parameters = merge(
    {
      CodeBucket        = var.code_bucket
      CodePrefix        = local.prefix
      RequestLogsBucket = var.request_logs_bucket
      AlarmTopicArn     = var.alarm_topic_arn
      TablesProtected   = var.tables_protected
    },
    var.parameters,
  )

  depends_on = [aws_s3_object.release]
}

output "scrape_url" {
  description = "What a scraper is given, with ?endpoint=HOST."
  value       = aws_cloudformation_stack.wafer_metrics.outputs["ScrapeUrl"]
}
