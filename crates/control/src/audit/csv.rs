//! Entries for spreadsheets: RFC 4180, and no cell that a spreadsheet would run.

use jiff::tz::TimeZone;

use super::AuditEntry;

/// The line of names.
pub(crate) const HEAD: &str =
    "date,email,action,action_id,description,ip_address,outcome,role,account,sequence\r\n";

/// Adds the line of an entry; its time is told in `zone`.
pub(crate) fn line(entry: &AuditEntry, zone: &TimeZone, out: &mut String) {
    let date = jiff::Timestamp::from_millisecond(entry.at.ms()).map_or_else(
        |_| entry.at.to_string(),
        |at| {
            let at = at.to_zoned_datetime(zone.clone());
            at.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
        },
    );
    let peer = entry.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let sequence = entry.sequence.to_string();
    let cells = [
        date.as_str(),
        &entry.actor,
        entry.action.as_str(),
        &entry.action_id,
        &entry.description,
        &peer,
        entry.outcome.as_str(),
        &entry.role,
        entry.account.as_str(),
        &sequence,
    ];
    for (place, text) in cells.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        cell(text, out);
    }
    out.push_str("\r\n");
}

/// Adds a cell. One that a spreadsheet would take for a formula gets an apostrophe before it.
pub(crate) fn cell(text: &str, out: &mut String) {
    let defused = model::spreadsheet::runs(text);
    let quoted = text.contains([',', '"', '\r', '\n']);
    if quoted {
        out.push('"');
    }
    if defused {
        out.push('\'');
    }
    if quoted {
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests;
