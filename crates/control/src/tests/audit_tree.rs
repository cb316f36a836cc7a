//! The audit log as Merkle trees: what was touched is found.

use model::{AccountId, ErrorKind, PersonKey};
use sqlx::AssertSqlSafe;
use std::time::Duration;

use super::support::{Faulty, World, operator};
use crate::{
    Action, Actor, AuditFilter, AuditOutcome, Checkpoint, Control, DownloadFormat, LedgerKey,
    Verification, verify,
};

async fn download(control: &Control, account: Option<AccountId>, filter: AuditFilter) -> String {
    let format = DownloadFormat::JsonLines;
    let auditor = Actor::os_user("ada").with_peer("192.0.2.9".parse().unwrap());
    let mut download = control
        .download_audit(&auditor, account, filter, format)
        .await
        .unwrap();
    let mut text = String::new();
    while let Some(piece) = download.next_piece().await.unwrap() {
        text.push_str(&piece);
    }
    text
}

async fn whole(control: &Control, account: AccountId) -> String {
    download(control, Some(account), AuditFilter::default()).await
}

fn check(file: &str, key: Option<&str>, checkpoint: Option<&str>) -> Verification {
    verify(file.as_bytes(), key, checkpoint).unwrap()
}

/// The file holds, or the first finding says `expect`.
fn assert_finding(found: &Verification, expect: &str) {
    let told = found.findings.iter().any(|it| it.contains(expect));
    assert!(told, "`{expect}` is not in {:#?}", found.findings);
}

async fn execute(control: &Control, sql: &str) {
    let sql = sql.to_owned();
    control
        .database
        .write(move |session| {
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(session.connection())
                    .await
                    .unwrap();
                Ok(())
            })
        })
        .await
        .unwrap();
}

/// A shop with some acts behind it.
async fn shop(control: &Control) -> AccountId {
    let id = control
        .create_account(&operator(), "Shop", "Asia/Kolkata")
        .await
        .unwrap();
    let id = id.account_id;
    let program = Actor::passcode(id, "default").with_peer("2001:db8::7".parse().unwrap());
    for number in 0..5 {
        let keys = vec![LedgerKey::whole(PersonKey([number; 16]))];
        control
            .request_deletion(&program, id, keys, "asked, \"by\" mäil\n")
            .await
            .unwrap();
    }
    id
}

async fn world(seed: u64) -> (World, tempfile::TempDir, Control, AccountId) {
    let world = World::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    (world, dir, control, id)
}

fn checkpoint_of(file: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(file.lines().nth(1).unwrap()).unwrap();
    line["checkpoint"].as_str().unwrap().to_owned()
}

