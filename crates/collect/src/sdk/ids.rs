//! Ids that follow from content, and ids that nobody can guess.
//!
//! An SDK sends again what it does not know to have arrived. A record that says the same in the same
//! moment on the same device has the same id, so that what finds two of an id keeps one. Two that are
//! the same within one batch are two: their ordinals differ.

use governance::AsSent;
use model::record::{Change, ChangeOp, Entry, Event, ProfileChange, Quarantined, Record, Source};
use model::{PersonKey, PersonKeySecret, RawJson, RecordId, Secret, Timestamp};
use std::collections::HashMap;
use std::time::Duration;

use super::seen::follows_from_content;

/// A key for one purpose, derived from the account's secret.
pub(crate) fn purpose_key(secret: &PersonKeySecret, purpose: &str) -> Secret<[u8; 32]> {
    Secret::new(*blake3::keyed_hash(secret.expose(), purpose.as_bytes()).as_bytes())
}

/// An id for a browser that has none: 32 hexadecimal digits, as unguessable as the account's secret.
/// `fresh` must never have been used before.
pub(super) fn device_id(secret: &PersonKeySecret, fresh: RecordId) -> String {
    RecordId(digest(&purpose_key(secret, "device id"), &fresh.0)).to_string()
}

/// A nonce for one answer. `fresh` must never have been used before.
pub(super) fn nonce(secret: &PersonKeySecret, fresh: RecordId) -> [u8; 12] {
    let mut nonce = [0; 12];
    let digest = digest(&purpose_key(secret, "answer nonce"), &fresh.0);
    nonce
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    nonce
}

fn digest(key: &Secret<[u8; 32]>, bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    blake3::Hasher::new_keyed(key.expose())
        .update(bytes)
        .finalize_xof()
        .fill(&mut out);
    out
}

/// Gives every record of a batch the id that follows from what it says. `salt` tells batches apart
/// whose equal records are not the same: those of other devices, and a browser numbers its requests.
///
/// Names and links are left alone: writing one twice changes nothing. `sent` says what was sent of
/// records that say something else.
pub(super) fn derive(
    secret: &PersonKeySecret,
    salt: &[u8],
    sent: &HashMap<RecordId, AsSent>,
    entries: &mut [Entry],
) {
    let key = purpose_key(secret, "record id");
    let own = |entry: &&mut Entry| follows_from_content(&entry.record);
    let own = entries.iter_mut().filter(own);
    assign(&key, salt, sent, Again::Record, own);
    receive_in_order(entries);
}

/// Gives every record of one upload the id that follows from the upload, which `salt` names, and from
/// its place among equal ones. The time counts for nothing: where none was sent it is the upload's.
pub(crate) fn derive_for_upload(
    secret: &PersonKeySecret,
    salt: &[u8],
    sent: &HashMap<RecordId, AsSent>,
    entries: &mut [Entry],
) {
    let key = purpose_key(secret, "upload's record id");
    assign(&key, salt, sent, Again::Upload, entries.iter_mut());
    ascend(entries);
}

/// What comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A record, in whatever batch. Its sender may have written it anew.
    Record,
    /// An upload, byte for byte. Where it tells no times, those of its records are others.
    Upload,
}

fn assign<'e>(
    key: &Secret<[u8; 32]>,
    salt: &[u8],
    sent: &HashMap<RecordId, AsSent>,
    again: Again,
    entries: impl Iterator<Item = &'e mut Entry>,
) {
    let mut ordinals: HashMap<[u8; 16], u32> = HashMap::new();
    let as_it_is = AsSent::default();
    for entry in entries {
        let sent = sent.get(&entry.record.id()).unwrap_or(&as_it_is);
        let mut hasher = Content {
            hasher: blake3::Hasher::new_keyed(key.expose()),
            again,
        };
        hasher.bytes(salt);
        let id = match &mut entry.record {
            Record::Event(event) => {
                hasher.event(event, sent);
                &mut event.id
            }
            Record::ProfileChange(change) => {
                hasher.profile_change(change, sent);
                &mut change.id
            }
            Record::Quarantined(quarantined) => {
                hasher.quarantined(quarantined, sent);
                &mut quarantined.id
            }
            Record::Link(_) | Record::Request(_) => continue,
        };
        let mut content = [0; 16];
        hasher.hasher.finalize_xof().fill(&mut content);
        let ordinal = ordinals.entry(content).or_default();
        let mut whole = [0; 20];
        let (first, last) = whole.split_at_mut(16);
        first.copy_from_slice(&content);
        last.copy_from_slice(&ordinal.to_le_bytes());
        *ordinal = ordinal.saturating_add(1);
        *id = RecordId(digest(key, &whole));
    }
}

