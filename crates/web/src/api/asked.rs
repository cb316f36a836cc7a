//! Reports that were asked for of late, under ids by which clients ask for them again.
//!
//! The vendor's reports are seldom ready at once: it answers with the id of a request, and `GET ?req_id=`
//! gives the report. Ours are ready at once, and have an id all the same, because there are clients that
//! take it without looking whether the report is there. What is kept is the question, in memory: the
//! report is made anew, for whoever asks and under the rights that they have then.

use axum::body::Bytes;
use collect::Call;
use model::{AccountId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use wire::rest::{Refusal, answers};

use crate::{Result, State};

/// Questions that are kept, of all accounts together; the oldest go first.
const QUESTIONS_MAX: usize = 1_024;
/// Bytes of a question that is kept; a longer one gets no id.
const QUESTION_BYTES_MAX: usize = 16 * 1024;

/// Questions by their ids.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<BTreeMap<u64, Kept>>);

#[derive(Debug)]
struct Kept {
    account: AccountId,
    path: &'static str,
    question: Question,
}

/// A question as it was asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The query string.
    pub(super) query: String,
    /// The body.
    pub(super) body: Bytes,
}

impl Asked {
    /// Keeps a question. Its id is the time in milliseconds, or more when that is taken: no id is given
    /// twice, after a restart neither.
    fn keep(&self, kept: Kept, now: Timestamp) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = u64::try_from(now.ms()).unwrap_or(0);
        let next = all
            .last_key_value()
            .map_or(0, |(id, _)| id.saturating_add(1));
        let id = time.max(next);
        all.insert(id, kept);
        while all.len() > QUESTIONS_MAX {
            all.pop_first();
        }
        id
    }

    /// The question of that id, if this account asked it of this URL.
    fn find(&self, id: u64, account: AccountId, path: &str) -> Option<Question> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get(&id)?;
        let is_theirs = kept.account == account && kept.path == path;
        is_theirs.then(|| kept.question.clone())
    }
}

/// What a call asks: its own question, or the one that it names. What else a call says that names one
/// counts for nothing.
pub(super) fn question(state: &State, call: &Call, path: &str) -> Result<Question> {
    let Some(id) = request_id(&call.query) else {
        return Ok(Question {
            query: call.query.clone(),
            body: call.bytes().clone(),
        });
    };
    let found = id.parse().ok().and_then(|id: u64| {
        let account = call.caller.account();
        state.asked().find(id, account, path)
    });
    found.ok_or_else(|| Refusal::InvalidRequestId.into())
}

/// The answer to a call, with the id of its question when that is a new one.
pub(super) fn answered(state: &State, call: &Call, path: &'static str, answer: String) -> String {
    let bytes = call.query.len().saturating_add(call.bytes().len());
    if request_id(&call.query).is_some() || bytes > QUESTION_BYTES_MAX {
        return answer;
    }
    let kept = Kept {
        account: call.caller.account(),
        path,
        question: Question {
            query: call.query.clone(),
            body: Bytes::copy_from_slice(call.bytes()),
        },
    };
    answers::with_request_id(answer, state.asked().keep(kept, state.clock().now()))
}

/// The id that a call names.
fn request_id(query: &str) -> Option<&str> {
    let mut pairs = query.split('&');
    pairs.find_map(|pair| pair.strip_prefix("req_id="))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use model::{AccountId, Timestamp};

    use super::{Asked, Kept, QUESTIONS_MAX, Question};

    #[test]
    fn questions_are_found_by_who_asked_them_until_many_more_came() {
        let asked = Asked::default();
        let [account, other] = ["TEST-1", "TEST-2"].map(|id| id.parse::<AccountId>().unwrap());
        let now = Timestamp::from_ms(1_790_000_000_000);
        let keep = |body: &'static str| {
            let question = Question {
                query: String::new(),
                body: Bytes::from_static(body.as_bytes()),
            };
            let path = "/top";
            let kept = Kept {
                account,
                path,
                question,
            };
            asked.keep(kept, now)
        };
        let first = keep("first");
        assert_eq!((first, keep("second")), (1_790_000_000_000, first + 1));
        let found = |id, account, path| asked.find(id, account, path).map(|it| it.body);
        assert_eq!(
            found(first, account, "/top").as_deref(),
            Some(&b"first"[..])
        );
        assert_eq!(found(first, other, "/top"), None);
        assert_eq!(found(first, account, "/trends"), None);
        assert_eq!(found(first + 2, account, "/top"), None);
        for _ in 1..QUESTIONS_MAX {
            keep("more");
        }
        assert_eq!(found(first, account, "/top"), None);
        assert!(found(first + 1, account, "/top").is_some());
    }
}
