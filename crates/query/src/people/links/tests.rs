//! Which keys are one person, and since when.

use super::*;

fn key(n: u8) -> PersonKey {
    PersonKey([n; 16])
}

#[test]
fn stretches_follow_one_another_without_gap() {
    let uses = |script: &str| -> Vec<Use> {
        let links = (1_i64..).zip(script.bytes()).map(|(n, byte)| Use {
            ts: Timestamp::from_ms(n),
            received_at: Timestamp::from_ms(n),
            record: RecordId([0; 16]),
            to: key(byte),
            kind: if byte == b'-' {
                LinkKind::Unlink
            } else {
                LinkKind::Device
            },
        });
        links.collect()
    };
    let shown = |owned: Vec<Owned>| -> String {
        let one = |it: &Owned| {
            let at = |ts: Option<Timestamp>| ts.map_or(String::new(), |it| it.ms().to_string());
            let by = it.by.map_or('-', |it| char::from(it.0[0]));
            format!("{}..{}:{by}", at(it.stretch.from), at(it.stretch.to))
        };
        owned.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    for (script, expect) in [
        ("", ""),
        ("a", "..:a"),
        ("aa", "..:a"),
        ("ab", "..2:a 2..:b"),
        ("a-a", "..2:a 2..3:- 3..:a"),
        ("-a", "..2:- 2..:a"),
        ("aab-b", "..3:a 3..4:b 4..5:- 5..:b"),
    ] {
        assert_eq!(shown(stretches(&uses(script))), expect, "{script}");
    }
}
