//! Where the audit log is streamed to: a table for those who see the installation.

use control::{Act, Action, AuditOutcome};

use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Badge, Column, Heads, Moment, Pager, Sheet, Times, Tone, count, file,
};
use crate::{Error, Sink, State};

/// The table, in the URL.
pub(super) const NAME: &str = "sinks";

/// The columns of the sinks.
const COLUMNS: &[Column<Sink>] = &[
    Column::new("sink", "Sink", |it: &Sink, _| it.name.clone())
        .by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase())),
    Column::new("state", "State", |it: &Sink, _| state_of(it).0.to_owned())
        .by(|a, b| state_of(a).0.cmp(state_of(b).0)),
    Column::new("kind", "Kind", |it: &Sink, _| kind(it).to_owned()).by(|a, b| kind(a).cmp(kind(b))),
    Column::new("waiting", "Entries that wait", |it: &Sink, _| {
        it.waiting.to_string()
    })
    .most(|a, b| a.waiting.cmp(&b.waiting))
    .number(),
    Column::new("given_up", "Given up", |it: &Sink, _| {
        it.dropped.to_string()
    })
    .most(|a, b| a.dropped.cmp(&b.dropped))
    .number(),
    Column::new("last_taken", "Last taken", |it: &Sink, times| {
        times.cell(it.taken_at)
    })
    .most(|a, b| a.taken_at.cmp(&b.taken_at)),
    Column::new("address", "", |it: &Sink, _| it.address.clone()),
    Column::new("waiting_max", "", |it: &Sink, _| it.waiting_max.to_string()),
    Column::new("down_because", "", |it: &Sink, _| {
        it.down.as_ref().map(|it| it.0.clone()).unwrap_or_default()
    }),
];

/// Where the log is streamed to, as it is shown.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    pub(super) lines: Vec<Line>,
    pub(super) heads: Heads,
    pub(super) pager: Pager,
    pub(super) csv: String,
}

/// A place outside that the log is streamed to.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) kind: &'static str,
    pub(super) state: Badge,
    pub(super) why: String,
    pub(super) waiting: String,
    pub(super) dropped: String,
    pub(super) taken: Option<Moment>,
}

impl Sinks {
    /// Of those who see the installation; nothing for everybody else.
    pub(super) fn new(staff: &Staff, state: &State, sheet: &Sheet<'_>, times: &Times) -> Self {
        if !staff.may(Act::ReadInstallation) {
            return Self::default();
        }
        let mut all = state.volumes().sinks();
        let heads = sheet.sort(COLUMNS, None, &mut all);
        let (all, pager) = sheet.cut(all, "sink");
        Self {
            lines: all.into_iter().map(|it| line(it, times)).collect(),
            heads,
            pager,
            csv: sheet.csv(),
        }
    }
}

/// The table as a file: it leaves in the audit log what its page leaves.
pub(super) async fn as_file(
    staff: &Staff,
    state: &State,
    sheet: &Sheet<'_>,
    times: &Times,
) -> Answer {
    if !staff.may(Act::ReadInstallation) {
        return Err(Error::Absent);
    }
    let control = state.control();
    let words = "where the log is streamed to, as a file";
    control
        .audit(
            staff.actor(),
            staff.account(),
            Action::AuditRead,
            NAME,
            words,
            AuditOutcome::Done,
        )
        .await?;
    let mut all = state.volumes().sinks();
    sheet.sort(COLUMNS, None, &mut all);
    Ok(file(COLUMNS, &all, times, "sinks.csv"))
}

/// Whether a sink takes entries, as a word and as it looks.
fn state_of(sink: &Sink) -> (&'static str, Badge) {
    match (&sink.down, sink.taken_at) {
        (Some(_), _) => ("down", Badge::new(Tone::Bad, "Down")),
        (None, Some(_)) => ("up", Badge::new(Tone::Ok, "Up")),
        (None, None) => ("not asked yet", Badge::new(Tone::Plain, "Not asked yet")),
    }
}

const fn kind(sink: &Sink) -> &'static str {
    match sink.is_required {
        true => "required",
        false => "optional",
    }
}

fn line(sink: Sink, times: &Times) -> Line {
    Line {
        kind: kind(&sink),
        state: state_of(&sink).1,
        why: sink.down.map(|it| it.0).unwrap_or_default(),
        waiting: format!("{} of {}", count(sink.waiting), count(sink.waiting_max)),
        dropped: count(sink.dropped),
        taken: sink.taken_at.map(|at| times.ago(at)),
        name: sink.name,
        address: sink.address,
    }
}
