//! A program that has been let in to carry out one act in its account: what every operation is given.
//!
//! The guard makes it, after it has checked passcode, network and right. A handler that takes a
//! [`Program`] can therefore not be reached by anybody else.

use axum::extract::FromRequestParts;
use axum::response::Response;
use collect::{Call, Facts};
use control::{Act, Actor, authz};
use governance::AccountRules;
use http::request::Parts;
use model::AccountId;
use query::ReadPolicy;
use std::sync::Arc;

use crate::error::problem::problem;
use crate::{Error, State, reading};

/// A program that has been let in.
#[derive(Debug, Clone)]
pub(crate) struct Program(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    call: Call,
    actor: Actor,
}

impl Program {
    pub(super) fn new(call: Call) -> Self {
        let caller = &call.caller;
        let scopes = caller.terms.scopes.clone();
        let actor = Actor::program(caller.account(), &caller.passcode_name, scopes);
        let actor = match call.head.peer_address() {
            Some(address) => actor.with_peer(address),
            None => actor,
        };
        Self(Arc::new(Inner { call, actor }))
    }

    /// Who acts.
    pub(crate) fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// The account that everything is about.
    pub(crate) fn account(&self) -> AccountId {
        self.0.call.caller.account()
    }

    /// The account's rules.
    pub(crate) fn rules(&self) -> &Arc<AccountRules> {
        &self.0.call.caller.rules
    }

    /// What was sent, decrypted.
    pub(super) fn body(&self) -> &[u8] {
        self.0.call.bytes()
    }

    /// What is known for the request log.
    pub(super) fn facts(&self) -> Facts {
        self.0.call.facts
    }

    /// What it may read of the account.
    pub(crate) fn policy(&self) -> ReadPolicy {
        reading::policy(self.actor(), self.rules())
    }

    /// What it may read of one person who is named.
    pub(crate) fn person_policy(&self) -> ReadPolicy {
        reading::person_policy(self.actor(), self.rules())
    }

    /// Refuses to encrypt what is sent while it is made: it would have to be in memory as a whole.
    ///
    /// # Errors
    /// [`Error::Whole`].
    pub(crate) fn takes_a_stream(&self) -> Result<(), Error> {
        match self.0.call.head.is_answer_encrypted() {
            true => Err(Error::Whole),
            false => Ok(()),
        }
    }

    /// Whether the program may still: asked again in the course of what takes long. Its passcode may
    /// have been revoked, or have ended.
    pub(crate) fn still_may(&self, state: &State, act: Act) -> bool {
        let rules = Arc::clone(&state.control().rules().borrow());
        let peer = self.0.call.head.peer_address();
        let account = self.account();
        let name = &self.0.call.caller.passcode_name;
        let found = rules
            .account(account)
            .and_then(|it| it.passcodes.iter().find(|it| it.name == *name));
        let Some(passcode) = found.filter(|it| it.terms.accept(state.clock().now(), peer)) else {
            return false;
        };
        let actor = Actor::program(account, name, passcode.terms.scopes.clone());
        rules.admits_to_api(account, peer) && authz::allows(&actor, act, account)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Program {
    type Rejection = Response;

    /// From the request's extensions, where the guard has put it.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| problem(&Error::Absent))
    }
}
