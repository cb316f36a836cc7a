//! Why a whole call is refused, and the body that says so.

use serde_json::json;

/// A refused call. `docs/wire/rest.md` lists the HTTP status that goes with each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Not JSON, nested too deeply, too many records, or a mandatory parameter is missing. 400
    Malformed,
    /// Events about notifications are not given out. 400
    ExportNotAllowed,
    /// A date is not one, or the first is after the last. 400
    InvalidDates,
    /// A cursor that was not made here, or not for this call. 200
    IncorrectUsage,
    /// A cursor that is too old. 200
    CursorInvalidated,
    /// Asking for the result of a request that does not exist. 400
    InvalidRequestId,
    /// The account does not know this event. 200
    InvalidEvent(String),
    /// A group of a report that is not one. 400
    InvalidGroup,
    /// A call about campaigns, of which there are none here. 501
    NoCampaigns,
    /// No such account. 401
    AccountUnknown,
    /// The passcode is wrong. 401
    CredentialsInvalid,
    /// The passcode may not do this. 403
    Forbidden,
    /// No such call. 404
    NotFound,
    /// Not by this method. 405
    MethodNotAllowed,
    /// The body is too large. 413
    TooLarge,
    /// As many calls as may be are under way. 429
    TooManyRequests,
    /// A fault of the server's own. 500
    Internal,
    /// The store or the control database cannot answer now. 503
    Unavailable,
}

impl Refusal {
    /// The answer's body.
    #[must_use]
    pub fn body(&self) -> String {
        let (error, code) = match self {
            Self::Malformed => ("Malformed request", json!(400)),
            Self::ExportNotAllowed => ("Export not allowed for this event", json!(400)),
            Self::InvalidDates => ("Invalid date range", json!(4002)),
            Self::IncorrectUsage => ("Incorrect Usage", json!(3)),
            Self::CursorInvalidated => ("Invalid cursor", json!("CURSOR_INVALIDATED")),
            Self::InvalidRequestId => ("Invalid request id", json!(400)),
            Self::InvalidEvent(name) => {
                let error = json!([format!("Invalid event : {name}")]).to_string();
                return body(&error, &json!(400));
            }
            Self::InvalidGroup => ("Invalid group", json!(400)),
            Self::NoCampaigns => ("Campaigns are not available on this server", json!(501)),
            Self::AccountUnknown => ("Account ID is not valid", json!(401)),
            Self::CredentialsInvalid => ("Invalid Credentials", json!(401)),
            Self::Forbidden => ("Not allowed", json!(403)),
            Self::NotFound => ("Not found", json!(404)),
            Self::MethodNotAllowed => ("Method not allowed", json!(405)),
            Self::TooLarge => ("Request too large", json!(413)),
            Self::TooManyRequests => ("Too many concurrent requests", json!(429)),
            Self::Internal => ("Internal error", json!(500)),
            Self::Unavailable => ("Service unavailable", json!(503)),
        };
        body(error, &code)
    }
}

fn body(error: &str, code: &serde_json::Value) -> String {
    format!(
        "{{\"status\":\"fail\",\"error\":{},\"code\":{code}}}",
        json!(error)
    )
}
