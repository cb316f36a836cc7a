//! Uploads that are sent again under the same `Idempotency-Key`.
//!
//! Within a day the same key with the same body is answered as before and stores nothing; with another
//! body it is refused. It may forget (at a restart, or when there are too many answers to hold): the
//! records of such an upload have ids that follow from the key and the body, so that what is stored
//! twice is one record to every reader. It must never answer from memory what is not durable.

use bytes::Bytes;
use http::HeaderMap;
use model::{AccountId, PersonKeySecret, Timestamp, limit};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use crate::Refusal;
use crate::sdk::purpose_key;

const HEADER: &str = "idempotency-key";
/// Characters of a key.
const KEY_CHARS_MAX: usize = 255;
/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_millis(limit::UPLOAD_REPEATED_MS_MAX);
/// Bytes of answers in one generation; two generations are held.
const GENERATION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that an answer takes beside its body.
const ANSWER_BYTES: usize = 192;
/// Uploads without an answer in one generation, about 100 bytes each; two generations are held.
const UNANSWERED_MAX: usize = 16_384;

/// One upload's key and body, as a keyed hash of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UploadKey {
    account: AccountId,
    key: [u8; 16],
    body: [u8; 16],
}

impl UploadKey {
    /// The key in the request's head; none when there is none.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when it is there twice, empty, too long or not printable ASCII.
    pub(crate) fn text(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| Refusal::Malformed)?;
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len());
        if values.next().is_some() || !fits {
            return Err(Refusal::Malformed);
        }
        Ok(Some(text.to_owned()))
    }

    /// What stands for key and body.
    pub(crate) fn of(
        account: AccountId,
        secret: &PersonKeySecret,
        text: &str,
        query: &str,
        body: &[u8],
    ) -> Self {
        let secret = purpose_key(secret, "idempotency");
        let digest = |parts: &[&[u8]]| {
            let mut hasher = blake3::Hasher::new_keyed(secret.expose());
            for part in parts {
                hasher
                    .update(&(part.len() as u64).to_le_bytes())
                    .update(part);
            }
            let mut out = [0; 16];
            hasher.finalize_xof().fill(&mut out);
            out
        };
        Self {
            account,
            key: digest(&[text.as_bytes()]),
            body: digest(&[query.as_bytes(), body]),
        }
    }

    /// What makes the ids of its records its own, where it first came at `began`. Two days later the
    /// same upload is a new one.
    fn salt(&self, began: Timestamp) -> Vec<u8> {
        let day = began.day().0.to_le_bytes();
        [&self.key[..], &self.body, &day].concat()
    }
}

/// What an upload was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) accepted: u32,
    pub(crate) rejected: u32,
    pub(crate) body: Bytes,
}

/// Answers of the last day.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    held: Mutex<Held>,
    /// Told whenever a claim has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Held {
    young: HashMap<(AccountId, [u8; 16]), Slot>,
    old: HashMap<(AccountId, [u8; 16]), Slot>,
    claimed: HashMap<(AccountId, [u8; 16]), ()>,
    young_bytes: usize,
    /// When uploads first came that were not answered: what they brought may be durable all the same,
    /// or on its way.
    unanswered: HashMap<UploadKey, Timestamp>,
    unanswered_old: HashMap<UploadKey, Timestamp>,
}

impl Held {
    /// When the upload first came, as far as that is known.
    fn began(&self, upload: &UploadKey, now: Timestamp) -> Timestamp {
        let young = self.unanswered.get(upload);
        let known = young.or_else(|| self.unanswered_old.get(upload)).copied();
        let known = known.filter(|it| now.since(*it) < REMEMBERED);
        known.unwrap_or(now)
    }

    fn leave_unanswered(&mut self, upload: UploadKey, began: Timestamp) {
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered_old = std::mem::take(&mut self.unanswered);
        }
        self.unanswered.insert(upload, began);
    }
}

#[derive(Debug, Clone)]
struct Slot {
    at: Timestamp,
    body: [u8; 16],
    answered: Answered,
}

/// What is known of an upload.
#[derive(Debug)]
pub(crate) enum Begun<'a> {
    /// It is new, and this request's alone until the claim is dropped.
    New(Claim<'a>),
    /// It was answered so.
    Before(Answered),
    /// Its key was used for another body.
    OtherBody,
}

/// An upload under way. Dropped without [`Claim::durable`], it may come again.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    answers: &'a Answers,
    upload: UploadKey,
    /// When it came for the first time.
    began: Timestamp,
    is_durable: bool,
}

impl Answers {
    /// Looks an upload up. Waits while another request is storing one under the same key.
    pub(crate) async fn begin(&self, upload: UploadKey, now: Timestamp) -> Begun<'_> {
        let name = (upload.account, upload.key);
        loop {
            // Before looking, so that an end in between is not missed.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let mut held = self.lock();
                if !held.claimed.contains_key(&name) {
                    let known = held.young.get(&name).or_else(|| held.old.get(&name));
                    match known.filter(|it| now.since(it.at) < REMEMBERED) {
                        Some(slot) if slot.body == upload.body => {
                            return Begun::Before(slot.answered.clone());
                        }
                        Some(_) => return Begun::OtherBody,
                        None => {}
                    }
                    held.claimed.insert(name, ());
                    let began = held.began(&upload, now);
                    return Begun::New(Claim {
                        answers: self,
                        upload,
                        began,
                        is_durable: false,
                    });
                }
            }
            ended.await;
        }
    }

    /// What makes the ids of an upload its own that is kept without a claim.
    pub(crate) fn salt(&self, upload: &UploadKey, now: Timestamp) -> Vec<u8> {
        let began = self.lock().began(upload, now);
        upload.salt(began)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// What makes the ids of the upload's records its own: the same each time that it comes.
    pub(crate) fn salt(&self) -> Vec<u8> {
        self.upload.salt(self.began)
    }

    /// What it stored is durable, and this is the answer.
    pub(crate) fn durable(mut self, now: Timestamp, answered: Answered) {
        self.is_durable = true;
        let mut held = self.answers.lock();
        if held.young_bytes > GENERATION_BYTES_MAX {
            held.old = std::mem::take(&mut held.young);
            held.young_bytes = 0;
        }
        held.young_bytes += answered.body.len().saturating_add(ANSWER_BYTES);
        let slot = Slot {
            at: now,
            body: self.upload.body,
            answered,
        };
        held.young
            .insert((self.upload.account, self.upload.key), slot);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let name = (self.upload.account, self.upload.key);
        let mut held = self.answers.lock();
        held.claimed.remove(&name);
        if !self.is_durable {
            held.leave_unanswered(self.upload, self.began);
        }
        drop(held);
        self.answers.ended.notify_waiters();
    }
}
