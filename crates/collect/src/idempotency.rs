//! Uploads that are sent again under the same `Idempotency-Key`.
//!
//! Within a day the same key with the same body is answered as before and stores nothing; with another
//! body it is refused. It may forget (at a restart, or when an account has too many to hold): the
//! records of such an upload have ids that follow from the key, the body and the day, so that what is
//! stored twice is one record to every reader; see [`crate::stored`] for what came on the day before. It
//! must never answer from memory what is not durable, nor forget the uploads of one account for those of
//! another that has more.

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
pub(crate) const REMEMBERED: Duration = Duration::from_millis(limit::UPLOAD_REPEATED_MS_MAX);
/// Bytes of one generation of an account's uploads; two generations are held.
const GENERATION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of the uploads of all accounts.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that an upload takes beside the body of its answer.
const UPLOAD_BYTES: usize = 192;
/// Bytes of an answer's body that are kept: a longer one, which says much of what was rejected, is made
/// again.
const BODY_BYTES_KEPT_MAX: usize = 16 * 1024;

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
    /// [`Refusal::Malformed`] when there are two that differ, or it is empty, too long or not printable ASCII.
    pub(crate) fn text(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| Refusal::Malformed)?;
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len());
        if values.any(|it| it != value) || !fits {
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
    /// None where it is to be made again.
    pub(crate) body: Option<Bytes>,
}

impl Answered {
    pub(crate) fn new(accepted: u32, rejected: u32, body: &Bytes) -> Self {
        let is_kept = body.len() <= BODY_BYTES_KEPT_MAX;
        Self {
            accepted,
            rejected,
            body: is_kept.then(|| body.clone()),
        }
    }
}

/// Answers of the last day.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Since when uploads are remembered, those of an account that has too many excepted.
    since: Timestamp,
    held: Mutex<Held>,
    /// Told whenever a claim has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Held {
    accounts: HashMap<AccountId, OfAccount>,
    /// Of all of them.
    bytes: usize,
    claimed: HashMap<(AccountId, [u8; 16]), ()>,
}

/// The uploads of one account.
#[derive(Debug, Default)]
struct OfAccount {
    young: Generation,
    old: Generation,
    /// When the newest came of those that were forgotten for want of room.
    forgotten: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Generation {
    /// By their keys.
    uploads: HashMap<[u8; 16], Upload>,
    bytes: usize,
}

#[derive(Debug)]
struct Upload {
    body: [u8; 16],
    /// When it was answered; when it first came where it was not.
    at: Timestamp,
    /// None where it was not: what it brought may be durable all the same, or on its way.
    answered: Option<Answered>,
}

impl Held {
    fn find(&self, upload: &UploadKey, now: Timestamp) -> Option<&Upload> {
        let own = self.accounts.get(&upload.account)?;
        let young = own.young.uploads.get(&upload.key);
        let known = young.or_else(|| own.old.uploads.get(&upload.key));
        known.filter(|it| now.since(it.at) < REMEMBERED)
    }

    /// When the upload first came, where it did and was not answered.
    fn began(&self, upload: &UploadKey, now: Timestamp) -> Option<Timestamp> {
        let known = self.find(upload, now)?;
        (known.answered.is_none() && known.body == upload.body).then_some(known.at)
    }

    /// When the newest of the account's uploads came that were forgotten for want of room.
    fn forgotten(&self, account: AccountId) -> Option<Timestamp> {
        self.accounts.get(&account)?.forgotten
    }

    /// Remembers an upload, in place of older ones of its account and, where there are too many in
    /// all, of the account that has most.
    fn keep(&mut self, key: &UploadKey, at: Timestamp, answered: Option<Answered>) {
        let upload = Upload {
            body: key.body,
            at,
            answered,
        };
        let own = self.accounts.entry(key.account).or_default();
        let before = own.bytes();
        own.add(key.key, upload);
        self.bytes = self.bytes.saturating_sub(before) + own.bytes();
        while self.bytes > BYTES_MAX {
            let Some(most) = self.accounts.values_mut().max_by_key(|it| it.bytes()) else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(most.turn_over());
        }
    }
}

impl OfAccount {
    const fn bytes(&self) -> usize {
        self.young.bytes.saturating_add(self.old.bytes)
    }

