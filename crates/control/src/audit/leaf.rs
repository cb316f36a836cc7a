//! The bytes of an entry whose hash is its leaf. Drawn in `docs/formats/audit.md`.

use seal::merkle::{Hash, leaf_hash};

use super::AuditEntry;

const MAGIC: &[u8; 8] = b"SRAUDENT";
const VERSION: u16 = 1;

/// Bytes of the salt that keeps a leaf from telling its entry once that is gone.
pub(crate) const SALT_BYTES: usize = 16;

/// Everything that the leaf holds, as it stands in a table or in a download.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) account: &'a str,
    pub(crate) sequence: u64,
    pub(crate) at_ms: i64,
    pub(crate) actor_kind: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) role: &'a str,
    pub(crate) action: &'a str,
    pub(crate) action_id: &'a str,
    pub(crate) description: &'a str,
    pub(crate) outcome: &'a str,
    /// The address as text; empty for the machine itself.
    pub(crate) peer: &'a str,
}

impl Fields<'_> {
    /// The bytes: magic, version, then each field after its length.
    pub(crate) fn bytes(&self, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        let (sequence, at) = (self.sequence.to_le_bytes(), self.at_ms.to_le_bytes());
        let fields: [&[u8]; 12] = [
            self.account.as_bytes(),
            &sequence,
            &at,
            self.actor_kind.as_bytes(),
            self.actor.as_bytes(),
            self.role.as_bytes(),
            self.action.as_bytes(),
            self.action_id.as_bytes(),
            self.description.as_bytes(),
            self.outcome.as_bytes(),
            self.peer.as_bytes(),
            salt,
        ];
        for field in fields {
            // Longer ones are cut before they get here.
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(field);
        }
        out
    }

    /// The leaf.
    pub(crate) fn hash(&self, salt: &[u8; SALT_BYTES]) -> Hash {
        leaf_hash(&self.bytes(salt))
    }
}

/// The leaf of an entry.
pub(crate) fn hash(entry: &AuditEntry, salt: &[u8; SALT_BYTES]) -> Hash {
    let peer = entry.peer.map(|peer| peer.to_string()).unwrap_or_default();
    Fields {
        account: entry.account.as_str(),
        sequence: entry.sequence,
        at_ms: entry.at.ms(),
        actor_kind: &entry.actor_kind,
        actor: &entry.actor,
        role: &entry.role,
        action: entry.action.as_str(),
        action_id: &entry.action_id,
        description: &entry.description,
        outcome: entry.outcome.as_str(),
        peer: &peer,
    }
    .hash(salt)
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn the_bytes_of_an_entry_are_those_of_the_page() {
        let fields = Fields {
            account: "A",
            sequence: 2,
            at_ms: 3,
            actor_kind: "os_user",
            actor: "o",
            role: "r",
            action: "a.b",
            action_id: "",
            description: "d",
            outcome: "done",
            peer: "",
        };
        let shown = hex::encode(fields.bytes(&[7; 16]));
        let expect = concat!(
            "53524155",
            "44454e54",
            "0100",
            "01000000",
            "41",
            "08000000",
            "0200000000000000",
            "08000000",
            "0300000000000000",
            "07000000",
            "6f735f75736572",
            "01000000",
            "6f",
            "01000000",
            "72",
            "03000000",
            "612e62",
            "00000000",
            "01000000",
            "64",
            "04000000",
            "646f6e65",
            "00000000",
            "10000000",
            "07070707070707070707070707070707",
        );
        assert_eq!(shown, expect);
    }

    #[test]
    fn no_two_entries_have_the_same_bytes() {
        let fields = |actor, role| Fields {
            account: "A",
            sequence: 1,
            at_ms: 1,
            actor_kind: "k",
            actor,
            role,
            action: "a",
            action_id: "i",
            description: "d",
            outcome: "o",
            peer: "",
        };
        assert_ne!(
            fields("ab", "c").bytes(&[0; 16]),
            fields("a", "bc").bytes(&[0; 16])
        );
        assert_ne!(
            fields("a", "b").hash(&[0; 16]),
            fields("a", "b").hash(&[1; 16])
        );
    }
}
