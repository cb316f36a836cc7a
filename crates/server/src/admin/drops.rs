//! Drops, in groups of one reason and path: what there is, samples of it, and its review.
//!
//! The request log is the only record of drops, so that the counts of groups add up to what was
//! dropped whatever restarts and crashes lie in between. What is still in memory is written first.

use anyhow::{Context as _, Result, bail};
use collect::{Flush, OTHER_PATHS};
use control::{Action, Actor, AuditOutcome, DropReview, SeenDrops};
use model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::mpsc;

use super::Frame;
use super::rows::{moment, number, quoted, rows, send_array, text, time};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// Groups that are listed; the rest of each reason is one group more.
const GROUPS_MAX: usize = 10_000;
/// Groups whose latest drops are asked for at a time.
const GROUPS_A_QUESTION: usize = 100;
/// Samples that are shown at most.
const SAMPLES_MAX: u32 = 1_000;
/// What is dropped, of the table `requests`: a peer that went away was refused nothing.
const DROPPED: &str = "outcome = 'dropped' AND reason <> 'peer_gone'";
/// How many drops a line stands for.
const COUNT: &str = "CAST(sum(1 + rejected) AS BIGINT) AS count";

/// An operator's act on drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DropsRequest {
    /// Lists the groups. The data is a JSON array.
    List,
    /// Shows samples of a group. The data is a JSON array.
    Show {
        /// Its reason.
        reason: String,
        /// Its path; all of the reason when none.
        path: Option<String>,
        /// How many.
        limit: u32,
    },
    /// Marks groups as reviewed.
    Review {
        /// Their reason; all reasons when none.
        reason: Option<String>,
        /// Their path; all of the reason when none.
        path: Option<String>,
    },
}

/// Drops of one reason and path.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Group {
    /// Why they were dropped.
    pub(crate) reason: String,
    /// What they asked for; empty when that is not known.
    pub(crate) path: String,
    /// How many.
    pub(crate) count: u64,
    /// The first.
    #[serde(serialize_with = "shown")]
    pub(crate) first_seen: Timestamp,
    /// The last.
    #[serde(serialize_with = "shown")]
    pub(crate) last_seen: Timestamp,
    /// Those that nobody has reviewed.
    pub(crate) new: u64,
    /// The first of them.
    #[serde(serialize_with = "shown_if_any")]
    pub(crate) new_since: Option<Timestamp>,
    /// When others of them were reviewed.
    #[serde(serialize_with = "shown_if_any")]
    pub(crate) reviewed_at: Option<Timestamp>,
    /// By whom.
    pub(crate) reviewed_by: Option<String>,
}

fn shown<S: serde::Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

fn shown_if_any<S: serde::Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

/// Carries an act out.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: DropsRequest,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    match request {
        DropsRequest::List => {
            let groups = groups(installation, actor).await?;
            let values = groups.iter().map(serde_json::to_value);
            let values: Vec<Value> = values
                .collect::<Result<_, _>>()
                .context("failed to show the drops")?;
            send_array(&out, &values).await?;
            let count: u64 = groups.iter().map(|it| it.count).sum();
            Ok(json!({"groups": groups.len(), "count": count}))
        }
        DropsRequest::Show {
            reason,
            path,
            limit,
        } => show(installation, actor, &reason, path.as_deref(), limit, out).await,
        DropsRequest::Review { reason, path } => review(installation, actor, reason, path).await,
    }
}

/// Every group, those with the most drops first.
pub(crate) async fn groups(installation: &Installation, actor: &Actor) -> Result<Vec<Group>> {
    let reviews = installation
        .control()
        .drop_reviews(actor)
        .await
        .context("failed to read the reviews of drops")?;
    flush(installation).await?;
    let sql = format!(
        "SELECT reason, path, {COUNT}, min(ts) AS first_seen, max(ts) AS last_seen FROM requests \
         WHERE {DROPPED} GROUP BY reason, path ORDER BY count DESC, reason, path"
    );
    let found = rows(installation, AccountId::installation(), &sql).await?;
    let mut reviews: HashMap<(String, String), DropReview> = reviews
        .into_iter()
        .map(|it| ((it.seen.reason.clone(), it.seen.path.clone()), it))
        .collect();
    let mut groups = Vec::with_capacity(found.len());
    for row in &found {
        let count = number(row, "count");
        let first_seen = time(row, "first_seen")?;
        let (reason, path) = (text(row, "reason"), text(row, "path"));
        let review = reviews.remove(&(reason.clone(), path.clone()));
        groups.push((
            Group {
                reason,
                path,
                count,
                first_seen,
                last_seen: time(row, "last_seen")?,
                new: count,
                new_since: Some(first_seen),
                reviewed_at: review.as_ref().map(|it| it.reviewed_at),
                reviewed_by: review.as_ref().map(|it| it.reviewer.clone()),
            },
            review.map(|it| it.seen.until),
        ));
    }
    count_new(installation, &mut groups).await?;
    Ok(fold(groups.into_iter().map(|(group, _)| group)))
}

/// Writes down what is still in memory.
async fn flush(installation: &Installation) -> Result<()> {
    installation
        .drops()
        .flush(Flush::All)
        .await
        .context("failed to write down what was dropped last")
}

