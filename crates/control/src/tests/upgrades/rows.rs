//! What each version of the program wrote, in the columns of its time.

use governance::PasscodeHash;

use crate::schema::STEPS;
use crate::sealer::Sealer;
use crate::tests::parts::part;

/// The rows of each version before today's, in the order of the steps: something in every table. The
/// audit entries of v1 stay without leaves, as if no start after it had come so far.
/// `[0a]` is sixteen bytes in hexadecimal digits; what stands in `<` and `>` is sealed or hashed.
/// Sealed fields that nothing opens here are `X'00'` and `X'01'`.
pub(super) const ROWS: [&str; STEPS.len() - 1] = [
    // v1
    "INSERT INTO accounts \
     VALUES ('SHOP', 'Shop', 'UTC', 1000, 7, 2, 400, 30, <credential first token>); \
     INSERT INTO passcodes VALUES \
     ('SHOP', 'default', <credential first passcode>, 'api', 1000, NULL), \
     ('SHOP', 'old', <credential old passcode>, 'api', 1000, 2000); \
     INSERT INTO nodes VALUES (1, 3); \
     INSERT INTO watermarks VALUES (1, 3, 17); \
     INSERT INTO parts VALUES (X'[01]', 'A1', 'events', <part 1>, NULL), \
     (X'[02]', 'A0', 'events', <part 2>, 5000); \
     INSERT INTO deletions VALUES \
     (X'[d1]', 'SHOP', 'done', 2, X'00', 100, 110, 120, '{\"rows\":3}'), \
     (X'[d2]', 'SHOP', 'running', 1, X'00', 200, 210, NULL, NULL), \
     (X'[d3]', 'SHOP', 'pending', 1, X'00', 300, NULL, NULL, NULL); \
     INSERT INTO ledger VALUES (1, 'SHOP', X'[01]', NULL, NULL, X'[d1]'), \
     (2, 'SHOP', X'[02]', 10, 20, X'[d2]'), (3, 'SHOP', X'[03]', NULL, NULL, X'[d3]'); \
     INSERT INTO audit VALUES ('SHOP', 1, 1000, 'os_user', <hash audit actor|olga>, \
     <seal audit/actor/SHOP/1|olga>, 'operator', 'account.created', 'SHOP', \
     <seal audit/description/SHOP/1|with a passcode>, 'done', NULL), \
     ('SHOP', 2, 1100, 'passcode', <hash audit actor|default>, <seal audit/actor/SHOP/2|default>, \
     'program', 'deletion.requested', '[d1]', <seal audit/description/SHOP/2|1 keys hidden>, \
     'done', <seal audit/peer/SHOP/2|192.0.2.9>)",
    // audit_trees: of an entry that was purged
    "INSERT INTO audit_leaves VALUES ('0', 1, X'[c2][c2]'); \
     INSERT INTO audit_trees VALUES ('0', 1, X'[c2][c2]')",
    // web_pages
    "INSERT INTO account_domains VALUES ('SHOP', 'shop.example'); \
     UPDATE accounts SET encrypted_refused = 1",
    // drops
    "INSERT INTO drop_reviews VALUES (X'[e1]', 'no_route', X'00', 400, 500, X'01'); \
     INSERT INTO quarantine_marks VALUES ('SHOP', X'[e2]', 'replayed', 600)",
    // passcode_terms
    "INSERT INTO passcodes (account, name, hash, scopes, created_at, expires_at, networks) VALUES \
     ('SHOP', 'reader', <credential reader>, 'upload,read', 1200, 9000, '192.0.2.0/24'), \
     ('SHOP', 'writer', <credential writer>, 'upload', 1200, NULL, '')",
    // users
    "INSERT INTO users VALUES (X'[0a]', <hash user email|ann@shop.example>, \
     <seal users/email/[0a]|ann@shop.example>, <seal users/name/[0a]|Ann>, 'invited', 1300), \
     (X'[0b]', <hash user email|bob@shop.example>, <seal users/email/[0b]|bob@shop.example>, \
     <seal users/name/[0b]|Bob>, 'invited', 1300); \
     INSERT INTO roles VALUES ('SHOP', 'Desk', 'people=read', 1300); \
     INSERT INTO grants VALUES (X'[0a]', 'SHOP', 'Desk', 1300, NULL), \
     (X'[0b]', 'SHOP', 'Desk', 1300, NULL); \
     INSERT INTO links VALUES (X'[0c]', 'SHOP', 'Desk', X'[0b]', 1300, 2300, NULL)",
    // dictionary
    "INSERT INTO dictionary VALUES ('SHOP', 'Bought', '', 'known'), \
     ('SHOP', 'Bought', 'Price', 'known'), ('SHOP', 'Spam', '', 'discarded'); \
     UPDATE accounts SET undefined_events = 'drop'",
    // api_keys
    "INSERT INTO api_keys VALUES ('SHOP', 7, X'[aa][aa]', \
     <seal api_keys.private_key SHOP 7|0123456789abcdef0123456789abcdef>, 1400, NULL, NULL); \
     UPDATE accounts SET api_encryption = 'off', answer_key = X'[ab][ab]', answer_prefix = 9",
    // learned
    "INSERT INTO learned \
     VALUES ('SHOP', X'[e3]', 'event', X'00', '', 4, 0, 0, 0, 0, 0, 0, 0, 0, 700, 800); \
     INSERT INTO schema_errors \
     VALUES ('SHOP', 'event_undefined', 'rest', X'[e4]', X'00', 2, 700, 800, NULL)",
    // sign_in
    "UPDATE users SET state = 'active' WHERE id = X'[0a]'; \
     INSERT INTO proofs VALUES (X'[0a]', X'00', X'01', 5, 1500, 1600); \
     INSERT INTO recovery_codes VALUES (X'[0a]', X'[a1]', NULL), (X'[0a]', X'[a2]', 1700); \
     INSERT INTO passkeys VALUES (X'[a3]', X'[0a]', X'00', X'01', 1500, NULL); \
     INSERT INTO failures VALUES (<hash user email|bob@shop.example>, 3, 1500, 0); \
     INSERT INTO sessions \
     VALUES (X'[a4]', X'[a5]', X'[0a]', 'full', 1600, 1700, 1600, 0, NULL, X'00', X'01'); \
     INSERT INTO networks VALUES \
     ('SHOP', '192.0.2.0/24', <seal networks/SHOP/192.0.2.0/24|office>, 1500); \
     INSERT INTO network_switches VALUES ('SHOP', 0, 1); \
     INSERT INTO mails VALUES (X'[a6]', 'SHOP', X'00', 1500, NULL, 2)",
    // dictionary_kinds
    "UPDATE dictionary SET kind = 'number', mandatory = 1 WHERE property = 'Price'; \
     INSERT INTO dictionary VALUES ('SHOP', '', 'Size', 'known', 'text', 0)",
    // audit_sinks
    "INSERT INTO audit_sinks VALUES ('siem', 1, 1600, 2); \
     INSERT INTO audit_sink_positions VALUES ('siem', 'SHOP', 1)",
    // alerts
    "INSERT INTO alerts VALUES ('volume', '2', '0', 'volume 2 is missing', 1700); \
     INSERT INTO alert_calls VALUES (X'[a7]', '{}', 1700, 1800, 1); \
     UPDATE mails SET next_at = 1900",
    // user_pauses
    "INSERT INTO disabled_users VALUES (X'[0b]', 'SHOP', 1800); \
     INSERT INTO session_limits VALUES ('SHOP', 30, 8)",
    // classes
    "INSERT INTO classes VALUES ('SHOP', 'person', 'Size', 'contact', 'partial'); \
     INSERT INTO passcodes (account, name, hash, scopes, created_at) \
     VALUES ('SHOP', 'later', <credential later>, 'read', 1900)",
    // filters
    "UPDATE roles SET filter_sealed = <seal roles/filter/SHOP/Desk|Country = 'DE'>",
    // reveals
    "INSERT INTO reveals VALUES ('SHOP', <hash reveal actor|ann@shop.example>, 1900); \
     UPDATE accounts SET reveals_minute_max = 2, reveals_day_max = 20",
    // restrictions
    "INSERT INTO restrictions VALUES (X'[b1]', 'SHOP', X'[09]', 1900, X'00', X'01', \
     NULL, NULL, NULL)",
    // cancelling
    "INSERT INTO deletions VALUES \
     (X'[d4]', 'SHOP', 'pending', 1, X'00', 400, NULL, NULL, NULL, 0), \
     (X'[d5]', 'SHOP', 'cancelled', 1, X'00', 500, NULL, 510, NULL, 0); \
     INSERT INTO ledger VALUES (4, 'SHOP', X'[04]', NULL, NULL, X'[d4]')",
    // credential_use
    "UPDATE passcodes SET used_at = 2000 WHERE name = 'default'; \
     UPDATE sdk_tokens SET ends_at = 3000, used_at = 2100; \
     INSERT INTO sdk_tokens VALUES ('SHOP', 2, <credential second token>, 2000, NULL, NULL)",
    // opt_outs
    "INSERT INTO opt_outs VALUES ('SHOP', X'[0d]', 2200)",
    // ledger_lines
    "INSERT INTO deletions \
     VALUES (X'[d6]', 'SHOP', 'pending', 2, X'00', 600, NULL, NULL, NULL, 1); \
     INSERT INTO ledger VALUES (5, 'SHOP', X'[05]', NULL, NULL, X'[d6]', 1), \
     (6, 'SHOP', X'[06]', NULL, NULL, X'[d6]', 0)",
    // deletion_work
    "INSERT INTO deletion_rows VALUES (X'[d2]', 'events', 0, 5); \
     INSERT INTO deletion_parts VALUES (X'[d2]', X'[02]', 8, X'[c1][c1]'); \
     INSERT INTO deletions \
     VALUES (X'[d7]', 'SHOP', 'done', 1, X'00', 700, 710, 720, NULL, 1, '<receipt>')",
    // request_retention
    "UPDATE accounts SET request_retention_days = NULL",
];

