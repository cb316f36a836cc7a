//! Bounds of the protocol, and those of the product that more than one place needs to know: name, unit
//! last, and where it comes from. What bounds one part alone stands in that part.

/// Records in one upload (protocol).
pub const RECORDS_PER_UPLOAD_MAX: usize = 1_000;
/// Push tokens among them (protocol).
pub const TOKENS_PER_UPLOAD_MAX: usize = 100;
/// Bytes of a request's body on the api and collect planes, after decompression.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a request's head: line and headers. The web SDK sends events in the URL.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Headers in a request. Over HTTP/2 all cookies are one of them, however many fields they come in.
pub const HEADERS_MAX: usize = 100;
/// Nesting of a JSON body; the deepest legal record needs fewer than 10.
pub const JSON_DEPTH_MAX: usize = 64;
/// Characters of an event's name (protocol, Android's limit is 512).
pub const EVENT_NAME_CHARS_MAX: usize = 1_024;
/// Characters of a property's key (protocol).
pub const PROPERTY_KEY_CHARS_MAX: usize = 120;
/// Bytes of the key of a person's property, by REST (protocol).
pub const PROFILE_KEY_BYTES_MAX: usize = 120;
/// Elements of a list in a value (protocol; what has more is kept, and told).
pub const NESTED_ELEMENTS_MAX: usize = 100;
/// Members of one object in a value that are objects, and that are lists (protocol; as above).
pub const NESTED_MEMBERS_MAX: usize = 5;
/// Keys of all objects in a value (protocol; as above).
pub const NESTED_KEYS_MAX: usize = 100;
/// Levels of lists and objects in a value that are searched for what the protocol would not have: the
/// deepest legal value has fewer, and each level is read again below the one above. What goes deeper is
/// kept, and told.
pub const NESTED_LEVELS_MAX: usize = 10;
/// Properties of one event (protocol).
pub const EVENT_PROPERTIES_MAX: usize = 256;
/// Properties of a person that are the account's own (protocol).
pub const PROFILE_PROPERTIES_MAX: usize = 256;
/// Values of a multi-value property; the oldest go first (protocol).
pub const MULTI_VALUES_MAX: usize = 100;
/// Bytes of an identity.
pub const IDENTITY_BYTES_MAX: usize = 1_024;
/// Identities in one deletion request (protocol).
pub const DELETION_IDENTITIES_MAX: usize = 100;
/// Bytes of the records on one page of an export or of a list of events: it is in memory as a whole. It
/// has one record at least.
pub const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How far ahead of the clock an event's time may be, milliseconds.
pub const EVENT_AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// How long after its first an upload under an `Idempotency-Key` may come again as the same one,
/// milliseconds.
pub const UPLOAD_REPEATED_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Devices of one account that are known to have opted out.
pub const OPTED_OUT_DEVICES_MAX: usize = 1_000_000;
/// How long an event is kept when the account says nothing, days.
pub const RETENTION_DAYS_DEFAULT: u32 = 365;
/// How long the request log is kept when nothing is said, days.
pub const REQUEST_RETENTION_DAYS_DEFAULT: u32 = 90;
/// The least that an account may say of events, days: three months.
pub const RETENTION_DAYS_MIN: u32 = 90;
/// The most that an account may say of either, days: ten years.
pub const RETENTION_DAYS_MAX: u32 = 3_660;
/// Uploads at a time in one account (protocol).
pub const CONCURRENT_UPLOADS_DEFAULT: u32 = 15;
/// Other calls at a time in one account, for each path (protocol).
pub const CONCURRENT_CALLS_DEFAULT: u32 = 3;
/// The most that an account may be given of either.
pub const CONCURRENT_MAX: u32 = 1_000;
/// Physical property columns of a table; further properties go to the overflow column.
pub const PROPERTY_COLUMNS_MAX: usize = 1_000;
/// Bytes of a sealing chunk's plaintext.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of canonical records in one commit, before compression.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of decoded journal rows held in memory for queries.
pub const JOURNAL_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Request lines that wait for the next commit without holding their answer back.
pub const REQUEST_LINES_WAITING_MAX: usize = 16_384;
