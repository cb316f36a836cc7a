//! A block gives back what was put in, to the letter, or is refused.

use super::*;
use proptest::prelude::*;

fn event(number: u8, name: &str, properties: &str) -> Entry {
    Entry {
        account: "SHOP-1".parse().unwrap(),
        record: Record::Event(Event {
            id: RecordId([number; 16]),
            person: PersonKey([number.wrapping_mul(7); 16]),
            name: name.into(),
            ts: Timestamp::from_ms(1_700_000_000_000 + i64::from(number)),
            received_at: Timestamp::from_ms(1_700_000_000_500),
            ts_sent: None,
            source: Source::Rest,
            session: None,
            properties: RawJson::from_checked(properties),
            context: None,
        }),
    }
}

fn encoded(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::default();
    for entry in entries {
        builder.push(entry).unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish().append_to(&mut bytes);
    bytes
}

fn comes_back(entries: &[Entry]) {
    let bytes = encoded(entries);
    let sizes: usize = entries.iter().map(size_bytes).sum();
    assert!(bytes.len() <= sizes, "{} > {sizes}", bytes.len());
    let count = u32::try_from(entries.len()).unwrap();
    assert_eq!(decode(&bytes, count).unwrap(), entries);
    assert!(decode(&bytes, count + 1).is_err());
    assert!(count == 0 || decode(&bytes, count - 1).is_err());
}

#[test]
fn properties_come_back_to_the_letter() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    let many: String = (0..200).map(|it| format!(",\"{it}\":{it}")).collect();
    let many = format!("{{{}}}", &many[1..]);
    let texts = [
        "{}",
        "{ }",
        r#"{"a":1}"#,
        r#"{"a":1.50,"b":-0,"c":1E400,"d":12345678901234567890123}"#,
        r#"{"a":"","b":"x","c":"\"","d":"\\","e":"\u0000","é":"ü"}"#,
        r#"{"a":true,"b":false,"c":null}"#,
        r#"{"a":{"b":[1,"}]",{"c":"\""}]},"d":[[]]}"#,
        " { \"a\" :\t1 ,\r\n\"b\" : \"x\" , \"c\" : [ 1 , 2 ] } ",
        r#"{"a":1,"a":2}"#,
        r#"{"":1}"#,
        // No JSON, and still not to be lost.
        "",
        "x",
        "{",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":\"",
        "{\"a\":[",
        "{\"a\":1",
        "{\"a\\",
        "]]}}",
        "{\"a\":]}",
        "a\0b",
        "{\"a\":\"\0\"}",
        &long,
        &many,
    ];
    let entries: Vec<Entry> = texts.iter().map(|it| event(1, "E", it)).collect();
    comes_back(&entries);
    let twice: Vec<Entry> = texts
        .iter()
        .chain(&texts)
        .map(|it| event(2, it, it))
        .collect();
    comes_back(&twice);
}

#[test]
fn what_repeats_is_written_once() {
    let entries: Vec<Entry> = (0..200_u8)
        .map(|number| {
            let text = format!(r#"{{"Product":"item","Price":{number},"In stock":true}}"#);
            let mut entry = event(number, "Product Viewed", &text);
            if let Record::Event(event) = &mut entry.record {
                event.id = RecordId(u128::from(number).to_be_bytes());
            }
            entry
        })
        .collect();
    comes_back(&entries);
    let bytes = encoded(&entries);
    let found = |text: &[u8]| bytes.windows(text.len()).filter(|it| *it == text).count();
    for once in [&b"Product Viewed"[..], b"In stock", b"SHOP-1"] {
        assert_eq!(found(once), 1);
    }
    assert!(bytes.len() < 200 * 40, "{}", bytes.len());
}

#[test]
fn a_text_that_outgrows_what_was_said_is_refused() {
    let entries = [event(1, "E", r#"{"a":1}"#), event(1, "E", r#"{"a":1}"#)];
    let bytes = encoded(&entries);
    assert!(decode(&bytes, 2).is_ok());
    // The fourth number of the head: two names and two texts.
    assert_eq!(bytes[3], 16);
    for said in [0, 15, 17] {
        let mut forged = bytes.clone();
        forged[3] = said;
        assert!(decode(&forged, 2).is_err(), "{said}");
    }
}

#[test]
fn a_block_that_is_cut_or_changed_never_panics() {
    let whole = encoded(&[
        event(1, "A", r#"{"a":1,"b":"x"}"#),
        event(2, "A", r#"{"a":2,"b":"y"}"#),
        event(3, "B", r#"{"c":[1]}"#),
    ]);
    for length in 0..whole.len() {
        assert!(decode(&whole[..length], 3).is_err(), "cut at {length}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = decode(&flipped, 3) {
            assert_eq!(read.len(), 3, "bit {bit}");
        }
    }
}

#[test]
fn times_of_any_distance_come_back() {
    let mut entries = Vec::new();
    for ms in [i64::MIN, -1, 0, 1, i64::MAX] {
        for received in [i64::MIN, -5, 0, i64::MAX] {
            let mut entry = event(1, "E", "{}");
            if let Record::Event(event) = &mut entry.record {
                event.ts = Timestamp::from_ms(ms);
                event.received_at = Timestamp::from_ms(received);
                event.ts_sent = Some(Timestamp::from_ms(ms));
                event.session = Some(7);
                event.context = Some(RawJson::from_checked("{}"));
            }
            entries.push(entry);
        }
    }
    comes_back(&entries);
}

fn number_comes_back(number: u64) {
    let mut bytes = Vec::new();
    put_number(&mut bytes, number);
    let mut rest = bytes.as_slice();
    assert_eq!(take_number(&mut rest), Some(number));
    assert!(rest.is_empty());
}

#[test]
fn numbers_come_back() {
    for shift in 0..64 {
        for number in [(1 << shift) - 1, 1 << shift, !(1 << shift)] {
            number_comes_back(number);
            assert_eq!(zigzag(unzigzag(number)), number);
        }
    }
    assert_eq!(take_number(&mut &[0xff; 10][..]), None);
    assert_eq!(take_number(&mut &[0x80; 11][..]), None);
}

proptest! {
    #[test]
    fn any_text_comes_back(texts in proptest::collection::vec(
        r#"[{}\[\],:" \\abé0-9\x00-]{0,40}"#, 1..8)) {
        let entries: Vec<Entry> = texts.iter().map(|it| event(1, it, it)).collect();
        comes_back(&entries);
    }

    #[test]
    fn any_object_comes_back(members in proptest::collection::vec(
        ("[a-c]{1,3}", r#"-?[1-9][0-9]{0,20}|true|null|"[^\x00-\x1f"\\]{0,20}"|\[1, "a]"\]"#), 0..90)) {
        let members: Vec<String> = members.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
        let text = format!("{{{}}}", members.join(","));
        comes_back(&[event(1, "E", &text), event(2, "E", &text)]);
    }
}
