//! Which keys are one person, and since when.

use super::*;

fn key(n: u8) -> PersonKey {
    PersonKey([n; 16])
}

fn shown(owned: &[Owned]) -> String {
    let one = |it: &Owned| {
        let at = |ts: Option<Timestamp>| ts.map_or(String::new(), |it| it.ms().to_string());
        let by = it.by.map_or('-', |it| char::from(it.0[0]));
        format!("{}..{}:{by}", at(it.stretch.from), at(it.stretch.to))
    };
    owned.iter().map(one).collect::<Vec<_>>().join(" ")
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
    for (script, expect) in [
        ("", ""),
        ("a", "..:a"),
        ("aa", "..:a"),
        ("ab", "..2:a 2..:b"),
        ("a-a", "..2:a 2..3:- 3..:a"),
        ("-a", "..2:- 2..:a"),
        ("aab-b", "..3:a 3..4:b 4..5:- 5..:b"),
    ] {
        assert_eq!(shown(&stretches(&mut uses(script))), expect, "{script}");
    }
}

#[test]
fn an_unlink_ends_what_was_received_before_it_by_whatever_clock() {
    let used = |ts: i64, received_at: i64, kind, to: u8| Use {
        ts: Timestamp::from_ms(ts),
        received_at: Timestamp::from_ms(received_at),
        record: RecordId([0; 16]),
        to: key(to),
        kind,
    };
    let unlink = used(100, 100, LinkKind::Unlink, b'g');
    let ahead = used(160, 90, LinkKind::Device, b'a');
    let older = used(10, 10, LinkKind::Device, b'b');
    let again = used(150, 110, LinkKind::Device, b'a');
    for (links, expect) in [
        (vec![ahead, unlink], "..100:a 100..:-"),
        (vec![unlink, ahead, older], "..99:b 99..100:a 100..:-"),
        (vec![ahead, unlink, again], "..100:a 100..150:- 150..:a"),
        (vec![ahead], "..:a"),
    ] {
        let mut links = links;
        assert_eq!(shown(&stretches(&mut links)), expect);
    }
}
