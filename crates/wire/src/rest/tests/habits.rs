//! What other clients send for the same thing.

use crate::rest::report::{self, TopGroup, Trends};
use crate::rest::{Refusal, export, upload};

const BODY: &str = r#"{"event_name":"Viewed","from":20260701,"to":20260702}"#;

/// A question with more members.
fn asking(more: &str) -> String {
    BODY.replace('{', &format!("{{{more},"))
}

#[test]
fn a_body_that_says_nothing_is_none() {
    let encoded: String = BODY.bytes().map(|b| format!("%{b:02X}")).collect();
    let query = format!("query={encoded}");
    let asked = export::decode("", BODY.as_bytes());
    assert!(asked.is_ok());
    for nothing in ["", " ", "{}", " { \n} ", "null", " null\n", "\u{feff}{}"] {
        let body = nothing.as_bytes();
        assert_eq!(export::decode(&query, body), asked, "{nothing:?}");
        let alone = export::decode("", body);
        assert_eq!(alone, Err(Refusal::Malformed), "{nothing:?}");
    }
    for something in ["[]", "{", "{}}", "{\"a\":1}", "0", "\"\"", "nul"] {
        let refused = export::decode(&query, something.as_bytes());
        assert_eq!(refused, Err(Refusal::Malformed), "{something}");
    }
}

#[test]
fn a_dry_run_is_one_however_it_is_written() {
    for query in [
        "dryRun=1",
        "?dryRun=1",
        "dryRun=true",
        "dryRun=True",
        "dryrun=1",
        "DRYRUN=TRUE",
        "dryRun=%31",
        "dry%52un=1",
        "dryRun=t%72ue",
        "x=dryRun&dryRun=1&y=2",
        "dryRun=0&dryRun=1",
    ] {
        assert!(upload::is_dry_run(query), "{query}");
    }
    for query in [
        "",
        "dryRun",
        "dryRun=",
        "dryRun=0",
        "dryRun=%30",
        "dryRun=false",
        "dryRun=%",
        "dryRun=%FF",
        "xdryRun=1",
        "x=dryRun=1",
    ] {
        assert!(!upload::is_dry_run(query), "{query}");
    }
}

#[test]
fn a_group_s_order_and_number_come_in_any_form() {
    let top = |more: &str| -> Result<TopGroup, Refusal> {
        let group = format!(r#"{{"property_type":"event_properties","name":"x"{more}}}"#);
        let body = asking(&format!(r#""groups":{{"g":{group}}}"#));
        let (_, mut groups) = report::decode_top("", body.as_bytes())?;
        Ok(groups.remove(0))
    };
    for (order, expect) in [
        ("", false),
        (r#","order":null"#, false),
        (r#","order":"desc""#, false),
        (r#","order":"DESC""#, false),
        (r#","order":"Descending""#, false),
        (r#","order":"asc""#, true),
        (r#","order":"Asc""#, true),
        (r#","order":"ASCENDING""#, true),
    ] {
        assert_eq!(top(order).unwrap().ascending, expect, "{order}");
    }
    for (most, expect) in [
        ("", 10),
        (r#","top_n":7"#, 7),
        (r#","top_n":"7""#, 7),
        (r#","top_n":7.0"#, 7),
        (r#","top_n":2E1"#, 20),
    ] {
        assert_eq!(top(most).unwrap().most, expect, "{most}");
    }
    for wrong in [
        r#","order":"up""#,
        r#","order":1"#,
        r#","top_n":0"#,
        r#","top_n":101"#,
        r#","top_n":7.5"#,
        r#","top_n":-7"#,
        r#","top_n":"many""#,
        r#","top_n":99999999999999999999"#,
        r#","top_n":[7]"#,
    ] {
        assert_eq!(top(wrong), Err(Refusal::InvalidGroup), "{wrong}");
    }
}

#[test]
fn what_is_true_is_so_in_any_form_and_nothing_else_is() {
    let trends = |more: &str| -> Result<Trends, Refusal> {
        let body = asking(&format!(
            r#"{more}"groups":{{"g":{{"trend_type":"daily"}}}}"#
        ));
        report::decode_trends("", body.as_bytes())
    };
    for (unique, expect) in [
        ("", false),
        (r#""unique":null,"#, false),
        (r#""unique":false,"#, false),
        (r#""unique":"False","#, false),
        (r#""unique":true,"#, true),
        (r#""unique":"true","#, true),
        (r#""unique":"True","#, true),
        (r#""unique":"TRUE","#, true),
    ] {
        assert_eq!(trends(unique).unwrap().unique, expect, "{unique}");
    }
    for wrong in ["1", "0", r#""yes""#, r#""""#, "[true]", "{}"] {
        let refused = trends(&format!(r#""unique":{wrong},"#));
        assert_eq!(refused, Err(Refusal::Malformed), "{wrong}");
    }
}
