//! The bodies of answers that are not refusals. Every one has a `status`.

/// `{"status":"success"}`.
#[must_use]
pub fn success() -> String {
    String::from("{\"status\":\"success\"}")
}

/// The answer to a new question: its cursor.
#[must_use]
pub fn cursor(cursor: &str) -> String {
    format!("{{\"cursor\":\"{cursor}\",\"status\":\"success\"}}")
}

/// The answer to a count.
#[must_use]
pub fn count(count: u64) -> String {
    format!("{{\"count\":{count},\"status\":\"success\"}}")
}

/// The same answer with the id of its question, by which it can be asked for again. The id is a number,
/// as the vendor's is, below 2^53: every client reads it exactly.
#[must_use]
pub fn with_request_id(mut answer: String, id: u64) -> String {
    if answer.pop() == Some('}') {
        answer.push_str(&format!(",\"req_id\":{id}}}"));
    }
    answer
}

/// One page. `records` are JSON texts of [`super::record`]; without `next_cursor` it is the last.
#[must_use]
pub fn page(records: &[String], next_cursor: Option<&str>) -> String {
    let bytes = records
        .iter()
        .fold(1_024, |sum: usize, it| sum.saturating_add(it.len()));
    let mut body = String::with_capacity(bytes);
    body.push_str("{\"status\":\"success\"");
    if let Some(cursor) = next_cursor {
        body.push_str(",\"next_cursor\":\"");
        body.push_str(cursor);
        body.push('"');
    }
    body.push_str(",\"records\":[");
    for (place, record) in records.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str(record);
    }
    body.push_str("]}");
    body
}

/// One profile, a JSON text of [`super::record::person`]; null when there is none.
#[must_use]
pub fn profile(record: Option<&str>) -> String {
    format!(
        "{{\"status\":\"success\",\"record\":{}}}",
        record.unwrap_or("null")
    )
}
