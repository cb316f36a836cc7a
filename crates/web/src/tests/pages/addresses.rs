//! From where requests came: whole addresses for those who see personal information, networks for
//! the others.

use governance::access::SystemRole;

use super::visitor::{Visitor, room};

const WHOLE: &str = "203.0.113.9";
const NETWORK: &str = "203.0.113.0/24";

#[tokio::test]
async fn who_does_not_see_personal_information_is_shown_networks() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let auditor = Visitor::new(&room, SystemRole::Auditor);
    for path in ["/requests", "/requests?format=csv"] {
        let whole = admin.get(path).await.body;
        assert!(whole.contains(WHOLE), "{path}: {whole}");
        let part = auditor.get(path).await.body;
        assert!(part.contains(NETWORK), "{path}: {part}");
        assert!(!part.contains(WHOLE), "{path}: {part}");
    }
}

#[tokio::test]
async fn an_address_is_looked_for_by_those_who_are_shown_it_and_a_network_by_all() {
    let room = room().await;
    let admin = Visitor::new(&room, SystemRole::Admin);
    let auditor = Visitor::new(&room, SystemRole::Auditor);
    let by = |peer: &str| format!("/requests?peer={}", peer.replace('/', "%2F"));
    let found = admin.get(&by(WHOLE)).await;
    assert_eq!(found.status, 200);
    assert!(found.body.contains("/1/upload"), "{}", found.body);
    for visitor in [&admin, &auditor] {
        let found = visitor.get(&by(NETWORK)).await.body;
        assert!(found.contains("/1/upload"), "{found}");
        let nothing = visitor.get(&by("198.51.100.0/24")).await.body;
        assert!(nothing.contains("No request matches"), "{nothing}");
    }
    // The answer is the same for an address that is there and one that is not.
    for peer in [WHOLE, "203.0.113.8", "::ffff:203.0.113.9"] {
        for path in [by(peer), format!("{}&format=csv", by(peer))] {
            let refused = auditor.get(&path).await;
            assert_eq!(refused.status, 422, "{path}");
            let words = "look for the network 203.0.113.0/24";
            assert!(refused.body.contains(words), "{path}: {}", refused.body);
            assert!(!refused.body.contains("/1/upload"), "{path}");
        }
    }
}