/// The file with its lines, from the third on (the entries), changed.
fn edited(file: &str, edit: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    edit(&mut lines);
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn a_whole_download_verifies_and_says_what_was_checked() {
    let (_world, _dir, control, id) = world(300).await;
    let file = whole(&control, id).await;
    let key = control.audit_key().unwrap();
    let found = check(&file, Some(&key), Some(&checkpoint_of(&file)));
    assert_eq!(found.findings, Vec::<String>::new());
    assert!(found.holds() && found.signer_checked && !found.filtered);
    // Account made, five deletions, and this download's own entry.
    let log = &found.logs[0];
    assert_eq!(
        (log.account.as_str(), log.size, log.entries),
        (id.as_str(), 7, 7)
    );
    let found = check(&file, None, None);
    assert!(found.holds() && !found.signer_checked);
}

#[tokio::test]
async fn a_download_of_everything_compares_the_heads_that_the_installation_logged() {
    let (_world, _dir, control, id) = world(301).await;
    let job = Actor::system("checkpoint");
    let note = control
        .audit_checkpoint(&job, id, None)
        .await
        .unwrap()
        .unwrap();
    let file = download(&control, None, AuditFilter::default()).await;
    let found = check(&file, Some(&control.audit_key().unwrap()), Some(&note));
    assert_eq!(found.findings, Vec::<String>::new());
    let accounts: Vec<&str> = found.logs.iter().map(|it| it.account.as_str()).collect();
    assert_eq!(accounts, ["0", id.as_str()]);
    assert!(file.contains("audit.head_logged"));
}

#[tokio::test]
async fn each_kind_of_tampering_is_found() {
    let (_world, _dir, control, id) = world(302).await;
    let key = control.audit_key().unwrap();
    let old = whole(&control, id).await;
    let file = whole(&control, id).await;
    let kept = checkpoint_of(&file);

    let edit = edited(&file, |lines| {
        lines[3] = lines[3].replacen("deletion.requested", "deletion.completed", 1);
    });
    assert_finding(&check(&edit, None, None), "entry 2 of account");
    let removed = edited(&file, |lines| drop(lines.remove(4)));
    assert_finding(&check(&removed, None, None), "entry 4 where 3 should be");
    let reordered = edited(&file, |lines| lines.swap(4, 5));
    assert_finding(&check(&reordered, None, None), "entry 4 where 3 should be");
    let truncated = edited(&file, |lines| lines.truncate(6));
    assert_finding(&check(&truncated, None, None), "cut short");
    // The tail cut out, the end left.
    let truncated = edited(&file, |lines| drop(lines.drain(6..lines.len() - 1)));
    assert_finding(&check(&truncated, None, None), "and should have");

    // The newest entries gone: what an attacker has who restores yesterday's database. The file is
    // genuine and signed; only what was kept elsewhere tells.
    assert!(check(&old, Some(&key), None).holds());
    let found = check(&old, Some(&key), Some(&kept));
    assert_finding(&found, "or the newest entries were deleted");

    // Everything replaced, with hashes and signatures that fit, by somebody with another key.
    let (_other_world, _other_dir, other, other_id) = world(303).await;
    let forged = whole(&other, other_id).await;
    assert!(check(&forged, None, None).holds());
    assert_finding(&check(&forged, Some(&key), None), "another key");
    assert_finding(
        &check(&forged, None, Some(&kept)),
        "not signed by the key of this file",
    );
}

#[tokio::test]
async fn no_byte_of_a_download_can_be_changed() {
    let (_world, _dir, control, id) = world(304).await;
    let file = whole(&control, id).await;
    for at in 0..file.len() {
        let mut bytes = file.clone().into_bytes();
        bytes[at] ^= 1;
        let found = verify(&bytes[..], None, None).unwrap();
        assert!(!found.holds(), "byte {at} of {}", file.len());
    }
    for at in 0..file.len() {
        assert!(
            !verify(&file.as_bytes()[..at], None, None).unwrap().holds(),
            "cut at {at}"
        );
    }
    assert!(!check(&format!("{file}\n"), None, None).holds());
    assert!(!check(&format!("{file}{file}"), None, None).holds());
}

#[tokio::test]
async fn a_filtered_download_says_so_and_still_proves_what_it_holds() {
    let (_world, _dir, control, id) = world(305).await;
    let filter = AuditFilter {
        actions: vec![Action::DeletionRequested],
        ..AuditFilter::default()
    };
    let kept = control
        .audit_checkpoint(&Actor::system("checkpoint"), id, None)
        .await
        .unwrap()
        .unwrap();
    let file = download(&control, Some(id), filter).await;
    let found = check(&file, Some(&control.audit_key().unwrap()), None);
    assert_eq!(found.findings, Vec::<String>::new());
    assert!(found.filtered);
    assert_eq!((found.logs[0].size, found.logs[0].entries), (7, 5));
    let own = checkpoint_of(&file);
    assert!(check(&file, None, Some(&own)).holds());
    assert_finding(&check(&file, None, Some(&kept)), "take an unfiltered one");
    let removed = edited(&file, |lines| drop(lines.remove(4)));
    assert!(!check(&removed, None, None).holds());
}

#[tokio::test]
async fn a_purge_keeps_the_leaves_so_that_proofs_still_hold() {
    let (world, _dir, control, id) = world(306).await;
    let job = Actor::system("checkpoint");
    let kept = control
        .audit_checkpoint(&job, id, None)
        .await
        .unwrap()
        .unwrap();
    world.clock.advance(Duration::from_secs(86_400 * 401));
    let now = model::Clock::now(world.clock.as_ref());
    let before = now.minus(Duration::from_secs(86_400 * 400));
    let expiry = Actor::system("expiry");
    assert_eq!(control.purge_audit(&expiry, id, before).await.unwrap(), 6);
    assert_eq!(control.purge_audit(&expiry, id, before).await.unwrap(), 0);
    let file = whole(&control, id).await;
    assert!(!file.contains("deletion.requested"));
    let found = check(&file, None, Some(&kept));
    assert_eq!(found.findings, Vec::<String>::new());
    // The purge's own entry, and the download's.
    assert_eq!((found.logs[0].purged, found.logs[0].entries), (6, 2));
    let entries = control
        .audit_log(&operator(), id, &AuditFilter::default())
        .await
        .unwrap();
    assert_eq!(
        (entries[0].sequence, entries[0].action),
        (7, Action::AuditPurged)
    );
}

#[tokio::test]
async fn an_entry_changed_in_the_database_is_not_shown_as_logged() {
    let changes = [
        (
            "UPDATE audit SET outcome = 'failed' WHERE sequence = 3",
            "not what was logged",
        ),
        (
            "UPDATE audit SET at = at + 1 WHERE sequence = 3",
            "not what was logged",
        ),
        (
            "UPDATE audit SET action = 'count.read' WHERE sequence = 3",
            "not what was logged",
        ),
        (
            "UPDATE audit SET peer_sealed = NULL WHERE sequence = 3",
            "not what was logged",
        ),
        (
            "DELETE FROM audit_leaves WHERE sequence = 3",
            "leaf is missing",
        ),
        (
            "UPDATE audit SET salt_sealed = NULL WHERE sequence = 3",
            "salt is missing",
        ),
        (
            "UPDATE audit_leaves SET hash = zeroblob(32) WHERE sequence = 3",
            "not what was logged",
        ),
    ];
    for (number, (sql, expect)) in changes.into_iter().enumerate() {
        let (_world, _dir, control, id) = world(310 + u64::try_from(number).unwrap()).await;
        execute(&control, sql).await;
        let filter = AuditFilter::default();
        let error = control
            .audit_log(&operator(), id, &filter)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{sql}");
        assert!(error.to_string().contains(expect), "{sql}: {error}");
        let format = DownloadFormat::JsonLines;
        let mut download = control
            .download_audit(&operator(), Some(id), filter, format)
            .await
            .unwrap();
        let refused = loop {
            match download.next_piece().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error.kind()),
            }
        };
        assert_eq!(refused, Some(ErrorKind::Corrupt), "{sql}");
    }
}

