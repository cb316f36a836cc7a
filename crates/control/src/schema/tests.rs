//! What steps make of the rows that they find.

use model::SeededRandom;
use sqlx::Row as _;

use super::{STEPS, apply, migrate};
use crate::database::Session;

#[tokio::test]
async fn an_account_goes_on_keeping_its_request_log_as_long_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(7);
    let path = folder.path().join("control.db");
    let mut session = Session::open(&path).await.unwrap();
    let step = include_str!("request_retention.sql");
    let before = STEPS.iter().position(|it| *it == step).unwrap();
    apply(&mut session, &random, &STEPS[..before])
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO accounts (id, name, time_zone, created_at, uploads_max, calls_max, \
         retention_days, request_retention_days) \
         VALUES ('AAA-AAA-AAAZ', 'Old', 'UTC', 0, 15, 3, 365, 90)",
    )
    .execute(session.connection())
    .await
    .unwrap();
    migrate(&mut session, &random).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO accounts (id, name, time_zone, created_at, uploads_max, calls_max, \
         retention_days) VALUES ('AAB-AAA-AAAZ', 'New', 'UTC', 0, 15, 3, 365)",
    )
    .execute(session.connection())
    .await
    .unwrap();
    let rows = sqlx::query("SELECT name, request_retention_days FROM accounts ORDER BY id")
        .fetch_all(session.connection())
        .await
        .unwrap();
    let rows: Vec<(String, Option<i64>)> = rows
        .iter()
        .map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap()))
        .collect();
    assert_eq!(
        rows,
        [("Old".to_owned(), Some(90)), ("New".to_owned(), None)]
    );
}
