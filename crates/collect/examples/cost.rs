//! Uploads of 1,000 generated events from the body to the commit in memory, on one thread and without
//! TLS, HTTP and volumes: for counting instructions, which do not depend on what else runs.
//!
//! `valgrind --tool=callgrind target/release/examples/cost 60`, then `callgrind_annotate
//! --inclusive=yes`. The generator's share (`Generator::body`) is to be left out.

#![expect(clippy::print_stdout, reason = "its output is its result")]

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "shared with the tests, which allow these"
)]
#[path = "../../server/tests/it/generate.rs"]
mod generate;

use governance::{AccountRules, Announced, Arrival, PasscodeHash};
use jiff::tz::TimeZone;
use journal::{Journal, Settings};
use model::record::Source;
use model::{Clock, ManualClock, RecordIds, Secret, Timestamp, WriterId};
use object_store::memory::InMemory;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Events in one upload.
const EVENTS: usize = 1_000;
/// The first second of the generated days.
const START: u64 = 1_785_542_400;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let uploads: usize = std::env::args().nth(1).as_deref().unwrap_or("60").parse()?;
    let received_at = Timestamp::from_seconds(i64::try_from(START + generate::DAYS * 86_400)?);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(received_at));
    let (secret, token) = (Secret::new([7; 32]), PasscodeHash::of("token"));
    let rules = AccountRules::new("COST".parse()?, "cost", TimeZone::UTC, secret, token);
    let announced = Announced::default();
    let writer = WriterId { node: 1, start: 1 };
    let ids = RecordIds::new(writer);
    let settings = Settings {
        gather: Duration::ZERO,
        ..Settings::default()
    };
    let store = Arc::new(InMemory::new());
    let (journal, owner, _) = Journal::open(settings, store, writer, &[], clock).await?;
    tokio::spawn(owner.run(std::future::pending()));

    let mut generator = generate::Generator::new(1, START, 0);
    let mut accepted = 0;
    for _ in 0..uploads {
        let body = generator.body(EVENTS, |_| ());
        let decoded = wire::rest::upload::decode(body.as_bytes());
        let batch = decoded.map_err(|refusal| format!("{refusal:?}"))?;
        let arrival = Arrival {
            source: Source::Rest,
            received_at,
            ids: &ids.batch(),
        };
        let mut admitted = governance::admit(&rules, batch, &arrival, &announced);
        accepted += admitted.processed();
        journal.append(admitted.take_entries()).await?;
        announced.remember(admitted.take_announcements());
    }
    let bytes: u64 = journal.live().iter().map(|it| it.size_bytes).sum();
    println!("{accepted} events in {bytes} bytes of commits");
    Ok(())
}
