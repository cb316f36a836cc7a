//! Drops, in groups of one reason and path: what there is, samples of it, and its review.
//!
//! The request log is the only record of drops, so that the counts of groups add up to what was
//! dropped whatever restarts and crashes lie in between. What is still in memory is written first.

use collect::{Flush, OTHER_PATHS};
use control::{Action, Actor, DropReview, SeenDrops};
use model::{AccountId, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

use super::rows::{moment, number, quoted, rows_of, text, time};
use super::{Error, Reading, Result, Row};
use crate::State;

/// Groups that are listed; the rest of each reason is one group more.
const GROUPS_MAX: usize = 10_000;
/// Groups whose latest drops are asked for at a time.
const GROUPS_A_QUESTION: usize = 100;
/// Samples that are shown at most.
const SAMPLES_MAX: u32 = 1_000;
/// What is dropped, of the table `requests`: a peer that went away was refused nothing.
pub(crate) const DROPPED: &str = "outcome = 'dropped' AND reason <> 'peer_gone'";
/// How many drops a line stands for.
pub(crate) const COUNT: &str = "CAST(sum(1 + rejected) AS BIGINT) AS count";

/// Drops of one reason and path.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Why they were dropped.
    pub reason: String,
    /// What they asked for; empty when that is not known.
    pub path: String,
    /// How many.
    pub count: u64,
    /// The first.
    #[serde(serialize_with = "shown")]
    pub first_seen: Timestamp,
    /// The last.
    #[serde(serialize_with = "shown")]
    pub last_seen: Timestamp,
    /// Those that nobody has reviewed.
    pub new: u64,
    /// The first of them.
    #[serde(serialize_with = "shown_if_any")]
    pub new_since: Option<Timestamp>,
    /// When others of them were reviewed.
    #[serde(serialize_with = "shown_if_any")]
    pub reviewed_at: Option<Timestamp>,
    /// By whom.
    pub reviewed_by: Option<String>,
}

/// What a review marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reviewed {
    /// Groups.
    pub groups: usize,
    /// Drops in them that were new.
    pub count: u64,
}

fn shown<S: Serializer>(time: &Timestamp, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.collect_str(time)
}