/// A signed receipt.
pub(super) const RECEIPT: &str = include_str!("../../../testdata/deletion-receipt-v1.txt");

/// Rows as SQL, with everything sealed and hashed.
pub(super) fn filled(sealer: &Sealer, rows: &str) -> String {
    let mut sql = rows.replace("<receipt>", RECEIPT);
    for byte in 0..=u8::MAX {
        let digits = format!("{byte:02x}");
        sql = sql.replace(&format!("[{digits}]"), &digits.repeat(16));
    }
    let mut pieces = sql.split('<');
    let mut out = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (call, rest) = piece.split_once('>').unwrap();
        let (how, what) = call.split_once(' ').unwrap();
        let (place, text) = what.split_once('|').unwrap_or((what, ""));
        let bytes = match how {
            "seal" => sealer.seal(place, text).unwrap(),
            "hash" => sealer.hash(place, text),
            "credential" => PasscodeHash::of(place).to_bytes().to_vec(),
            "part" => {
                let part = part(place.parse().unwrap());
                let meta = serde_json::to_string(&part).unwrap();
                sealer.seal(&format!("part {}", part.id), &meta).unwrap()
            }
            other => panic!("nothing is made by `{other}`"),
        };
        out += &format!("X'{}'{rest}", hex::encode(bytes));
    }
    out
}
