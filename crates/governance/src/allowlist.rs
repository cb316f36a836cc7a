//! Where an account's people and programs may come from.

use std::net::IpAddr;

use crate::Network;

/// The networks of an account, and what they hold for. Empty and switched on means nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowlist {
    /// Whether the console asks it.
    pub console: bool,
    /// Whether the API asks it.
    pub api: bool,
    /// The networks.
    pub networks: Vec<Network>,
}

impl Allowlist {
    /// Whether somebody at `peer` may use the console. Who cannot be seen is nowhere.
    #[must_use]
    pub fn admits_to_console(&self, peer: Option<IpAddr>) -> bool {
        !self.console || self.holds(peer)
    }

    /// Whether a program at `peer` may call the API.
    #[must_use]
    pub fn admits_to_api(&self, peer: Option<IpAddr>) -> bool {
        !self.api || self.holds(peer)
    }

    fn holds(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.networks.iter().any(|it| it.contains(peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::Allowlist;
    use std::net::IpAddr;

    #[test]
    fn each_switch_holds_for_itself_and_an_empty_list_admits_nobody() {
        let inside: IpAddr = "192.0.2.9".parse().unwrap();
        let outside: IpAddr = "198.51.100.1".parse().unwrap();
        let off = Allowlist::default();
        assert!(off.admits_to_console(None) && off.admits_to_api(Some(outside)));
        let empty = Allowlist {
            console: true,
            ..Allowlist::default()
        };
        assert!(!empty.admits_to_console(Some(inside)) && empty.admits_to_api(Some(inside)));
        let list = Allowlist {
            console: true,
            api: true,
            networks: vec!["192.0.2.0/24".parse().unwrap()],
        };
        let mapped: IpAddr = "::ffff:192.0.2.9".parse().unwrap();
        for (peer, admitted) in [
            (Some(inside), true),
            (Some(mapped), true),
            (Some(outside), false),
            (None, false),
        ] {
            assert_eq!(list.admits_to_console(peer), admitted, "{peer:?}");
            assert_eq!(list.admits_to_api(peer), admitted, "{peer:?}");
        }
    }
}
