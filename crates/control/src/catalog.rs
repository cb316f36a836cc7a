//! The list of parts: [`Catalog`] over the control database.
//!
//! Publishing is one compare-and-set transaction; readers are served from memory. A publication is
//! bookkeeping of what was accepted before, not an act of anybody's, so it has no audit entry.

use async_trait::async_trait;
use model::catalog::{Catalog, Error as CatalogError, PartMeta, Publication, View};
use model::record::Table;
use model::{PartId, Timestamp, WriterId};
use sqlx::Row as _;
use std::collections::HashSet;
use std::sync::Arc;

use crate::control::Control;
use crate::database::Session;
use crate::sealer::Sealer;
use crate::state::Effect;
use crate::{Error, Result, deletion, learned, opt_outs};

#[async_trait]
impl Catalog for Control {
    async fn view(
        &self,
        account: Option<model::AccountId>,
        tables: &[Table],
    ) -> std::result::Result<View, CatalogError> {
        self.database.settle().await?;
        Ok(self.state.view(account, tables))
    }

    async fn publish(&self, publication: Publication) -> std::result::Result<(), CatalogError> {
        // A part that is live has its key written down, whatever happens next.
        self.keys.record().await?;
        let (now, sealer) = (self.clock.now(), Arc::clone(&self.sealer));
        let rules = Arc::clone(&self.state.rules().borrow());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let mut publication = publication;
                    let learned = std::mem::take(&mut publication.learned);
                    let refused = std::mem::take(&mut publication.refused);
                    let said = std::mem::take(&mut publication.opt_outs);
                    let left_out = std::mem::take(&mut publication.left_out);
                    publish(session, &sealer, publication, now).await?;
                    opt_outs::write(session, said).await?;
                    deletion::count_left_out(session, &left_out).await?;
                    learned::count(session, &sealer, &rules, &learned, &refused).await
                })
            })
            .await?;
        Ok(())
    }

    async fn garbage(
        &self,
        before: Timestamp,
    ) -> std::result::Result<Vec<Arc<PartMeta>>, CatalogError> {
        self.database.settle().await?;
        Ok(self.state.replaced(before))
    }

    async fn forget(&self, parts: &[PartId]) -> std::result::Result<(), CatalogError> {
        let parts = parts.to_vec();
        self.database
            .write(move |session| Box::pin(async move { forget(session, parts).await }))
            .await?;
        Ok(())
    }
}

async fn publish(
    session: &mut Session,
    sealer: &Sealer,
    publication: Publication,
    now: Timestamp,
) -> Result<()> {
    const ACT: &str = "publish parts";
    let row = sqlx::query("SELECT COALESCE(MAX(position), 0) FROM ledger WHERE begun = 1")
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let ledger: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if u64::try_from(ledger) != Ok(publication.ledger.0) {
        return Err(Error::Conflict("the deletion ledger has moved".to_owned()));
    }
    for id in &publication.remove {
        let done =
            sqlx::query("UPDATE parts SET replaced_at = $1 WHERE id = $2 AND replaced_at IS NULL")
                .bind(now.ms())
                .bind(id.0.to_vec())
                .execute(session.connection())
                .await
                .map_err(Error::database(ACT))?;
        if done.rows_affected() != 1 {
            return Err(Error::Conflict(format!("part `{id}` is not live any more")));
        }
    }
    for consumed in &publication.consumed {
        move_watermark(session, consumed.writer, consumed.from, consumed.to).await?;
    }
    let mut ids = HashSet::new();
    for part in &publication.add {
        if !ids.insert(part.id) {
            return Err(Error::Invalid(format!(
                "part `{}` is published twice",
                part.id
            )));
        }
        insert_part(session, sealer, part).await?;
    }
    session.then(Effect::Published {
        added: publication.add.into_iter().map(Arc::new).collect(),
        removed: publication.remove,
        at: now,
        watermarks: publication
            .consumed
            .iter()
            .map(|it| (it.writer, it.to))
            .collect(),
    });
    Ok(())
}