fn shown_if_any<S: Serializer>(
    time: &Option<Timestamp>,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

/// The groups as they are listed, those with the most drops first.
///
/// # Errors
/// Denied; unavailable.
pub async fn groups(state: &State, actor: &Actor) -> Result<Vec<Group>> {
    let (groups, _) = every_group(state, actor).await?;
    Ok(fold(groups))
}

/// Every reason and path, those with the most drops first, and until when all drops are in them.
async fn every_group(state: &State, actor: &Actor) -> Result<(Vec<Group>, Timestamp)> {
    let reviews = state.control().drop_reviews(actor).await?;
    let until = flush(state).await?;
    let sql = format!(
        "SELECT reason, path, {COUNT}, min(ts) AS first_seen, max(ts) AS last_seen FROM requests \
         WHERE {DROPPED} GROUP BY reason, path ORDER BY count DESC, reason, path"
    );
    let found = rows_of(state, AccountId::installation(), &sql).await?;
    let mut reviews: HashMap<(String, String), DropReview> = reviews
        .into_iter()
        .map(|it| ((it.seen.reason.clone(), it.seen.path.clone()), it))
        .collect();
    let mut groups = Vec::with_capacity(found.len());
    for row in &found {
        let count = number(row, "count");
        let first_seen = time(row, "first_seen")?;
        let (reason, path) = (text(row, "reason").to_owned(), text(row, "path").to_owned());
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
    count_new(state, &mut groups).await?;
    let groups = groups.into_iter().map(|(group, _)| group).collect();
    Ok((groups, until))
}

/// Writes down what is still in memory; until when everything is written.
pub(crate) async fn flush(state: &State) -> Result<Timestamp> {
    let flushed = state.collect().drops().flush(Flush::All).await;
    flushed.map_err(Error::journal("write down what was dropped last"))
}

/// Counts what came after the reviews.
async fn count_new(state: &State, groups: &mut [(Group, Option<Timestamp>)]) -> Result<()> {
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
        for row in rows_of(state, AccountId::installation(), &sql).await? {
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

/// The groups that are listed by themselves, and those that are [`OTHER_PATHS`] of their reason.
fn split(groups: Vec<Group>) -> (Vec<Group>, Vec<Group>) {
    let (mut listed, mut others) = (Vec::new(), Vec::new());
    for group in groups {
        if listed.len() < GROUPS_MAX && group.path != OTHER_PATHS {
            listed.push(group);
        } else {
            others.push(group);
        }
    }
    (listed, others)
}

/// The largest groups, and one more for the rest of each reason.
fn fold(groups: Vec<Group>) -> Vec<Group> {
    let (mut listed, rest) = split(groups);
    let mut others: BTreeMap<String, Group> = BTreeMap::new();
    for group in rest {
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

/// The latest drops of a reason, or of one path of it: `ts`, `plane`, `peer`, `tls_version`,
/// `method`, `path`, `size_bytes`, and in `more` for how many others a line stands. Of
/// [`OTHER_PATHS`], those of every path that is not listed by itself.
///
/// # Errors
/// Denied; unavailable: without its entry in the audit log nothing is read.
pub async fn samples(
    state: &State,
    actor: &Actor,
    reason: &str,
    path: Option<&str>,
    limit: u32,
) -> Result<Vec<Row>> {
    flush(state).await?;
    let sql = samples_sql(reason, path, limit.clamp(1, SAMPLES_MAX));
    // A sample says from which address it came.
    let reading = Reading {
        state,
        actor,
        account: AccountId::installation(),
        action: Action::DropsRead,
        object: reason,
    };
    reading.begin("samples").await?;
    let found = rows_of(state, reading.account, &sql).await?;
    reading.end(&format!("{} samples", found.len())).await?;
    Ok(found)
}

fn samples_sql(reason: &str, path: Option<&str>, limit: u32) -> String {
    const COLUMNS: &str = "ts, plane, peer, tls_version, method, path, size_bytes";
    let reason = quoted(reason);
    let asked = format!(
        "SELECT {COLUMNS}, rejected AS more FROM requests WHERE {DROPPED} AND reason = {reason}"
    );
    let newest = format!("ORDER BY ts DESC LIMIT {limit}");
    match path {
        None => format!("{asked} {newest}"),
        // The listed ones stand on the side that is held in memory: they are few.
        Some(OTHER_PATHS) => format!(
            "WITH asked AS ({asked}), \
             largest AS (SELECT reason, path, {COUNT} FROM requests \
             WHERE {DROPPED} AND path <> {} GROUP BY reason, path \
             ORDER BY count DESC, reason, path LIMIT {GROUPS_MAX}), \
             listed AS (SELECT path AS listed_path FROM largest WHERE reason = {reason}) \
             SELECT {COLUMNS}, more FROM listed \
             RIGHT ANTI JOIN asked ON listed_path = path {newest}",
            quoted(OTHER_PATHS)
        ),
        Some(path) => format!("{asked} AND path = {} {newest}", quoted(path)),
    }
}

/// Marks groups as reviewed: of every reason when none is named, of every path when none is.
///
/// # Errors
/// Not found when a reason is named of which nothing was dropped; denied; unavailable.
pub async fn review(
    state: &State,
    actor: &Actor,
    reason: Option<&str>,
    path: Option<&str>,
) -> Result<Reviewed> {
    let (groups, until) = every_group(state, actor).await?;
    let (listed, others) = split(groups);
    let listed = listed.into_iter();
    let listed = listed.filter(|it| path.is_none_or(|path| path == it.path));
    // What is listed as one group is reviewed path by path: it is listed otherwise tomorrow.
    let others = others.into_iter();
    let others = others.filter(|_| path.is_none_or(|path| path == OTHER_PATHS));
    let meant: Vec<Group> = listed
        .chain(others)
        .filter(|it| reason.is_none_or(|reason| reason == it.reason))
        .collect();
    if meant.is_empty() && reason.is_some() {
        return Err(Error::NotFound("drop of that kind".to_owned()));
    }
    let seen: Vec<SeenDrops> = meant
        .iter()
        .filter(|group| group.new > 0)
        .map(|group| SeenDrops {
            reason: group.reason.clone(),
            path: group.path.clone(),
            // Of what was dropped meanwhile some may still be in memory: it stays new.
            until: group.last_seen.min(until),
        })
        .collect();
    let count = meant.iter().map(|it| it.new).sum();
    for some in seen.chunks(GROUPS_MAX) {
        state.control().review_drops(actor, some.to_vec()).await?;
    }
    let groups = seen.len();
    Ok(Reviewed { groups, count })
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
        let folded = fold((0..many).map(group).collect());
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
