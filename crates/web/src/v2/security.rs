//! `/v2/allowlist` and `/v2/domains`: where the account's people and programs may come from, and whose
//! pages may send.

use axum::extract::State as Of;
use control::{AllowlistChange, AllowlistEntry, AllowlistView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, json};
use super::ask::Sent;
use super::program::Program;
use super::values::Moment;
use crate::{Error, State};

/// Networks that are taken out at once.
const REMOVED_MAX: usize = 1_000;
/// Domains that are taken out at once.
const DOMAINS_MAX: usize = 20;

/// The allowlist of addresses.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Allowlist {
    /// Whether the console asks it.
    console: bool,
    /// Whether the API asks it.
    api: bool,
    /// The networks; none, with a switch on, lets nobody in.
    networks: Vec<AllowedNetwork>,
}

/// A network that is let in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllowedNetwork {
    /// The network.
    network: String,
    /// What it is called; may be empty.
    label: String,
    /// Since when it is in the list.
    created_at: Moment,
}

/// A change of the allowlist: takes out, then adds, then switches.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowlistChanges {
    /// Networks to take out.
    #[serde(default)]
    #[schema(max_items = 1000)]
    remove: Vec<String>,
    /// Networks to add.
    #[serde(default)]
    #[schema(max_items = 20)]
    add: Vec<NetworkToAdd>,
    /// Whether the console is to ask it; as before when null.
    console: Option<bool>,
    /// Whether the API is to ask it; as before when null.
    api: Option<bool>,
}

/// A network to let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkToAdd {
    /// An address, or a first address with a number of bits.
    #[schema(example = "192.0.2.0/24", max_length = 64)]
    network: String,
    /// What it is called.
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
}

/// The domains whose pages may send; pages of any domain when there is none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Domains {
    /// The domains, each for itself and its `www.`.
    domains: Vec<String>,
}

/// A change of the domains: takes out, then adds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DomainChanges {
    /// Domains to take out.
    #[serde(default)]
    #[schema(max_items = 20)]
    remove: Vec<String>,
    /// Domains to add.
    #[serde(default)]
    #[schema(max_items = 20)]
    add: Vec<String>,
}

/// Shows the allowlist of addresses
#[utoipa::path(
    get,
    path = "/v2/allowlist",
    operation_id = "showAllowlist",
    tag = "Security",
    responses((status = 200, description = "The allowlist.", body = Allowlist))
)]
pub(crate) async fn allowlist(program: Program, Of(state): Of<State>) -> Answer {
    let control = state.control();
    let list = control.allowlist(program.actor(), program.account());
    json(&shown(list.await?))
}

/// Changes the allowlist of addresses
///
/// It holds from the next request of everybody. A change that would lock out the caller's own address
/// is refused.
#[utoipa::path(
    post,
    path = "/v2/allowlist",
    operation_id = "changeAllowlist",
    tag = "Security",
    request_body = AllowlistChanges,
    responses((status = 200, description = "The allowlist.", body = Allowlist))
)]
pub(crate) async fn change_allowlist(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<AllowlistChanges>,
) -> Answer {
    few("remove", sent.remove.len(), REMOVED_MAX)?;
    let add = sent.add.into_iter().map(|it| (it.network, it.label));
    let change = AllowlistChange {
        remove: sent.remove,
        add: add.collect(),
        console: sent.console,
        api: sent.api,
    };
    let control = state.control();
    let changed = control.change_allowlist(program.actor(), program.account(), change);
    json(&shown(changed.await?))
}

/// Shows the domains whose pages may send
#[utoipa::path(
    get,
    path = "/v2/domains",
    operation_id = "showDomains",
    tag = "Security",
    responses((status = 200, description = "The domains.", body = Domains))
)]
pub(crate) async fn domains(program: Program, Of(state): Of<State>) -> Answer {
    let control = state.control();
    let account = control.account(program.actor(), program.account()).await?;
    json(&Domains {
        domains: account.domains,
    })
}

/// Changes the domains whose pages may send
///
/// What is out or in already is no error.
#[utoipa::path(
    post,
    path = "/v2/domains",
    operation_id = "changeDomains",
    tag = "Security",
    request_body = DomainChanges,
    responses((status = 200, description = "The domains.", body = Domains))
)]
pub(crate) async fn change_domains(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<DomainChanges>,
) -> Answer {
    few("remove", sent.remove.len(), DOMAINS_MAX)?;
    let control = state.control();
    let (actor, account) = (program.actor(), program.account());
    let changed = control.change_domains(actor, account, &sent.add, &sent.remove);
    json(&Domains {
        domains: changed.await?,
    })
}

fn few(what: &str, number: usize, most: usize) -> Result<(), Error> {
    if number > most {
        return Err(Error::Malformed(format!("`{what}` must be at most {most}")));
    }
    Ok(())
}

fn shown(list: AllowlistView) -> Allowlist {
    let network = |it: AllowlistEntry| AllowedNetwork {
        network: it.network,
        label: it.label,
        created_at: Moment(it.created_at),
    };
    Allowlist {
        console: list.console,
        api: list.api,
        networks: list.entries.into_iter().map(network).collect(),
    }
}
