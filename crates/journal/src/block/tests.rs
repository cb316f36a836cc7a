//! A block gives back what was put in, to the letter, or is refused.

use super::number::{take_number, unzigzag};
use super::*;
use model::RawJson;
use model::record::{Change, ChangeOp};
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
    let mut builder = Builder::with_capacity(entries.len());
    for entry in entries {
        builder.push(entry).unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish().append_to(&mut bytes);
    bytes
}

fn read(bytes: &[u8], count: u32) -> std::result::Result<Vec<Entry>, crate::codec::Malformed> {
    decode(bytes, count, Layout::Apart)
}

fn comes_back(entries: &[Entry]) {
    let bytes = encoded(entries);
    let sizes: usize = entries.iter().map(size_bytes).sum();
    assert!(bytes.len() <= sizes, "{} > {sizes}", bytes.len());
    let count = u32::try_from(entries.len()).unwrap();
    assert_eq!(read(&bytes, count).unwrap(), entries);
    assert!(read(&bytes, count + 1).is_err());
    assert!(count == 0 || read(&bytes, count - 1).is_err());
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
fn what_is_like_the_value_before_it_says_only_what_differs() {
    let path = "/products/a-very-long-path-that-all-of-them-share";
    let entries: Vec<Entry> = (0..200_u32)
        .map(|number| {
            let text = format!(r#"{{"At":"https://shop.example{path}/{number}","In":"{path}"}}"#);
            event(1, "E", &text)
        })
        .collect();
    comes_back(&entries);
    let bytes = encoded(&entries);
    let found = bytes
        .windows(path.len())
        .filter(|it| *it == path.as_bytes());
    assert_eq!(found.count(), 2);
    assert!(bytes.len() < 200 * 40, "{}", bytes.len());
}

#[test]
fn people_who_come_again_are_said_by_number() {
    let entries: Vec<Entry> = (0..200_u8).map(|it| event(it % 3, "E", "{}")).collect();
    comes_back(&entries);
    let key = [7; 16];
    let bytes = encoded(&entries);
    assert_eq!(bytes.windows(16).filter(|it| **it == key).count(), 1);
}

#[test]
fn places_and_values_beyond_what_is_remembered_come_back() {
    // More places than are remembered, more values of one place than are numbered, and an object with
    // too many members in between, which stays whole.
    let whole: String = (0..80).map(|it| format!(",\"k{it}\":\"v{it}\"")).collect();
    let mut texts = vec![format!("{{{}}}", &whole[1..])];
    for number in 0..600 {
        texts.push(format!(r#"{{"k0":"v{}","k1":"v{number}"}}"#, number % 300));
    }
    for place in 0..20 {
        let more: String = (0..20)
            .map(|it| format!(r#","p{place}-{it}":"v{}""#, it % 3))
            .collect();
        texts.push(format!("{{{}}}", &more[1..]));
        texts.push(format!("{{{}}}", &more[1..]));
        texts.push(format!("{{{}}}", &whole[1..]));
    }
    let entries: Vec<Entry> = texts.iter().map(|it| event(1, "E", it)).collect();
    comes_back(&entries);
}

#[test]
fn places_are_counted_by_the_shapes_that_are_written() {
    // An object that stays whole, for it has too many members; then more places than are remembered; then
    // the members of the first one again, in shapes.
    let member = |it: i32| format!(",\"k{it}\":\"v\"");
    let whole: String = (0..80).map(member).collect();
    let mut texts = vec![whole];
    for place in 0..300 {
        texts.push(format!(",\"p{place}\":1,\"k{}\":\"v\"", place % 80));
    }
    for _ in 0..3 {
        texts.push((0..60).map(member).collect());
    }
    let texts = texts.iter().map(|it| format!("{{{}}}", &it[1..]));
    let entries: Vec<Entry> = texts.map(|it| event(1, "E", &it)).collect();
    comes_back(&entries);
}

#[test]
fn a_text_that_outgrows_what_was_said_is_refused() {
    let entries = [event(1, "E", r#"{"a":1}"#), event(1, "E", r#"{"a":1}"#)];
    let bytes = encoded(&entries);
    assert!(read(&bytes, 2).is_ok());
    // The sixth number of the head: two names and two texts.
    assert_eq!(bytes[5], 16);
    for said in [0, 15, 17] {
        let mut forged = bytes.clone();
        forged[5] = said;
        assert!(read(&forged, 2).is_err(), "{said}");
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
        assert!(read(&whole[..length], 3).is_err(), "cut at {length}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = read(&flipped, 3) {
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

#[test]
fn changes_count_what_they_take_in_memory() {
    let change = |number: usize| Change {
        property: number.to_string().into(),
        op: ChangeOp::Put,
        value: RawJson::from_checked("1"),
    };
    let changes: Vec<Change> = (0..1_000).map(change).collect();
    // No piece of memory is smaller than 8 bytes.
    let bytes = changes.len() * (size_of::<Change>() + 2 * 8);
    let at = Timestamp::from_ms(1_700_000_000_000);
    let entry = Entry {
        account: "SHOP-1".parse().unwrap(),
        record: Record::ProfileChange(ProfileChange {
            id: RecordId([1; 16]),
            person: PersonKey([2; 16]),
            ts: at,
            received_at: at,
            source: Source::Rest,
            changes,
        }),
    };
    assert!(size_bytes(&entry) >= bytes, "{bytes}");
    comes_back(&[entry]);
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

    #[test]
    fn any_values_come_back(rows in proptest::collection::vec(
        (0_usize..3, "[ab]{0,12}", "[ab]{0,3}", 0_u32..300), 1..200)) {
        let entries: Vec<Entry> = rows
            .iter()
            .enumerate()
            .map(|(place, (shape, long, short, number))| {
                let text = match shape {
                    0 => format!(r#"{{"long":"{long}","short":"{short}","number":{number}}}"#),
                    1 => format!(r#"{{"number":{number},"short":"{short}"}}"#),
                    _ => format!(r#"{{"short":"{short}","long":"{long}{number}"}}"#),
                };
                let mut entry = event(u8::try_from(number % 256).unwrap(), "E", &text);
                if let Record::Event(event) = &mut entry.record {
                    event.ts = Timestamp::from_ms(i64::try_from(place).unwrap() * 500);
                }
                entry
            })
            .collect();
        comes_back(&entries);
    }
}
