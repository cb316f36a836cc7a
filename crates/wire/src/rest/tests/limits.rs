//! Every limit of the protocol that an upload meets: at it, and one beyond it.

use model::submission::RejectReason;

use super::uploads::check;
use crate::rest::{Refusal, upload};

/// A letter of one byte, one of two, one of four.
const LETTERS: [&str; 3] = ["k", "\u{e9}", "\u{1f600}"];

fn event(data: &str) -> String {
    format!("{{\"type\":\"event\",\"identity\":\"u1\",\"evtName\":\"Viewed\",\"evtData\":{data}}}")
}

fn profile(data: &str) -> String {
    format!("{{\"type\":\"profile\",\"identity\":\"u1\",\"profileData\":{data}}}")
}

fn members(count: usize) -> String {
    let members: Vec<_> = (0..count).map(|it| format!("\"k{it}\":{it}")).collect();
    members.join(",")
}

fn decoded(records: &[String]) -> Result<usize, Refusal> {
    let body = format!("{{\"d\":[{}]}}", records.join(","));
    upload::decode(body.as_bytes()).map(|it| it.records.len())
}

#[test]
fn keys_are_measured_in_characters_and_those_of_people_in_bytes() {
    use RejectReason::KeyInvalid;
    for letter in LETTERS {
        let of = |letters: usize| format!("{{\"{}\":1}}", letter.repeat(letters));
        check(&event(&of(120)), None);
        check(&event(&of(121)), KeyInvalid);
        let whole = 120 / letter.len();
        check(&profile(&of(whole)), None);
        check(&profile(&of(whole + 1)), KeyInvalid);
        // Those of an object in a value are no properties' keys.
        check(&profile(&format!("{{\"a\":{}}}", of(120))), None);
        check(&profile(&format!("{{\"a\":{}}}", of(121))), KeyInvalid);
    }
    // An escape counts as what it means.
    let escaped = |letters: usize| format!("{{\"{}\":1}}", "\\u00e9".repeat(letters));
    check(&profile(&escaped(60)), None);
    check(&profile(&escaped(61)), KeyInvalid);
}

#[test]
fn names_are_measured_in_bytes() {
    use RejectReason::{IdentityInvalid, ObjectIdInvalid};
    let named = |names: &str| format!("{{\"type\":\"event\",\"evtName\":\"x\",{names}}}");
    for letter in LETTERS {
        for field in ["identity", "FBID", "GPID"] {
            let of = |letters: usize| format!("\"{field}\":\"{}\"", letter.repeat(letters));
            let whole = 1_024 / letter.len();
            check(&named(&of(whole)), None);
            check(&named(&of(whole + 1)), IdentityInvalid);
        }
        let of = |letters: usize| format!("{{\"identity\":\"{}\"}}", letter.repeat(letters));
        check(&profile(&of(1_024 / letter.len())), None);
        check(&profile(&of(1_024 / letter.len() + 1)), IdentityInvalid);
    }
    let digits = |digits: usize| named(&format!("\"identity\":{}", "7".repeat(digits)));
    check(&digits(1_024), None);
    check(&digits(1_025), IdentityInvalid);
    let device = |letters: usize| named(&format!("\"objectId\":\"{}\"", "d".repeat(letters)));
    check(&device(128), None);
    check(&device(129), ObjectIdInvalid);
}

#[test]
fn a_person_has_so_many_properties_beside_the_protocols_own() {
    use RejectReason::ProfilePropertiesTooMany;
    check(&profile(&format!("{{{}}}", members(256))), None);
    check(
        &profile(&format!("{{{}}}", members(257))),
        ProfilePropertiesTooMany,
    );
    let own = "\"Name\":\"a\",\"Email\":\"a@b.cd\",\"MSG-sms\":true,\"identity\":\"u1\"";
    check(&profile(&format!("{{{own},{}}}", members(256))), None);
    check(
        &profile(&format!("{{{own},{}}}", members(257))),
        ProfilePropertiesTooMany,
    );
    // Those of an object in a value are no properties; they have the limit of any object.
    let nested = |count: usize| profile(&format!("{{\"a\":{{{}}}}}", members(count)));
    check(&nested(256), None);
    check(&nested(257), ProfilePropertiesTooMany);
}

#[test]
fn what_is_nested_ends_three_levels_below() {
    use RejectReason::NestedTooDeep;
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for record in [event, profile] {
        check(&record(&objects(4)), None);
        check(&record(&objects(5)), NestedTooDeep);
    }
}

#[test]
fn what_is_wide_is_taken() {
    let wide = format!(
        "{{\"list\":[{}],\"object\":{{{},\"a\":[],\"b\":[],\"c\":[],\"d\":[],\"e\":[],\"f\":[]}},\
         \"text\":\"it's {}\"}}",
        vec!["1"; 101].join(","),
        members(101),
        "x".repeat(600)
    );
    check(&event(&wide), None);
    check(&profile(&wide), None);
}

#[test]
fn checked_properties_end_where_their_rules_say() {
    use RejectReason as Why;
    let of = |property: &str, value: &str| profile(&format!("{{\"{property}\":\"{value}\"}}"));
    let domain = |letters: usize| format!("{}.example.com", "d".repeat(letters));
    let email = |local: usize, all: usize| {
        let local = "l".repeat(local);
        format!("{local}@{}", domain(all - local.len() - 1 - 12))
    };
    check(&of("Email", &email(64, 254)), None);
    check(&of("Email", &email(64, 255)), Why::EmailInvalid);
    check(&of("Email", &email(65, 100)), Why::EmailInvalid);
    check(&of("Phone", "+1234567"), None);
    check(&of("Phone", "+123456"), Why::PhoneInvalid);
    check(&of("Phone", "+123456789012345"), None);
    check(&of("Phone", "+1234567890123456"), Why::PhoneInvalid);
    check(&of("Age", "1"), None);
    check(&of("Age", "150"), None);
    check(&of("Age", "151"), Why::AgeInvalid);
}

#[test]
fn an_upload_has_so_many_records_and_so_many_tokens() {
    let token = |id: usize| {
        let data = format!("{{\"id\":\"t{id}\",\"type\":\"fcm\"}}");
        format!("{{\"type\":\"token\",\"objectId\":\"__g{id}\",\"tokenData\":{data}}}")
    };
    let tokens = |count: usize| (0..count).map(token).collect::<Vec<_>>();
    let events = |count: usize| vec![event("{}"); count];
    assert_eq!(decoded(&events(1_000)), Ok(1_000));
    assert_eq!(decoded(&events(1_001)), Err(Refusal::Malformed));
    assert_eq!(decoded(&tokens(100)), Ok(100));
    assert_eq!(decoded(&tokens(101)), Err(Refusal::Malformed));
    assert_eq!(decoded(&[events(900), tokens(100)].concat()), Ok(1_000));
    let mixed = [tokens(50), events(1), tokens(51)].concat();
    assert_eq!(decoded(&mixed), Err(Refusal::Malformed));
    // Those that are refused are tokens as well.
    let bare = vec![String::from("{\"type\":\"token\"}"); 101];
    assert_eq!(decoded(&bare), Err(Refusal::Malformed));
    assert_eq!(decoded(&bare[..100]), Ok(0));
}
