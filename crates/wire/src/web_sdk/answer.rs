//! The answer to `GET /a`: a script that calls the SDK, or the same as JSON.
//!
//! Everything in it is ours or was checked to hold no quote and no backslash: it is run by a browser.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::query::OUT;
use crate::sdk::is_device_id;

/// What the SDK mixes into the names of events that it is told to send no more.
const MIXED_IN: &[u8] = b"WZRK2014WZRK";

/// What a browser is told.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The browser's id; it must be a device id.
    pub device: &'a str,
    /// The session that it is in.
    pub session: u32,
    /// Somebody has signed in: take the id, whatever you had before.
    pub is_login: bool,
    /// The number of the request that is answered. Without it the SDK sends the request again.
    pub number: u64,
    /// Whether the browser is out, where it asked to be out or in; none where it did not. The SDK takes
    /// any answer to a question that it did not ask for another id.
    pub opt_out: Option<bool>,
    /// The browser has opted out before: its id keeps the mark.
    pub is_out: bool,
    /// Events that the account does not want; none when nothing is to be said of them. The browser adds
    /// what it is told to what it remembers: there an empty list ends the one before.
    pub discarded: Option<&'a [&'a str]>,
    /// The SDK asks for the account's variables. There are none, but what waits for them goes on.
    pub wants_variables: bool,
}

impl Answer<'_> {
    /// The script.
    #[must_use]
    pub fn script(&self) -> String {
        let opt_out = match self.opt_out {
            Some(opt_out) => format!(",{opt_out}"),
            None => String::new(),
        };
        format!(
            "$WZRK_WR.tr({});$WZRK_WR.s('{}',{},{},{}{opt_out});",
            self.told(),
            self.id(),
            self.session,
            self.is_login,
            self.number
        )
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let opt_out = match self.opt_out {
            Some(opt_out) => format!(",\"optOut\":{opt_out}"),
            None => String::new(),
        };
        format!(
            "{{\"tr\":{},\"meta\":{{\"g\":\"{}\",\"sid\":{},\"rf\":{},\"rn\":\"{}\"{opt_out}}}}}",
            self.told(),
            self.id(),
            self.session,
            self.is_login,
            self.number
        )
    }

    /// The id, marked when the browser has opted out.
    fn id(&self) -> String {
        let device = if is_device_id(self.device) {
            self.device
        } else {
            ""
        };
        let is_out = self.opt_out.unwrap_or(self.is_out);
        let mark = if is_out { OUT } else { "" };
        format!("{device}{mark}")
    }

    /// What the SDK is to remember and to send back.
    fn told(&self) -> String {
        let mut members = Vec::new();
        if let Some(discarded) = self.discarded {
            let names: Vec<_> = discarded
                .iter()
                .map(|it| format!("\"{}\"", mixed(it)))
                .collect();
            members.push(format!("\"d_e\":[{}]", names.join(",")));
        }
        if self.is_login {
            // It replaces what was remembered of the person before.
            members.push(String::from("\"isOUL\":true"));
        }
        let variables = if self.wants_variables {
            ",\"vars\":{}"
        } else {
            ""
        };
        format!("{{\"arp\":{{{}}}{variables}}}", members.join(","))
    }
}

/// An event's name in the form in which the SDK compares it.
fn mixed(name: &str) -> String {
    let mixed = name
        .bytes()
        .zip(MIXED_IN.iter().cycle())
        .map(|(a, b)| a ^ b);
    STANDARD.encode(mixed.collect::<Vec<u8>>())
}
