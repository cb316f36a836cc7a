//! The list of the lake's parts, as the lake and queries need it.
//!
//! `control` keeps the list in its database and implements [`Catalog`]; nobody else reads or writes
//! it there. Publishing is one compare-and-set transaction: a crash leaves garbage for the
//! collector, never half a state and never a record twice.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use crate::learned::{Learned, Refused};
use crate::opt_out::OptOut;
use crate::record::Table;
use crate::{AccountId, Day, ErrorKind, LedgerPosition, PartId, PersonKey, Timestamp, WriterId};

/// One immutable Parquet object of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartMeta {
    /// The part's id.
    pub id: PartId,
    /// Whose rows these are.
    pub account: AccountId,
    /// Of which table.
    pub table: Table,
    /// The UTC day of every row; none for a mixed part, which holds rows of several days.
    pub day: Option<Day>,
    /// Where the object is, below the store's root.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// The object's size in bytes, before sealing and parity.
    pub size_bytes: u64,
    /// The earliest and the latest row, by the table's time column.
    pub ts_min: Timestamp,
    /// See `ts_min`.
    pub ts_max: Timestamp,
    /// The smallest and the largest person key; zeros and ones for tables without people.
    pub person_min: PersonKey,
    /// See `person_min`.
    pub person_max: PersonKey,
    /// The physical property columns, as named in the file; empty for tables without them.
    pub columns: Vec<String>,
    /// How often its rows have been merged: 0 from a flush.
    pub level: u32,
    /// When it was published.
    pub created_at: Timestamp,
}

/// What a reader sees of some tables: one consistent snapshot.
#[derive(Debug, Clone)]
pub struct View {
    /// The live parts, in no order.
    pub parts: Vec<Arc<PartMeta>>,
    /// Up to which commit each writer's records are in parts: a reader of the journal skips those.
    pub watermarks: Vec<(WriterId, u64)>,
    /// The ledger position up to which every live part has been filtered is not below this only for
    /// parts published since; readers always apply the whole ledger.
    pub ledger: LedgerPosition,
}

/// One publication: everything in it happens, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// Parts that are replaced; each must still be live.
    pub remove: Vec<PartId>,
    /// Parts that take their place, already durable in the store.
    pub add: Vec<PartMeta>,
    /// Commits consumed: for each writer the watermark expected before, and the new one.
    pub consumed: Vec<Consumed>,
    /// The ledger position that the rows were filtered with; it must still be the newest.
    pub ledger: LedgerPosition,
    /// Names that the consumed records use.
    pub learned: Vec<Learned>,
    /// What the consumed commits have put into the quarantine.
    pub refused: Vec<Refused>,
    /// What devices say in the consumed commits about opting out: of each what it said last.
    pub opt_outs: Vec<OptOut>,
    /// Rows of hidden people that are in the input and not in the output.
    pub left_out: Vec<LeftOut>,
}

/// Rows of one table that a publication leaves out because of whom they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Whose rows they were.
    pub account: AccountId,
    /// Of which table.
    pub table: Table,
    /// How many, by the hidden people that they name: one, or a link's two.
    pub rows: BTreeMap<[Option<PersonKey>; 2], u64>,
    /// The parts that they were in, which the publication replaces; none when they were in the
    /// journal.
    pub parts: Vec<Arc<PartMeta>>,
}

/// A stretch of one writer's commits that a flush has turned into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// Whose commits.
    pub writer: WriterId,
    /// The watermark that must be in force; 0 for a writer that has none.
    pub from: u64,
    /// The watermark afterwards: the number of the last commit consumed.
    pub to: u64,
}

/// Reads and changes the list of parts.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The live parts of `tables` of one account (of every account when `None`), and the
    /// watermarks, from one snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the control database cannot answer.
    async fn view(&self, account: Option<AccountId>, tables: &[Table]) -> Result<View, Error>;

    /// Publishes: one compare-and-set transaction, durable (shipped) before it returns.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when an input, a watermark or the ledger has moved: nothing was
    /// changed. [`ErrorKind::Unavailable`] when the outcome is unknown.
    async fn publish(&self, publication: Publication) -> Result<(), Error>;

    /// Parts that were replaced before `before` and are not yet collected: their objects may be
    /// deleted, then [`Catalog::forget`] drops the rows.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the control database cannot answer.
    async fn garbage(&self, before: Timestamp) -> Result<Vec<Arc<PartMeta>>, Error>;

    /// Drops the rows of collected parts.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the control database cannot answer.
    async fn forget(&self, parts: &[PartId]) -> Result<(), Error>;
}

/// Why the catalog could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was being done to what.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