    fn add(&mut self, key: [u8; 16], upload: Upload) {
        if self.young.bytes > GENERATION_BYTES_MAX {
            self.turn_over();
        }
        self.young.bytes += upload.bytes();
        let replaced = self.young.uploads.insert(key, upload);
        let replaced = replaced.map_or(0, |it| it.bytes());
        self.young.bytes = self.young.bytes.saturating_sub(replaced);
    }

    /// Forgets the older generation; how many bytes it had.
    fn turn_over(&mut self) -> usize {
        let gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        let newest = gone.uploads.values().map(|it| it.at).max();
        self.forgotten = self.forgotten.max(newest);
        gone.bytes
    }
}

impl Upload {
    fn bytes(&self) -> usize {
        let body = self.answered.as_ref().and_then(|it| it.body.as_ref());
        UPLOAD_BYTES + body.map_or(0, Bytes::len)
    }
}

/// What is known of an upload.
#[derive(Debug)]
pub(crate) enum Begun<'a> {
    /// It is new, and this request's alone until the claim is dropped.
    New(Claim<'a>),
    /// It was answered so, at that time.
    Before(Answered, Timestamp),
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
    /// Whether it may have been stored in the last day, and forgotten since. Until that is settled the
    /// claim leaves nothing behind.
    may_be_stored: bool,
    is_durable: bool,
}

impl Answers {
    /// Of a node that starts now.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            held: Mutex::default(),
            ended: Notify::new(),
        }
    }

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
                    if let Some(known) = held.find(&upload, now)
                        && let Some(answered) = &known.answered
                    {
                        return match known.body == upload.body {
                            true => Begun::Before(answered.clone(), known.at),
                            false => Begun::OtherBody,
                        };
                    }
                    held.claimed.insert(name, ());
                    let began = held.began(&upload, now);
                    let forgotten = held.forgotten(upload.account).max(Some(self.since));
                    let is_recent = forgotten.is_some_and(|it| now.since(it) < REMEMBERED);
                    return Begun::New(Claim {
                        answers: self,
                        upload,
                        began: began.unwrap_or(now),
                        may_be_stored: began.is_none() && is_recent,
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
        upload.salt(began.unwrap_or(now))
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

    /// What does so where it first came at `began`.
    pub(crate) fn salt_at(&self, began: Timestamp) -> Vec<u8> {
        self.upload.salt(began)
    }

    /// The last moment of the day before, where the upload may have been stored then and been forgotten.
    pub(crate) fn day_before(&self) -> Option<Timestamp> {
        let today = self.began.day().start();
        self.may_be_stored
            .then(|| today.minus(Duration::from_millis(1)))
    }

    /// It is known whether it was stored: it was, and came for the first time at `began`, or it was not.
    pub(crate) fn settle(&mut self, began: Option<Timestamp>) {
        self.may_be_stored = false;
        self.began = began.unwrap_or(self.began);
    }

    /// What it stored is durable, and this is the answer.
    pub(crate) fn durable(mut self, now: Timestamp, answered: Answered) {
        self.is_durable = true;
        let mut held = self.answers.lock();
        held.keep(&self.upload, now, Some(answered));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let name = (self.upload.account, self.upload.key);
        let mut held = self.answers.lock();
        held.claimed.remove(&name);
        // The first that was not answered under a key is what is remembered.
        let known = held.find(&self.upload, self.began);
        let is_first = known.is_none_or(|it| it.body == self.upload.body);
        if !self.is_durable && !self.may_be_stored && is_first {
            held.keep(&self.upload, self.began, None);
        }
        drop(held);
        self.answers.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Answered, Answers, BODY_BYTES_KEPT_MAX, BYTES_MAX, Begun, UPLOAD_BYTES, UploadKey,
    };
    use bytes::Bytes;
    use model::{AccountId, Secret, Timestamp};
    use std::ops::Range;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn upload(account: AccountId, number: u32, body: &str) -> UploadKey {
        let secret = Secret::new([7; 32]);
        UploadKey::of(account, &secret, &number.to_string(), "", body.as_bytes())
    }

    /// Has so many uploads answered.
    async fn answer(answers: &Answers, account: AccountId, uploads: u32, body: &Bytes) {
        answer_from(answers, account, 0..uploads, body).await;
    }

    /// Has the uploads of these numbers answered.
    async fn answer_from(answers: &Answers, account: AccountId, uploads: Range<u32>, body: &Bytes) {
        for number in uploads {
            let begun = answers.begin(upload(account, number, ""), NOW).await;
            let Begun::New(claim) = begun else {
                panic!("upload {number} is new")
            };
            claim.durable(NOW, Answered::new(1, 0, body));
        }
    }

    #[tokio::test]
    async fn an_account_that_has_many_makes_only_its_own_forgotten() {
        let answers = Answers::new(NOW);
        let accounts = ["A-1", "A-2", "A-3", "A-4"];
        let [quiet, loud @ ..] = accounts.map(|it| it.parse::<AccountId>().unwrap());
        answer(&answers, quiet, 1, &Bytes::from_static(b"{}")).await;
        let long = Bytes::from(vec![b' '; BODY_BYTES_KEPT_MAX]);
        for account in loud {
            answer(&answers, account, 1_200, &long).await;
            let first = answers.begin(upload(account, 0, ""), NOW).await;
            assert!(matches!(first, Begun::New(_)), "{account}");
            let last = answers.begin(upload(account, 1_199, ""), NOW).await;
            assert!(matches!(last, Begun::Before(..)), "{account}");
        }
        let same = answers.begin(upload(quiet, 0, ""), NOW).await;
        assert!(matches!(same, Begun::Before(..)), "{same:?}");
        let other = answers.begin(upload(quiet, 0, "other"), NOW).await;
        assert!(matches!(other, Begun::OtherBody), "{other:?}");
        let held = answers.lock();
        let bytes = held.accounts.values().map(|it| it.bytes());
        assert_eq!(bytes.sum::<usize>(), held.bytes);
        assert!(held.bytes <= BYTES_MAX, "{}", held.bytes);
    }

    /// The day on which an upload that is new to this node may have been stored.
    async fn day_before(
        answers: &Answers,
        account: AccountId,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let Begun::New(claim) = answers.begin(upload(account, 5_000, ""), now).await else {
            panic!("the upload is new")
        };
        claim.day_before()
    }

    #[tokio::test]
    async fn what_was_forgotten_may_be_stored_for_a_day() {
        let [account, other] = ["A-1", "A-2"].map(|it| it.parse::<AccountId>().unwrap());
        let yesterday = Some(NOW.day().start().minus(Duration::from_millis(1)));
        let answers = Answers::new(NOW);
        assert_eq!(day_before(&answers, account, NOW).await, yesterday);
        let later = NOW.plus(DAY);
        assert_eq!(day_before(&answers, other, later).await, None);

        let answers = Answers::new(NOW.minus(DAY));
        let long = Bytes::from(vec![b' '; BODY_BYTES_KEPT_MAX]);
        answer(&answers, account, 500, &long).await;
        assert_eq!(day_before(&answers, account, NOW).await, None);
        answer_from(&answers, account, 500..1_200, &long).await;
        let unknown = answers.begin(upload(account, 6_000, ""), NOW).await;
        let Begun::New(claim) = unknown else {
            panic!("the upload is new")
        };
        assert_eq!(claim.day_before(), yesterday);
        drop(claim);
        assert_eq!(day_before(&answers, other, NOW).await, None);
        assert_eq!(day_before(&answers, account, later).await, None);
    }

    #[tokio::test]
    async fn what_is_not_answered_takes_room_once() {
        let answers = Answers::new(NOW.minus(DAY));
        let account = "A-1".parse().unwrap();
        for _ in 0..3 {
            drop(answers.begin(upload(account, 0, ""), NOW).await);
        }
        assert_eq!(answers.lock().bytes, UPLOAD_BYTES);
    }
}
