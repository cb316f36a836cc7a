//! A quarantined record is decoded again, by the rules as they are now, and stored if they let it.
//!
//! What is stored has the id that the record had in quarantine, so that whoever looks for that id
//! finds out whether it was replayed. Who may ask for it, and that it happens once, is the caller's
//! matter.

use governance::{Admitted, Arrival, admit};
use model::opt_out::OptOut;
use model::record::{ChangeOp, Entry, Quarantined, Record, Source};
use model::submission::Batch;
use model::{AccountId, RecordId};
use std::borrow::Cow;
use wire::mobile_sdk::{self, Body};
use wire::rest::upload;
use wire::web_sdk;

use crate::State;

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// So many records are durable.
    Stored(u32),
    /// The rules still refuse it, its people were deleted, or its device has opted out: the code and the
    /// text of the first refusal. Nothing was stored.
    Refused(u16, String),
    /// There is no account of the name any more, or the record came in no dialect.
    NotReplayable,
}

/// Whether what came so can be read again.
#[must_use]
pub fn is_replayable(source: Source) -> bool {
    Dialect::of(source).is_some()
}

/// What a record is read by.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Rest,
    Web,
    Mobile,
}

impl Dialect {
    const fn of(source: Source) -> Option<Self> {
        match source {
            Source::Rest => Some(Self::Rest),
            Source::Web => Some(Self::Web),
            Source::Android | Source::Ios => Some(Self::Mobile),
            Source::Console => None,
        }
    }
}

/// Replays one record, or a body that could not be decoded.
///
/// # Errors
/// What the journal says: unavailable means that the outcome is not known.
pub async fn replay(
    state: &State,
    account: AccountId,
    quarantined: &Quarantined,
) -> journal::Result<Replayed> {
    let mut admitted = match decide(state, account, quarantined) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(refused),
    };
    let kept = admitted.processed().saturating_sub(admitted.suppressed());
    if kept == 0 {
        // A name of theirs that is new is theirs all the same.
        state.report_reached(account, admitted.reached());
        return Ok(refused("the people in it were deleted"));
    }
    let mut entries = admitted.take_entries();
    keep_id(quarantined.id, &mut entries);
    let said: Vec<OptOut> = entries.iter().filter_map(OptOut::of).collect();
    state.journal().append(entries).await?;
    state.remember_opt_outs(&said);
    state.announced().remember(admitted.take_announcements());
    state.report_reached(account, admitted.reached());
    let from = (quarantined.source, quarantined.received_at);
    state.report_left_out(account, from, admitted.left_out());
    Ok(Replayed::Stored(kept))
}

/// What the rules make of it now; as an error, why nothing is to be stored.
fn decide(
    state: &State,
    account: AccountId,
    quarantined: &Quarantined,
) -> Result<Admitted, Replayed> {
    let rules = state.rules();
    let rules = rules.account(account).ok_or(Replayed::NotReplayable)?;
    let dialect = Dialect::of(quarantined.source).ok_or(Replayed::NotReplayable)?;
    let body = plain(dialect, quarantined);
    let batch = read(dialect, account, quarantined.source, &body)?;
    if batch.records.is_empty() && batch.rejections.is_empty() {
        return Err(refused("there is nothing in it to be stored"));
    }
    let names = batch.records.first().map(|it| &it.names);
    let device = names.and_then(|it| it.object_id.as_deref().map(str::to_owned));
    let device = device.filter(|_| quarantined.source.is_sdk());
    let fresh = state.record_ids().batch();
    let arrival = Arrival {
        source: quarantined.source,
        received_at: quarantined.received_at,
        ids: &fresh,
    };
    let admitted = admit(rules, batch, &arrival, state.announced());
    if let Some(rejection) = admitted.rejections().first() {
        let text = rejection.reason.as_str().to_owned();
        return Err(Replayed::Refused(rejection.reason.code(), text));
    }
    if device.is_some_and(|it| state.refuses(rules, &it, admitted.entries())) {
        return Err(refused("the device has opted out"));
    }
    Ok(admitted)
}

fn refused(why: &str) -> Replayed {
    Replayed::Refused(0, why.to_owned())
}

/// The bytes that its dialect's decoder reads.
fn plain(dialect: Dialect, quarantined: &Quarantined) -> Cow<'_, [u8]> {
    let body = quarantined.body.as_slice();
    match dialect {
        Dialect::Rest if quarantined.code != 0 => Cow::Owned([b"{\"d\":[", body, b"]}"].concat()),
        Dialect::Mobile => match mobile_sdk::decode(body) {
            Ok(Body::Sealed(it)) => {
                let opened = seal::transit::open(&it.key, it.nonce, &it.payload);
                opened.map_or(Cow::Borrowed(body), Cow::Owned)
            }
            Ok(Body::Plain(_)) | Err(_) => Cow::Borrowed(body),
        },
        Dialect::Rest | Dialect::Web => Cow::Borrowed(body),
    }
}

/// Decodes it by its dialect.
fn read(
    dialect: Dialect,
    account: AccountId,
    source: Source,
    body: &[u8],
) -> Result<Batch<'_>, Replayed> {
    match dialect {
        Dialect::Rest => upload::decode(body).map_err(|_| refused("the body is not an upload")),
        Dialect::Web => {
            let text = std::str::from_utf8(body).ok();
            let batch = text.and_then(|it| web_sdk::reread(it).ok());
            batch.ok_or_else(|| refused("the message cannot be read"))
        }
        Dialect::Mobile => match mobile_sdk::decode(body) {
            Ok(Body::Plain(upload))
                if upload.account().is_none_or(|it| *it == *account.as_str()) =>
            {
                Ok(upload.batch(source))
            }
            Ok(_) | Err(_) => Err(refused("the message cannot be read")),
        },
    }
}

/// Gives the id to the record that was asked for, and further ones of the same body ids that follow from
/// it. Names and links have ids of their own: writing them twice changes nothing.
fn keep_id(id: RecordId, entries: &mut [Entry]) {
    let ranks = entries.iter().enumerate();
    let ranks = ranks.filter_map(|(place, entry)| Some((Rank::of(&entry.record)?, place)));
    let first = ranks.min().map(|(_, place)| place);
    let mut number = 0_u64;
    for (place, entry) in entries.iter_mut().enumerate() {
        if Rank::of(&entry.record).is_none() {
            continue;
        }
        let own = match &mut entry.record {
            Record::Event(event) => &mut event.id,
            Record::ProfileChange(change) => &mut change.id,
            Record::Link(_) | Record::Request(_) | Record::Quarantined(_) => continue,
        };
        *own = if first == Some(place) {
            id
        } else {
            number += 1;
            following(id, number)
        };
    }
}

/// How likely a record is the one that was asked for: others only come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Event,
    /// A change of a person, or a push token.
    Change,
    /// News of the device.
    Device,
}

impl Rank {
    /// None of a record with an id of its own.
    fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Event(_) => Some(Self::Event),
            Record::ProfileChange(change) => {
                let steps = change.changes.iter().map(|it| it.op);
                let own = steps.filter(|it| *it != ChangeOp::Identify);
                let ranks = own.map(|it| match it == ChangeOp::Device {
                    true => Self::Device,
                    false => Self::Change,
                });
                ranks.min()
            }
            Record::Link(_) | Record::Request(_) | Record::Quarantined(_) => None,
        }
    }
}

fn following(id: RecordId, number: u64) -> RecordId {
    let mut bytes = [0; 16];
    blake3::Hasher::new()
        .update(&id.0)
        .update(&number.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    RecordId(bytes)
}