/// The changes of people among the records of a batch. Names are none: they have no order.
fn changes(entries: &mut [Entry]) -> impl Iterator<Item = &mut ProfileChange> {
    entries
        .iter_mut()
        .filter_map(|entry| match &mut entry.record {
            Record::ProfileChange(it)
                if it.changes.iter().any(|it| it.op != ChangeOp::Identify) =>
            {
                Some(it)
            }
            Record::ProfileChange(_)
            | Record::Event(_)
            | Record::Link(_)
            | Record::Request(_)
            | Record::Quarantined(_) => None,
        })
}

/// Ids that follow from content say nothing of an order: of the changes that a batch makes to one person
/// in one moment each counts as received a millisecond after the one before it.
fn receive_in_order(entries: &mut [Entry]) {
    let mut moments: HashMap<(PersonKey, Timestamp), u64> = HashMap::new();
    for change in changes(entries) {
        let before = moments.entry((change.person, change.ts)).or_default();
        change.received_at = change.received_at.plus(Duration::from_millis(*before));
        *before = before.saturating_add(1);
    }
}

/// The same for an upload, of which all comes again or nothing: the ids change places, and ascend. (Its
/// times stay: where a change names none, it is by time and receipt being one that parts are searched
/// for it as far as the upload may come again. An SDK's ids cannot change places: a record has its own in
/// whatever batch it comes again.)
fn ascend(entries: &mut [Entry]) {
    let mut moments: HashMap<(PersonKey, Timestamp), Vec<&mut RecordId>> = HashMap::new();
    for change in changes(entries) {
        let ids = moments.entry((change.person, change.ts)).or_default();
        ids.push(&mut change.id);
    }
    for ids in moments.into_values() {
        let mut ascending: Vec<RecordId> = ids.iter().map(|it| **it).collect();
        ascending.sort_unstable();
        for (id, next) in ids.into_iter().zip(ascending) {
            *id = next;
        }
    }
}

/// A hash over parts of which each says how long it is.
struct Content {
    hasher: blake3::Hasher,
    again: Again,
}

impl Content {
    fn bytes(&mut self, bytes: &[u8]) {
        self.hasher
            .update(&(bytes.len() as u64).to_le_bytes())
            .update(bytes);
    }

    fn time(&mut self, time: Timestamp) {
        if self.again == Again::Record {
            self.bytes(&time.ms().to_le_bytes());
        }
    }

    fn json(&mut self, text: &str) {
        match self.again {
            Again::Record => {
                let canonical = wire::canonical(text);
                self.bytes(canonical.as_deref().unwrap_or(text).as_bytes());
            }
            Again::Upload => self.bytes(text.as_bytes()),
        }
    }

    fn event(&mut self, event: &Event, sent: &AsSent) {
        self.bytes(b"event");
        self.bytes(&event.person.0);
        let session = match event.source {
            // A browser that had no session yet names the one of now when it sends again.
            Source::Web => 0,
            Source::Android | Source::Ios | Source::Rest | Source::Console => {
                event.session.unwrap_or(0)
            }
        };
        self.bytes(&session.to_le_bytes());
        self.time(event.ts_sent.unwrap_or(event.ts));
        self.bytes(event.name.as_bytes());
        let properties = sent.properties.as_ref().unwrap_or(&event.properties);
        self.json(properties.as_str());
    }

    fn profile_change(&mut self, change: &ProfileChange, sent: &AsSent) {
        self.bytes(b"profile");
        self.bytes(&change.person.0);
        self.time(sent.ts.unwrap_or(change.ts));
        let mut steps: Vec<&Change> =
            Vec::from_iter(sent.changes.as_ref().unwrap_or(&change.changes));
        if self.again == Again::Record {
            // They are in the order of the properties that were sent. Those of one property stay in theirs.
            steps.sort_by_key(|it| &it.property);
        }
        for step in steps {
            self.bytes(step.op.as_str().as_bytes());
            self.bytes(step.property.as_bytes());
            self.json(step.value.as_str());
        }
    }

