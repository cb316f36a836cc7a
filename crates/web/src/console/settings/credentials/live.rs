//! What arrives, as it comes: requests of the last minutes, and why records in them were rejected.

use std::time::Duration;

use crate::console::staff::Staff;
use crate::console::view::{Badge, Moment, Times, Tone, count};
use crate::operate::quarantine::groups;
use crate::operate::requests::REJECTED;
use crate::operate::{Row, moment, number, rows_under, text, time};
use crate::{Error, Result, State};

/// The time that the live view shows.
const LIVE: Duration = Duration::from_secs(15 * 60);
/// Requests that it shows.
const LINES: usize = 20;

/// What the live view shows.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) accepted: String,
    pub(super) rejected: String,
    pub(super) lines: Vec<Line>,
    /// Of each kind of error its code, its words and how many records.
    pub(super) errors: Vec<(String, String, String)>,
}

/// A request of the last minutes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Moment,
    pub(super) plane: String,
    pub(super) path: String,
    pub(super) outcome: Badge,
    pub(super) accepted: String,
    pub(super) rejected: String,
}

impl Live {
    /// Requests of the last minutes, the newest first, and the errors among them. No line says from
    /// where it came.
    pub(super) async fn new(staff: &Staff, state: &State, times: &Times) -> Result<Self> {
        let policy = staff.policy().ok_or(Error::Absent)?;
        let since = times.now().minus(LIVE);
        let sql = format!(
            "SELECT ts, plane, path, outcome, reason, accepted, {REJECTED} AS rejected \
             FROM requests WHERE ts >= {} AND plane <> 'console' ORDER BY ts DESC LIMIT 500",
            moment(since)
        );
        let rows = rows_under(state, &policy, &sql).await?;
        let errors = groups(state, staff.actor(), staff.account(), since).await?;
        let errors = errors.into_iter().map(|it| {
            (
                it.code.to_string(),
                it.error.replace('_', " "),
                count(it.count),
            )
        });
        let total = |name: &str| count(rows.iter().map(|row| number(row, name)).sum());
        let lines = rows.iter().take(LINES).map(|row| line(row, times));
        Ok(Self {
            accepted: total("accepted"),
            rejected: total("rejected"),
            lines: lines.collect::<Result<_>>()?,
            errors: errors.collect(),
        })
    }
}

fn line(row: &Row, times: &Times) -> Result<Line> {
    let outcome = match (text(row, "outcome"), text(row, "reason")) {
        ("answered", _) => Badge::new(Tone::Ok, "Answered"),
        (_, "") => Badge::new(Tone::Warn, "Refused"),
        (_, reason) => Badge::new(Tone::Warn, reason.replace('_', " ")),
    };
    Ok(Line {
        at: times.at(time(row, "ts")?),
        plane: text(row, "plane").to_owned(),
        path: text(row, "path").to_owned(),
        outcome,
        accepted: count(number(row, "accepted")),
        rejected: count(number(row, "rejected")),
    })
}
