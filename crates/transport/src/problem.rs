//! Refusals over HTTP: RFC 9457 problem details.
//!
//! A [`Problem`] says what went wrong in words its reader can act on. A
//! [`Refusal`] becomes one without loss: who asked, what for, which rule refused
//! it and what would have been accepted travel as extension members.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base::{Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem detail object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem this is: `urn:interlock:rule:<rule>` for a refusal,
    /// else `about:blank`.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// A short summary of the kind.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was found in this case.
    #[serde(default)]
    pub detail: String,
    /// Where this case can be looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The rule that refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// What would have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

fn blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// A problem that is its HTTP status and one sentence.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: blank(),
            title: status.canonical_reason().unwrap_or("problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            who: None,
            what: None,
            rule: None,
            accepted: None,
        }
    }

    /// The refusal this problem carries, when it carries a whole one.
    pub fn refusal(&self) -> Option<Refusal> {
        Some(Refusal {
            who: self.who.clone()?,
            what: self.what.clone()?,
            rule: self.rule?,
            reason: self.detail.clone(),
            accepted: self.accepted.clone()?,
        })
    }

    /// Whether repeating the same request is of no use (`docs/formats.md`, 16).
    pub fn is_final(&self) -> bool {
        match self.rule {
            // A full disk, too many requests, a clock that is ahead: these pass.
            Some(rule) => !matches!(rule, Rule::Limit | Rule::Freshness | Rule::Time),
            None => matches!(self.status, 400 | 404 | 405 | 409 | 410 | 413 | 415 | 422),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusal() {
            Some(refusal) => refusal.fmt(f),
            None => write!(f, "{} ({}): {}", self.title, self.status, self.detail),
        }
    }
}

impl std::error::Error for Problem {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.rule {
            Rule::Format => StatusCode::BAD_REQUEST,
            Rule::Replay | Rule::State | Rule::Hold => StatusCode::CONFLICT,
            Rule::Limit => StatusCode::TOO_MANY_REQUESTS,
            Rule::Freshness => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        };
        Self {
            kind: format!("urn:interlock:rule:{}", refusal.rule),
            title: format!("refused by rule `{}`", refusal.rule),
            who: Some(refusal.who),
            what: Some(refusal.what),
            rule: Some(refusal.rule),
            accepted: Some(refusal.accepted),
            ..Self::new(status, refusal.reason)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        (status, [kind], serde_json::to_vec(&self).unwrap_or_default()).into_response()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_travels_without_loss() {
        let refusal = Refusal {
            who: "anna".to_owned(),
            what: "order 12".to_owned(),
            rule: Rule::Policy,
            reason: "no role of anna allows it".to_owned(),
            accepted: "the role operator in cell-1".to_owned(),
        };
        let problem = Problem::from(refusal.clone());
        assert_eq!(problem.status, 403);
        let sent: Problem = serde_json::from_slice(&serde_json::to_vec(&problem).unwrap()).unwrap();
        assert_eq!(sent.refusal(), Some(refusal.clone()));
        assert_eq!(sent.to_string(), refusal.to_string());
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }

    #[test]
    fn only_what_stays_refused_is_final() {
        let refusal = |rule| Refusal {
            who: "cell-1".to_owned(),
            what: "an entry".to_owned(),
            rule,
            reason: "because".to_owned(),
            accepted: "another".to_owned(),
        };
        for rule in [Rule::Policy, Rule::Replay, Rule::Target, Rule::State, Rule::Format] {
            assert!(Problem::from(refusal(rule)).is_final(), "{rule}");
        }
        for rule in [Rule::Limit, Rule::Freshness, Rule::Time] {
            assert!(!Problem::from(refusal(rule)).is_final(), "{rule}");
        }
        for (status, last) in [(400, true), (413, true), (401, false), (429, false), (503, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Problem::new(status, "").is_final(), last, "{status}");
        }
    }

    #[test]
    fn members_follow_rfc_9457() {
        let problem = Problem::new(StatusCode::NOT_FOUND, "no run `r-9`");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no run `r-9`"
            })
        );
    }
}
