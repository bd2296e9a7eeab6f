//! Why a call got no answer, with the cause for the log, and what the caller gets.

use thiserror::Error;

use crate::error::Cause;
use crate::http::problem::Problem;
use crate::http::request::RequestError;
use crate::model::quota::RateLimit;
use crate::stores::api_keys::KeyError;
use crate::stores::rate_limits::LimitError;

#[derive(Debug, Error)]
pub enum AnswerError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("no summary")]
    SummaryFailed(#[source] Cause),
    /// The deadline came while the summary was being read.
    #[error("reads not done by the deadline")]
    SummaryTimeout,
}

impl AnswerError {
    /// What the caller gets. It does not say why a key is not good.
    pub const fn problem(&self) -> Problem {
        match self {
            Self::Request(RequestError::NotFound) => Problem::NotFound,
            Self::Request(RequestError::MethodNotAllowed) => Problem::MethodNotAllowed,
            Self::Request(RequestError::InvalidEndpoint) => Problem::InvalidEndpoint,
            Self::Request(RequestError::InvalidView) => Problem::InvalidView,
            Self::Request(RequestError::InvalidRange) => Problem::InvalidRange,
            Self::Request(RequestError::MissingKey | RequestError::MalformedKey)
            | Self::Key(KeyError::Unknown | KeyError::Revoked | KeyError::Expired | KeyError::Record(_)) => {
                Problem::InvalidApiKey
            }
            Self::Key(KeyError::Serverless) => Problem::DedicatedOnly,
            Self::Key(KeyError::NotOwned) => Problem::EndpointForbidden,
            Self::Key(KeyError::TooManyEndpoints) => Problem::TooManyEndpoints,
            Self::Key(KeyError::Unavailable(_)) | Self::Limit(LimitError::Unavailable(_)) => Problem::Unavailable,
            Self::Limit(LimitError::Exceeded(limit)) => Problem::RateLimited(*limit),
            Self::SummaryFailed(_) => Problem::SummaryFailed,
            Self::SummaryTimeout => Problem::SummaryTimeout,
        }
    }

    /// The key's rate limit, where that is what the error is about.
    pub const fn limit(&self) -> Option<RateLimit> {
        match self {
            Self::Limit(LimitError::Exceeded(limit)) => Some(*limit),
            _ => None,
        }
    }

    /// Whether a key's record is at fault, which is an operator's to mend.
    pub const fn is_malformed_key_record(&self) -> bool {
        matches!(self, Self::Key(KeyError::Record(_)))
    }
}