async fn move_watermark(session: &mut Session, writer: WriterId, from: u64, to: u64) -> Result<()> {
    const ACT: &str = "move a watermark";
    let row = sqlx::query("SELECT number FROM watermarks WHERE node = $1 AND start = $2")
        .bind(i64::from(writer.node))
        .bind(i64::from(writer.start))
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let found: i64 = match row {
        Some(row) => row.try_get(0).map_err(Error::database(ACT))?,
        None => 0,
    };
    if u64::try_from(found) != Ok(from) {
        return Err(Error::Conflict(format!(
            "the watermark of writer `{writer}` has moved"
        )));
    }
    if to < from {
        return Err(Error::Invalid(format!(
            "the watermark of writer `{writer}` would go back"
        )));
    }
    let to =
        i64::try_from(to).map_err(|_| Error::Invalid("a watermark is out of range".to_owned()))?;
    sqlx::query(
        "INSERT INTO watermarks (node, start, number) VALUES ($1, $2, $3) \
         ON CONFLICT (node, start) DO UPDATE SET number = excluded.number",
    )
    .bind(i64::from(writer.node))
    .bind(i64::from(writer.start))
    .bind(to)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

async fn insert_part(session: &mut Session, sealer: &Sealer, part: &PartMeta) -> Result<()> {
    let meta = serde_json::to_string(part)
        .map_err(|_| Error::Internal("failed to encode a part".to_owned()))?;
    // Sealed: it lists the names of the properties, which senders choose.
    let meta = sealer.seal(&meta_context(part.id), &meta)?;
    let done = sqlx::query(
        "INSERT INTO parts (id, account, table_name, meta_sealed, replaced_at) \
         VALUES ($1, $2, $3, $4, NULL) ON CONFLICT (id) DO NOTHING",
    )
    .bind(part.id.0.to_vec())
    .bind(part.account.as_str().to_owned())
    .bind(part.table.as_str())
    .bind(meta)
    .execute(session.connection())
    .await
    .map_err(Error::database("publish a part"))?;
    if done.rows_affected() != 1 {
        return Err(Error::Conflict(format!(
            "part `{}` was published before",
            part.id
        )));
    }
    Ok(())
}

/// Binds what is sealed to its row.
fn meta_context(id: PartId) -> String {
    format!("part {id}")
}

async fn forget(session: &mut Session, parts: Vec<PartId>) -> Result<()> {
    for id in &parts {
        sqlx::query("DELETE FROM parts WHERE id = $1 AND replaced_at IS NOT NULL")
            .bind(id.0.to_vec())
            .execute(session.connection())
            .await
            .map_err(Error::database("forget a part"))?;
    }
    session.then(Effect::Forgotten(parts));
    Ok(())
}

/// Everything that the list of parts says, as effects on an empty state.
pub(crate) async fn load(session: &mut Session, sealer: &Sealer) -> Result<Vec<Effect>> {
    const ACT: &str = "read the parts";
    let mut effects = Vec::new();
    let (mut added, mut replaced) = (Vec::new(), Vec::new());
    let rows = sqlx::query("SELECT id, meta_sealed, replaced_at FROM parts")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let id: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
        let id = <[u8; 16]>::try_from(id)
            .map_err(|_| Error::damaged("a row of the parts", "its id has another length"))?;
        let sealed: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let meta = sealer.open(&meta_context(PartId(id)), &sealed)?;
        let part: PartMeta = serde_json::from_str(&meta)
            .map_err(|error| Error::damaged("a row of the parts", error.to_string()))?;
        let at: Option<i64> = row.try_get(2).map_err(Error::database(ACT))?;
        replaced.extend(at.map(|at| (part.id, Timestamp::from_ms(at))));
        added.push(Arc::new(part));
    }
    let rows = sqlx::query("SELECT node, start, number FROM watermarks")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut watermarks = Vec::new();
    for row in &rows {
        let number = |index: usize| row.try_get::<i64, _>(index).map_err(Error::database(ACT));
        let damaged = || Error::damaged("a watermark", "a number is out of range");
        let writer = WriterId {
            node: u32::try_from(number(0)?).map_err(|_| damaged())?,
            start: u32::try_from(number(1)?).map_err(|_| damaged())?,
        };
        watermarks.push((writer, u64::try_from(number(2)?).map_err(|_| damaged())?));
    }
    let at = Timestamp::default();
    effects.push(Effect::Published {
        added,
        removed: Vec::new(),
        at,
        watermarks,
    });
    for (id, at) in replaced {
        let (added, watermarks) = (Vec::new(), Vec::new());
        effects.push(Effect::Published {
            added,
            removed: vec![id],
            at,
            watermarks,
        });
    }
    Ok(effects)
}