    fn quarantined(&mut self, quarantined: &Quarantined, sent: &AsSent) {
        self.bytes(b"quarantined");
        self.bytes(&quarantined.code.to_le_bytes());
        self.bytes(quarantined.error.as_bytes());
        let sent = sent.record.as_ref().map(RawJson::as_str);
        match sent.or_else(|| std::str::from_utf8(&quarantined.body).ok()) {
            Some(text) => self.json(text),
            None => self.bytes(&quarantined.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{derive, derive_for_upload, device_id, nonce};
    use governance::AsSent;
    use model::record::{Change, ChangeOp, Entry, Event, ProfileChange, Record, Source};
    use model::{AccountId, PersonKey, RawJson, RecordId, Secret, Timestamp};
    use std::collections::HashMap;

    fn tap(second: i64, properties: &str) -> Entry {
        let ts = Timestamp::from_seconds(second);
        let event = Event {
            id: RecordId([0; 16]),
            person: PersonKey([1; 16]),
            name: "Tap".into(),
            ts,
            received_at: ts,
            ts_sent: None,
            source: Source::Android,
            session: Some(7),
            properties: RawJson::parse(properties).unwrap(),
            context: None,
        };
        Entry {
            account: AccountId::installation(),
            record: Record::Event(event),
        }
    }

    fn ids(salt: &[u8], mut entries: Vec<Entry>) -> Vec<RecordId> {
        derive(&Secret::new([3; 32]), salt, &HashMap::new(), &mut entries);
        entries.iter().map(|it| it.record.id()).collect()
    }

    #[test]
    fn a_batch_that_is_sent_again_has_the_ids_it_had() {
        let batch = || {
            vec![
                tap(1, "{}"),
                tap(1, "{}"),
                tap(2, "{}"),
                tap(1, "{\"n\":1}"),
            ]
        };
        let first = ids(b"", batch());
        assert_eq!(first, ids(b"", batch()));
        let mut different = first.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 4, "two taps of one second are two");
        // Received later, it is the same still; in a request of another number it is not.
        let mut later = batch();
        for entry in &mut later {
            if let Record::Event(event) = &mut entry.record {
                event.received_at = Timestamp::from_seconds(99);
            }
        }
        assert_eq!(first, ids(b"", later));
        assert!(ids(b"rn=2", batch()).iter().all(|id| !first.contains(id)));
    }

    #[test]
    fn a_record_that_is_written_anew_has_the_id_it_had() {
        let (first, anew) = (
            r#"{"a":1,"b":["\u00e9/",{}]}"#,
            r#"{ "b": ["é\/", { }], "a": 1 }"#,
        );
        assert_eq!(ids(b"", vec![tap(1, first)]), ids(b"", vec![tap(1, anew)]));
        let other = r#"{"a":1,"b":[{},"é/"]}"#;
        assert_ne!(ids(b"", vec![tap(1, first)]), ids(b"", vec![tap(1, other)]));
        let id = |steps: &[(&str, ChangeOp, &str)]| {
            let ts = Timestamp::from_seconds(1);
            let step = |(property, op, value): &(&str, ChangeOp, &str)| Change {
                property: (*property).into(),
                op: *op,
                value: RawJson::parse(value).unwrap(),
            };
            let record = Record::ProfileChange(ProfileChange {
                id: RecordId([9; 16]),
                person: PersonKey([1; 16]),
                ts,
                received_at: ts,
                source: Source::Android,
                changes: steps.iter().map(step).collect(),
            });
            let account = AccountId::installation();
            ids(b"", vec![Entry { account, record }])
        };
        let (n, tags) = (("n", ChangeOp::Incr, "1"), ("tags", ChangeOp::Add, "[1]"));
        let less = ("tags", ChangeOp::Remove, "[ 1 ]");
        assert_eq!(id(&[n, tags, less]), id(&[tags, n, less]));
        assert_ne!(id(&[tags, less]), id(&[less, tags]));
    }

    #[test]
    fn a_change_whose_time_was_moved_has_the_id_of_the_time_that_was_sent() {
        let ids = |received: i64, sent: i64| {
            let ts = Timestamp::from_seconds(received);
            let change = ProfileChange {
                id: RecordId([9; 16]),
                person: PersonKey([1; 16]),
                ts,
                received_at: ts,
                source: Source::Android,
                changes: vec![Change {
                    property: "n".into(),
                    op: ChangeOp::Incr,
                    value: RawJson::parse("1").unwrap(),
                }],
            };
            let sent = AsSent {
                ts: Some(Timestamp::from_seconds(sent)),
                ..AsSent::default()
            };
            let sent = HashMap::from([(change.id, sent)]);
            let record = Record::ProfileChange(change);
            let account = AccountId::installation();
            let mut entries = [Entry { account, record }];
            derive(&Secret::new([3; 32]), b"", &sent, &mut entries);
            entries[0].record.id()
        };
        assert_eq!(ids(1, 900_000), ids(2, 900_000));
        assert_ne!(ids(1, 900_000), ids(1, 900_001));
    }

    #[test]
    fn changes_of_one_moment_stay_in_order_and_keep_their_ids() {
        let change = |person: u8, second: i64, plan: &str| {
            let ts = Timestamp::from_seconds(second);
            let record = Record::ProfileChange(ProfileChange {
                id: RecordId([0; 16]),
                person: PersonKey([person; 16]),
                ts,
                received_at: ts,
                source: Source::Android,
                changes: vec![Change {
                    property: "plan".into(),
                    op: ChangeOp::Put,
                    value: RawJson::parse(plan).unwrap(),
                }],
            });
            let account = AccountId::installation();
            Entry { account, record }
        };
        let told = |entries: &[Entry]| {
            let of = |it: &Entry| match &it.record {
                Record::ProfileChange(it) => (it.id, it.received_at.ms()),
                other => panic!("{other:?}"),
            };
            entries.iter().map(of).collect::<Vec<_>>()
        };
        let placed = |mut entries: Vec<Entry>| {
            derive(&Secret::new([3; 32]), b"", &HashMap::new(), &mut entries);
            told(&entries)
        };
        let (free, pro) = (change(1, 7, r#""free""#), change(1, 7, r#""pro""#));
        let others = [change(2, 7, r#""free""#), change(1, 8, r#""free""#)];
        let batch = [vec![free.clone(), pro.clone(), free], others.to_vec()].concat();
        let all = placed(batch.clone());
        let times: Vec<_> = all.iter().map(|(_, ms)| *ms).collect();
        assert_eq!(times, [7_000, 7_001, 7_002, 7_000, 8_000]);
        // Alone it is the record that it was in the batch.
        assert_eq!(placed(vec![pro]), [(all[1].0, 7_000)]);

        for salt in 0..16_u8 {
            let mut upload = batch.clone();
            derive_for_upload(&Secret::new([3; 32]), &[salt], &HashMap::new(), &mut upload);
            let all = told(&upload);
            assert!(all[0].0 < all[1].0 && all[1].0 < all[2].0, "{salt}");
            let times: Vec<_> = all.iter().map(|(_, ms)| *ms).collect();
            assert_eq!(times, [7_000, 7_000, 7_000, 7_000, 8_000]);
        }
    }

    #[test]
    fn a_record_of_which_something_is_left_out_has_the_id_of_all_that_was_sent() {
        let whole = ids(b"", vec![tap(1, "{\"n\":1,\"new\":2}")]);
        let mut entries = [tap(1, "{\"n\":1}")];
        let sent = AsSent {
            properties: Some(RawJson::parse("{\"n\":1,\"new\":2}").unwrap()),
            ..AsSent::default()
        };
        let sent = HashMap::from([(entries[0].record.id(), sent)]);
        derive(&Secret::new([3; 32]), b"", &sent, &mut entries);
        assert_eq!([entries[0].record.id()], whole[..]);
    }

    #[test]
    fn devices_and_nonces_follow_from_what_was_never_used() {
        let secret = Secret::new([3; 32]);
        let one = device_id(&secret, RecordId([1; 16]));
        assert_eq!(one.len(), 32);
        assert!(
            one.bytes()
                .all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        );
        assert_ne!(one, device_id(&secret, RecordId([2; 16])));
        assert_ne!(one, device_id(&Secret::new([4; 32]), RecordId([1; 16])));
        assert_ne!(
            nonce(&secret, RecordId([1; 16])),
            nonce(&secret, RecordId([2; 16]))
        );
    }
}
