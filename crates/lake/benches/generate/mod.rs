//! A shop's traffic, the same for the same seed: events of 5 to 12 properties by people drawn by a
//! Zipf law over 200,000, 40 event names, 93 days, about 330 bytes each as uploaded.

use lake::Keep;
use model::record::{Entry, Event, Record, Source};
use model::{
    AccountId, CommitId, LedgerPosition, PersonKey, RawJson, RecordIds, Timestamp, WriterId,
};
use std::fmt::Write as _;
use std::sync::Arc;

/// Records of one upload.
const BATCH: usize = 1_000;

/// Keeps everybody.
#[derive(Debug)]
pub(crate) struct Everyone;

impl Keep for Everyone {
    fn keep(&self, _: AccountId, _: PersonKey, _: Timestamp) -> bool {
        true
    }

    fn ledger(&self) -> LedgerPosition {
        LedgerPosition(0)
    }
}

struct Dice(u64);

impl Dice {
    /// splitmix64.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// A rank below `end`, the low ones often.
    fn zipf(&mut self, end: u64) -> u64 {
        let share = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        ((end as f64).powf(share) as u64).min(end) - 1
    }
}

/// `count` events in commits of 10,000, and the names of the accounts they belong to.
pub(crate) fn commits(
    account: AccountId,
    count: usize,
    seed: u64,
) -> Vec<(CommitId, Arc<Vec<Entry>>)> {
    let writer = WriterId { node: 1, start: 1 };
    let ids = RecordIds::new(writer);
    let mut dice = Dice(seed);
    let start = 1_780_000_000_i64;
    let mut commits = Vec::new();
    let mut made = 0;
    while made < count {
        let mut entries = Vec::new();
        while entries.len() < 10 * BATCH && made < count {
            let id = ids.batch();
            let received_at = Timestamp::from_ms((start + 93 * 86_400) * 1_000 + made as i64);
            for ordinal in 0..BATCH.min(count - made) {
                let event = event(&mut dice, id(ordinal as u32), start, received_at);
                entries.push(Entry {
                    account,
                    record: Record::Event(event),
                });
            }
            made += BATCH;
        }
        let id = CommitId {
            writer,
            number: commits.len() as u64 + 1,
        };
        commits.push((id, Arc::new(entries)));
    }
    commits
}

fn event(dice: &mut Dice, id: model::RecordId, start: i64, received_at: Timestamp) -> Event {
    let mut person = [0; 16];
    let mut of_person = Dice(dice.zipf(200_000));
    person[..8].copy_from_slice(&of_person.roll().to_be_bytes());
    person[8..].copy_from_slice(&of_person.roll().to_be_bytes());
    let seconds = start + dice.below(93 * 86_400) as i64;
    let mut text = String::from("{");
    let session = dice.roll();
    let _ = write!(text, "\"session_id\":\"{session:016x}\"");
    let product = dice.zipf(5_000);
    let _ = write!(text, ",\"product_id\":{}", 100_000 + product);
    let cents = 199 + (product * 7_919) % 50_000;
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let _ = write!(text, ",\"price\":{}", price);
    let _ = write!(text, ",\"category\":\"category-{}\"", product % 24);
    let _ = write!(text, ",\"screen\":\"screen {}\"", dice.zipf(20));
    let extra = dice.below(8);
    if extra > 0 {
        let _ = write!(text, ",\"quantity\":{}", 1 + dice.zipf(6));
    }
    if extra > 1 {
        let _ = write!(text, ",\"city\":\"city of {}\"", dice.zipf(60));
    }
    if extra > 2 {
        let _ = write!(text, ",\"in_stock\":{}", dice.below(10) > 0);
    }
    if extra > 3 {
        let _ = write!(text, ",\"duration_ms\":{}", dice.zipf(60_000));
    }
    if extra > 4 {
        let _ = write!(
            text,
            ",\"currency\":\"{}\"",
            ["EUR", "USD", "GBP"][dice.zipf(3) as usize]
        );
    }
    if extra > 5 {
        let _ = write!(
            text,
            ",\"referrer\":\"https://example.com/from/{}\"",
            dice.zipf(40)
        );
    }
    if extra > 6 {
        let _ = write!(
            text,
            ",\"rating\":{}",
            ["1.5", "2.5", "3.5", "4.5", "5.0"][dice.below(5) as usize]
        );
    }
    text.push('}');
    Event {
        id,
        person: PersonKey(person),
        name: format!("Event Number {}", dice.zipf(40)).into_boxed_str(),
        ts: Timestamp::from_seconds(seconds),
        received_at,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::parse(&text).unwrap(),
        context: None,
    }
}
