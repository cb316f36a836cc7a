//! The answer to `POST /a1`.

/// The body: events that the account does not want are named, so that the SDK sends them no more. When
/// there are none that is said too: an SDK goes on with what it was told last. Where it asks for the
/// account's variables it is told that there are none, and what waits for them goes on.
#[must_use]
pub fn answer(discarded: &[&str], wants_variables: bool) -> String {
    // Names are texts: they cannot fail to be JSON.
    let names = serde_json::to_string(discarded).unwrap_or_else(|_| String::from("[]"));
    let variables = if wants_variables { ",\"vars\":{}" } else { "" };
    format!("{{\"arp\":{{\"d_e\":{names}}}{variables}}}")
}