/// Counts what came after the reviews.
async fn count_new(
    installation: &Installation,
    groups: &mut [(Group, Option<Timestamp>)],
) -> Result<()> {
    let mut open = Vec::new();
    for (group, seen) in groups {
        let Some(until) = *seen else { continue };
        (group.new, group.new_since) = (0, None);
        if group.last_seen > until {
            open.push((group, until));
        }
    }
    for some in open.chunks_mut(GROUPS_A_QUESTION) {
        let conditions: Vec<String> = some
            .iter()
            .map(|(group, until)| {
                format!(
                    "(reason = {} AND path = {} AND ts > {})",
                    quoted(&group.reason),
                    quoted(&group.path),
                    moment(*until)
                )
            })
            .collect();
        let sql = format!(
            "SELECT reason, path, {COUNT}, min(ts) AS first_seen FROM requests \
             WHERE {DROPPED} AND ({}) GROUP BY reason, path",
            conditions.join(" OR ")
        );
        for row in rows(installation, AccountId::installation(), &sql).await? {
            let (reason, path) = (text(&row, "reason"), text(&row, "path"));
            let group = some
                .iter_mut()
                .find(|(group, _)| group.reason == reason && group.path == path);
            if let Some((group, _)) = group {
                group.new = number(&row, "count");
                group.new_since = Some(time(&row, "first_seen")?);
            }
        }
    }
    Ok(())
}

/// The largest groups, and one more for the rest of each reason.
fn fold(groups: impl Iterator<Item = Group>) -> Vec<Group> {
    let mut listed: Vec<Group> = Vec::new();
    let mut others: BTreeMap<String, Group> = BTreeMap::new();
    for group in groups {
        if listed.len() < GROUPS_MAX && group.path != OTHER_PATHS {
            listed.push(group);
            continue;
        }
        match others.get_mut(&group.reason) {
            Some(other) => {
                other.count += group.count;
                other.first_seen = other.first_seen.min(group.first_seen);
                other.last_seen = other.last_seen.max(group.last_seen);
                other.new += group.new;
                other.new_since = [other.new_since, group.new_since]
                    .into_iter()
                    .flatten()
                    .min();
            }
            None => {
                let path = OTHER_PATHS.to_owned();
                others.insert(group.reason.clone(), Group { path, ..group });
            }
        }
    }
    listed.extend(others.into_values());
    listed
}

async fn show(
    installation: &Installation,
    actor: &Actor,
    reason: &str,
    path: Option<&str>,
    limit: u32,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    flush(installation).await?;
    let of_path = path.map_or_else(String::new, |path| format!("AND path = {}", quoted(path)));
    let sql = format!(
        "SELECT ts, plane, peer, tls_version, method, path, size_bytes, rejected AS more \
         FROM requests WHERE {DROPPED} AND reason = {} {of_path} ORDER BY ts DESC LIMIT {}",
        quoted(reason),
        limit.clamp(1, SAMPLES_MAX)
    );
    // A sample says from which address it came.
    let control = installation.control();
    let account = AccountId::installation();
    control
        .audit(
            actor,
            account,
            Action::DropsRead,
            reason,
            "samples",
            AuditOutcome::Begun,
        )
        .await
        .context("failed to write the audit log: nothing was read")?;
    let found = rows(installation, account, &sql).await?;
    let count = found.len();
    let values: Vec<Value> = found.into_iter().map(Value::Object).collect();
    send_array(&out, &values).await?;
    let note = format!("{count} samples");
    control
        .audit(
            actor,
            account,
            Action::DropsRead,
            reason,
            &note,
            AuditOutcome::Done,
        )
        .await
        .context("failed to close the entry in the audit log")?;
    Ok(json!({"samples": count}))
}

async fn review(
    installation: &Installation,
    actor: &Actor,
    reason: Option<String>,
    path: Option<String>,
) -> Result<Value> {
    let is_meant = |group: &Group| {
        reason.as_ref().is_none_or(|it| *it == group.reason)
            && path.as_ref().is_none_or(|it| *it == group.path)
    };
    let meant: Vec<Group> = groups(installation, actor)
        .await?
        .into_iter()
        .filter(is_meant)
        .collect();
    if meant.is_empty() && reason.is_some() {
        bail!(Failure::new(
            Kind::NotFound,
            "nothing of that kind was dropped"
        ));
    }
    let seen: Vec<SeenDrops> = meant
        .iter()
        .filter(|group| group.new > 0)
        .map(|group| SeenDrops {
            reason: group.reason.clone(),
            path: group.path.clone(),
            until: group.last_seen,
        })
        .collect();
    let count: u64 = meant.iter().map(|it| it.new).sum();
    let groups = seen.len();
    if groups > 0 {
        installation
            .control()
            .review_drops(actor, seen)
            .await
            .context("failed to write the review: nothing was marked")?;
    }
    Ok(json!({"groups": groups, "count": count}))
}

#[cfg(test)]
mod tests {
    use super::{GROUPS_MAX, Group, OTHER_PATHS, fold};
    use model::Timestamp;

    #[test]
    fn what_is_beyond_the_limit_is_one_group_and_no_count_is_lost() {
        let group = |number: u32| Group {
            reason: if number.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            }
            .to_owned(),
            path: format!("/{number}"),
            count: 3,
            first_seen: Timestamp::from_ms(number.into()),
            last_seen: Timestamp::from_ms((number + 1).into()),
            new: 1,
            new_since: Some(Timestamp::from_ms(number.into())),
            reviewed_at: None,
            reviewed_by: None,
        };
        let many = u32::try_from(GROUPS_MAX).unwrap() + 500;
        let folded = fold((0..many).map(group));
        assert_eq!(folded.len(), GROUPS_MAX + 2);
        let sum: u64 = folded.iter().map(|it| it.count).sum();
        assert_eq!(sum, u64::from(many) * 3);
        let others: Vec<_> = folded.iter().filter(|it| it.path == OTHER_PATHS).collect();
        assert_eq!(others.len(), 2);
        assert_eq!((others[0].count, others[0].new), (750, 250));
        assert_eq!(others[0].first_seen, Timestamp::from_ms(10_000));
        assert_eq!(others[0].last_seen, Timestamp::from_ms(10_499));
    }
}
