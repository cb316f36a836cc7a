//! The answer to `POST /a1`.

/// The body: events that the account does not want are named, so that the SDK sends them no more.
#[must_use]
pub fn answer(discarded: &[&str]) -> String {
    if discarded.is_empty() {
        return String::from("{}");
    }
    // Names are texts: they cannot fail to be JSON.
    let names = serde_json::to_string(discarded).unwrap_or_else(|_| String::from("[]"));
    format!("{{\"arp\":{{\"d_e\":{names}}}}}")
}