#[tokio::test]
async fn checkpoints_are_signed_when_a_log_has_grown_and_only_if_it_continues() {
    let (world, dir, control, id) = world(320).await;
    let job = Actor::system("checkpoint");
    let first = control
        .audit_checkpoint(&job, id, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        control
            .audit_checkpoint(&job, id, Some(&first))
            .await
            .unwrap(),
        None
    );
    control
        .set_limits(&operator(), id, crate::LimitsChange::default())
        .await
        .unwrap();
    let second = control
        .audit_checkpoint(&job, id, Some(&first))
        .await
        .unwrap()
        .unwrap();
    let key = seal::VerifyingKey::parse(&control.audit_key().unwrap()).unwrap();
    let sizes = [&first, &second].map(|note| {
        let checkpoint = Checkpoint::parse(key.open_note(note).unwrap()).unwrap();
        assert_eq!(checkpoint.account(&key), Some(id));
        checkpoint.size
    });
    assert_eq!(sizes, [6, 7]);
    let changed = second.replacen("\n7\n", "\n8\n", 1);
    control
        .audit_checkpoint(&job, id, Some(&changed))
        .await
        .unwrap_err();

    // Somebody takes the newest entries out of the database, and makes the head fit.
    let five = {
        let kept = control
            .database
            .read(move |session| Box::pin(crate::audit::log::frontier(session, id)))
            .await
            .unwrap();
        let tree = crate::audit::log::tree(&control.database, id, &kept)
            .await
            .unwrap();
        let leaves = (0..5).map(|index| tree.leaf(index).unwrap());
        hex::encode(seal::merkle::Frontier::from_iter(leaves).to_bytes())
    };
    let sql = format!(
        "DELETE FROM audit WHERE account = '{id}' AND sequence > 5; \
         DELETE FROM audit_leaves WHERE account = '{id}' AND sequence > 5; \
         UPDATE audit_trees SET size = 5, frontier = X'{five}' WHERE account = '{id}'"
    );
    execute(&control, &sql).await;
    for published in [&first, &second] {
        let error = control
            .audit_checkpoint(&job, id, Some(published))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    // And lets it grow again beyond what was published.
    for _ in 0..9 {
        control
            .set_limits(&operator(), id, crate::LimitsChange::default())
            .await
            .unwrap();
    }
    let error = control
        .audit_checkpoint(&job, id, Some(&second))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    drop((world, dir));
}

#[tokio::test]
async fn entries_of_an_older_version_get_their_leaves_at_the_next_start() {
    // At the first start that makes any, and after one that a crash cut short.
    for made in [0, 1] {
        let world = World::new(330);
        let dir = tempfile::tempdir().unwrap();
        let store = Faulty::new();
        let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
        let id = shop(&control).await;
        let filter = AuditFilter::default();
        let before = control.audit_log(&operator(), id, &filter).await.unwrap();
        let sql = format!(
            "DELETE FROM audit_leaves WHERE sequence > {made}; \
             DELETE FROM audit_trees WHERE {made} = 0; \
             UPDATE audit_trees SET size = {made}, frontier = \
             (SELECT l.hash FROM audit_leaves l WHERE l.account = audit_trees.account); \
             UPDATE audit SET salt_sealed = NULL WHERE sequence > {made}; \
             DELETE FROM settings WHERE name = 'audit_trees'"
        );
        execute(&control, &sql).await;
        drop(control);
        let (control, _) = world.open(dir.path(), store).await.unwrap();
        let after = control.audit_log(&operator(), id, &filter).await.unwrap();
        assert_eq!(after[..before.len()], before[..], "{made} made");
        let file = download(&control, None, filter).await;
        assert_eq!(check(&file, None, None).findings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_download_is_refused_and_noted_for_whom_it_is_not() {
    let (_world, _dir, control, id) = world(340).await;
    let program = Actor::passcode(id, "default");
    let (filter, format) = (AuditFilter::default(), DownloadFormat::Csv);
    for account in [Some(id), None] {
        let refused = control
            .download_audit(&program, account, filter.clone(), format)
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    let unknown = Some("NOBODY".parse().unwrap());
    let error = control
        .download_audit(&operator(), unknown, filter.clone(), format)
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let entries = control.audit_log(&operator(), id, &filter).await.unwrap();
    let refused = entries
        .iter()
        .filter(|it| it.outcome == AuditOutcome::Refused);
    assert_eq!(refused.count(), 1);
}

#[tokio::test]
async fn what_a_log_grows_by_while_it_is_downloaded_is_not_in_the_download() {
    let (_world, _dir, control, id) = world(350).await;
    let (filter, format) = (AuditFilter::default(), DownloadFormat::JsonLines);
    let mut download = control
        .download_audit(&operator(), Some(id), filter, format)
        .await
        .unwrap();
    let mut file = String::new();
    while let Some(piece) = download.next_piece().await.unwrap() {
        file.push_str(&piece);
        control
            .set_limits(&operator(), id, crate::LimitsChange::default())
            .await
            .unwrap();
    }
    let found = check(&file, None, None);
    assert_eq!(
        (found.findings.len(), found.logs[0].entries),
        (0, 8),
        "{:?}",
        found.findings
    );
}

#[tokio::test]
async fn the_first_version_of_downloads_is_still_verified() {
    let path = "testdata/audit-download-v1.jsonl";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let (_world, _dir, control, _) = world(360).await;
        let file = download(&control, None, AuditFilter::default()).await;
        std::fs::write(path, file).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    let found = check(&file, None, None);
    assert_eq!(found.findings, Vec::<String>::new());
    assert_eq!(found.logs.len(), 2);
}
