//! Numbers in the forms that programs give them: Java writes a whole one with a point and an exponent.

use std::borrow::Cow;

/// Digits of a number that has an exponent, before and after that is carried out: nothing here means more.
const DIGITS_MAX: usize = 64;

/// A number that is not negative, without its exponent: `1.7E9` is `1700000000`. One that has none is as it
/// was, whatever it is; none for what is no such number, has too many digits, or would have its point farther
/// left than all of them.
pub(crate) fn plain(text: &str) -> Option<Cow<'_, str>> {
    let Some((number, exponent)) = text.split_once(['e', 'E']) else {
        return Some(Cow::Borrowed(text));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let places = exponent.parse().ok()?;
    let point = whole.len().checked_add_signed(places)?;
    let count = whole.len().saturating_add(fraction.len());
    if !is_digits(whole) || !is_digits(fraction) || count.max(point) > DIGITS_MAX {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = format!("{digits:0<point$}");
    let (whole, fraction) = digits.split_at_checked(point)?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        other => other,
    };
    Some(Cow::Owned(match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }))
}

/// The digits of a whole number that is not negative, in whatever form: `50`, `50.0`, `5E1`.
pub(crate) fn whole(text: &str) -> Option<Cow<'_, str>> {
    if is_digits(text) {
        return Some(Cow::Borrowed(text));
    }
    let plain = plain(text)?;
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "0"));
    let is_whole = is_digits(whole) && is_digits(fraction) && fraction.trim_matches('0').is_empty();
    is_whole.then(|| Cow::Owned(whole.to_owned()))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::borrow::Cow;

    use super::{plain, whole};

    #[test]
    fn an_exponent_moves_the_point() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(plain(text).as_deref(), expect, "{text}");
        };
        check("1.700000001E9", Some("1700000001"));
        check("1.7e9", Some("1700000000"));
        check("1.7e+9", Some("1700000000"));
        check("17E8", Some("1700000000"));
        check("0.17E10", Some("1700000000"));
        check("1.7000000005E9", Some("1700000000.5"));
        check("17000000000e-1", Some("1700000000"));
        check("5e-1", Some("0.5"));
        check("0e0", Some("0"));
        check("1e63", Some(&format!("1{}", "0".repeat(63))));
        for none in [
            "1e64",
            "1e400",
            "5e-2",
            "-1e9",
            "1e",
            "e9",
            "1.e9",
            ".1e9",
            "1e9.0",
            "1e 9",
            "1ee9",
            "+1e9",
            "1e--9",
            "1e99999999999999999999",
            "yesterday",
            "\u{661}e9",
        ] {
            check(none, None);
        }
        check(&format!("0.{}e9", "1".repeat(64)), None);
        // What has none is looked at by whoever asked.
        for same in ["1700000000", "-1", "1.50", "", "no"] {
            check(same, Some(same));
        }
    }

    #[test]
    fn what_is_whole_is_so_in_any_form() {
        for (text, expect) in [
            ("50", Some("50")),
            ("50.0", Some("50")),
            ("50.00", Some("50")),
            ("5.0E1", Some("50")),
            ("0", Some("0")),
            ("18446744073709551617", Some("18446744073709551617")),
            ("50.5", None),
            ("5.05E1", None),
            ("50.", None),
            (".0", None),
            ("-50", None),
            ("+50", None),
            ("", None),
            ("5 0", None),
        ] {
            assert_eq!(whole(text).as_deref(), expect, "{text}");
        }
    }

    proptest! {
        /// However the point is moved and moved back by the exponent, it is the same number.
        #[test]
        fn a_number_is_the_same_with_and_without_its_exponent(
            number in 1_u64..1_000_000_000_000_000, places in 0_usize..20,
        ) {
            let digits = number.to_string();
            let whole = |text: &str| whole(text).map(Cow::into_owned);
            prop_assert_eq!(whole(&format!("{digits}e0")), Some(digits.clone()));
            let moved = format!("{digits}{}e-{places}", "0".repeat(places));
            prop_assert_eq!(whole(&moved), Some(digits.clone()));
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { "0" } else { rest };
            // As Java writes it.
            let java = format!("{first}.{rest}E{}", digits.len() - 1);
            prop_assert_eq!(whole(&java), Some(digits));
        }

        #[test]
        fn no_text_makes_trouble(text in "[-+.0-9eE]{0,80}|\\PC{0,20}") {
            let plain = plain(&text);
            prop_assert!(plain.is_none_or(|it| it.len() <= text.len().max(130)));
            drop(whole(&text));
        }
    }
}
