//! The person whom an operation is about: somebody of the program's account, by the key in the path.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use model::PersonKey;
use query::{PersonView, ReadPolicy};

use super::ask::Named;
use super::program::Program;
use crate::error::problem::problem;
use crate::operate::people::Reader;
use crate::{Error, Result, State};

/// A person who is there. Whoever is not, or not for this program, is answered with 404.
#[derive(Debug)]
pub(super) struct Known {
    /// What the program may read of them.
    pub(super) policy: ReadPolicy,
    /// The key that they are called by.
    pub(super) person: PersonKey,
    /// What is held of them.
    pub(super) view: PersonView,
}

impl Known {
    async fn find(program: &Program, state: &State, key: &str) -> Result<Self> {
        let key: PersonKey = key.parse().map_err(|_| Error::Absent)?;
        let policy = program.person_policy();
        let found = reader(program, state, &policy).find(key).await?;
        let (person, view) = found.ok_or(Error::Absent)?;
        Ok(Self {
            policy,
            person,
            view,
        })
    }

    /// The program, at what is held of them.
    pub(super) fn reader<'a>(&'a self, program: &'a Program, state: &'a State) -> Reader<'a> {
        reader(program, state, &self.policy)
    }
}

impl FromRequestParts<State> for Known {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let program = Program::from_request_parts(parts, state).await?;
        let Named(key) = Named::<String>::from_request_parts(parts, state).await?;
        let found = Box::pin(Self::find(&program, state, &key)).await;
        found.map_err(|error| problem(&error))
    }
}

/// The program, at people of its account.
pub(super) fn reader<'a>(
    program: &'a Program,
    state: &'a State,
    policy: &'a ReadPolicy,
) -> Reader<'a> {
    Reader {
        state,
        actor: program.actor(),
        account: program.account(),
        policy,
    }
}
