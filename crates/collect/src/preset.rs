//! A request that the listener has judged already.

use axum::response::Response;

use crate::{Facts, Refusal};

/// In a request's extensions: it is refused in silence for this reason, and nothing else looks at
/// it. The listener puts one in when the request was not meant for this server, or has more parts
/// than any client of ours sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset(pub &'static str);

impl Preset {
    /// What goes out: nothing.
    pub(crate) fn respond(self) -> Response {
        let mut response = Refusal::Undecodable.respond(Facts::default());
        response.extensions_mut().insert(Facts {
            reason: self.0,
            ..Facts::default()
        });
        response
    }
}
