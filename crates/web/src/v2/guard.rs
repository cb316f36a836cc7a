//! What stands before every operation: who calls, on what terms, within which ceilings, and whether
//! the passcode is good for the act.

use axum::body::Body;
use axum::extract::{Request, State as Of};
use axum::middleware::Next;
use axum::response::Response;
use collect::{Ceiling, Facts, Line};

use super::document;
use super::program::Program;
use super::table::Operation;
use crate::error::problem::problem;
use crate::{Error, State};

/// The layer of one operation.
pub(super) async fn guard(
    Of((state, operation)): Of<(State, &'static Operation)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let asked = Request::from_parts(parts.clone(), body);
    let ceiling = Ceiling::Acts(operation.path);
    let program = match collect::enter(state.collect(), ceiling, asked).await {
        Ok(call) => Program::new(call),
        Err(refused) => return refused,
    };
    // Whatever it is answered, its line is in the log first.
    let facts = Facts {
        line: Line::Awaited,
        ..program.facts()
    };
    let control = state.control();
    let may = control.authorize(program.actor(), operation.act, program.account());
    let asks = parts.uri.query().is_some_and(|it| !it.is_empty());
    let mut response = match may.await {
        Ok(()) if asks && !document::has_a_query(operation) => {
            let words = "the query string is not as documented: there are no parameters here";
            problem(&Error::Malformed(words.to_owned()))
        }
        Ok(()) => {
            let mut request = Request::from_parts(parts, Body::empty());
            request.extensions_mut().insert(program);
            next.run(request).await
        }
        Err(error) => problem(&Error::from(error)),
    };
    let known = response.extensions().get::<Facts>();
    let reason = known.map_or("", |it| it.reason);
    response.extensions_mut().insert(Facts { reason, ..facts });
    response
}
