//! What goes out of the house and is tried again when it was not taken: mails, and calls of the alerts'
//! receiver.

use model::Timestamp;
use sqlx::Row as _;
use std::time::Duration;

use crate::database::Session;
use crate::{Error, Result};

/// How often something is tried.
pub(crate) const TRIES_MAX: i64 = 30;
/// How long the first pause between two tries is; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a pause gets at most: thirty tries take about a day.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Mails; those that were sent stay in the outbox.
    Mails,
    /// Calls of the receiver; those that were taken are done with.
    AlertCalls,
}

impl Queue {
    const fn act(self) -> &'static str {
        match self {
            Self::Mails => "note a mail",
            Self::AlertCalls => "note a call of the alerts' receiver",
        }
    }

    /// Notes that one was taken.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub(crate) async fn taken(
        self,
        session: &mut Session,
        id: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        let query = match self {
            Self::Mails => {
                sqlx::query("UPDATE mails SET tries = tries + 1, sent_at = $2 WHERE id = $1")
                    .bind(id)
                    .bind(now.ms())
            }
            Self::AlertCalls => sqlx::query("DELETE FROM alert_calls WHERE id = $1").bind(id),
        };
        let done = query.execute(session.connection()).await;
        done.map(|_| ()).map_err(Error::database(self.act()))
    }

    /// Notes that one was not taken: it waits, longer each time.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub(crate) async fn failed(
        self,
        session: &mut Session,
        id: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        let (read, write) = match self {
            Self::Mails => (
                "SELECT tries FROM mails WHERE id = $1",
                "UPDATE mails SET tries = tries + 1, next_at = $2 WHERE id = $1",
            ),
            Self::AlertCalls => (
                "SELECT tries FROM alert_calls WHERE id = $1",
                "UPDATE alert_calls SET tries = tries + 1, next_at = $2 WHERE id = $1",
            ),
        };
        let row = sqlx::query(read)
            .bind(id.clone())
            .fetch_optional(session.connection())
            .await
            .map_err(Error::database(self.act()))?;
        let Some(row) = row else {
            return Ok(());
        };
        let tries: i64 = row.try_get(0).map_err(Error::database(self.act()))?;
        sqlx::query(write)
            .bind(id)
            .bind(next_try(now, tries).ms())
            .execute(session.connection())
            .await
            .map(|_| ())
            .map_err(Error::database(self.act()))
    }
}

/// When something is tried again that failed `tries` times before.
fn next_try(now: Timestamp, tries: i64) -> Timestamp {
    let doublings = u32::try_from(tries.clamp(0, 16)).unwrap_or(16);
    now.plus(PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::{TRIES_MAX, next_try};
    use model::Timestamp;

    #[test]
    fn what_fails_is_tried_for_about_a_day() {
        let start = Timestamp::from_seconds(1_790_000_000);
        let mut now = start;
        let mut pauses = Vec::new();
        for tries in 0..TRIES_MAX {
            let next = next_try(now, tries);
            pauses.push((next.ms() - now.ms()) / 1_000);
            now = next;
        }
        assert_eq!(pauses[..4], [10, 20, 40, 80]);
        assert_eq!(pauses.last(), Some(&3_600));
        let hours = (now.ms() - start.ms()) / 3_600_000;
        assert!((18..30).contains(&hours), "{hours} hours");
    }
}
