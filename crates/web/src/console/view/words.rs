//! How times, numbers and states are written.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;
use model::Timestamp;
use std::time::Duration;

/// Writes times in one zone.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    zone: TimeZone,
    now: Timestamp,
}

/// A moment, for people and for programs.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = "<time datetime=\"{{ iso }}\" title=\"{{ iso }}\">{{ text }}</time>"
)]
pub(crate) struct Moment {
    iso: String,
    text: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// The words alone: for labels.
    pub(crate) fn plain(&self) -> &str {
        &self.text
    }
}

impl Times {
    /// In `zone`, seen from `now`.
    pub(crate) const fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now }
    }

    /// The zone.
    pub(crate) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The moment that everything is seen from.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// A moment to the second: `3 Nov 2026, 14:05:22`.
    pub(crate) fn at(&self, time: Timestamp) -> Moment {
        self.moment(time, "%-d %b %Y, %H:%M:%S")
    }

    /// A moment to the day: `3 Nov 2026`.
    pub(crate) fn on(&self, time: Timestamp) -> Moment {
        self.moment(time, "%-d %b %Y")
    }

    /// How long ago it was, or how far ahead it is: `5 min ago`, `in 3 days`.
    pub(crate) fn ago(&self, time: Timestamp) -> Moment {
        let text = match time <= self.now {
            true => match spell(self.now.since(time)) {
                Some(spell) => format!("{spell} ago"),
                None => String::from("just now"),
            },
            false => match spell(time.since(self.now)) {
                Some(spell) => format!("in {spell}"),
                None => String::from("now"),
            },
        };
        Moment {
            iso: time.to_string(),
            text,
        }
    }

    /// A moment for a cell of a file; empty when there is none.
    pub(crate) fn cell(&self, time: Option<Timestamp>) -> String {
        time.map(|at| self.text(at, "%Y-%m-%d %H:%M:%S"))
            .unwrap_or_default()
    }

    /// A moment in words of `format` (as `strftime` has them).
    pub(crate) fn text(&self, time: Timestamp, format: &str) -> String {
        match jiff::Timestamp::from_millisecond(time.ms()) {
            Ok(at) => at
                .to_zoned_datetime(self.zone.clone())
                .strftime(format)
                .to_string(),
            Err(_) => time.to_string(),
        }
    }

    fn moment(&self, time: Timestamp, format: &str) -> Moment {
        Moment {
            iso: time.to_string(),
            text: self.text(time, format),
        }
    }
}

/// A length of time in its largest unit; none below a minute.
fn spell(length: Duration) -> Option<String> {
    let minutes = length.as_secs() / 60;
    let (number, unit) = match minutes {
        0 => return None,
        1..60 => return Some(format!("{minutes} min")),
        60..1_440 => return Some(format!("{} h", minutes / 60)),
        1_440..86_400 => (minutes / 1_440, "day"),
        86_400..1_051_200 => (minutes / 43_800, "month"),
        _ => (minutes / 525_600, "year"),
    };
    Some(plural(number, unit))
}

/// A number with its thousands apart: `1,204,557`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_add(digits.len() / 3));
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 record`, `2,000 records`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// A size: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut whole = size;
    let mut tenths = 0;
    let mut unit = 0_usize;
    while whole >= 1_024 && unit + 1 < UNITS.len() {
        tenths = (whole % 1_024) * 10 / 1_024;
        whole /= 1_024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match unit == 0 || whole >= 100 {
        true => format!("{} {name}", count(whole)),
        false => format!("{whole}.{tenths} {name}"),
    }
}

/// A part of a whole in percent: `12.5 %`.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    match thousandths {
        0 if part > 0 => String::from("< 0.1 %"),
        _ => format!("{}.{} %", thousandths / 10, thousandths % 10),
    }
}

/// How a state looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Neither good nor bad.
    Plain,
    /// As it should be.
    Ok,
    /// Worth a look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Under way.
    Info,
}

impl Tone {
    /// The class of the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
        }
    }
}

/// A state in a word.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = "<span class=\"badge {{ tone.class() }}\">{{ text }}</span>"
)]
pub(crate) struct Badge {
    tone: Tone,
    text: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// `text`, in the colours of `tone`.
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Times, bytes, count, plural, share};
    use jiff::tz::TimeZone;
    use model::Timestamp;

    #[test]
    fn numbers_are_written_with_their_thousands_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_204_557, "1,204,557"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, expect) in cases {
            assert_eq!(count(number), expect);
        }
        assert_eq!(plural(1, "record"), "1 record");
        assert_eq!(plural(2_000, "record"), "2,000 records");
    }

    #[test]
    fn sizes_are_written_in_the_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1_023, "1,023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (104_857_600, "100 MiB"),
            (u64::MAX, "16,383 PiB"),
        ];
        for (size, expect) in cases {
            assert_eq!(bytes(size), expect);
        }
    }

    #[test]
    fn shares_never_round_something_to_nothing() {
        let cases = [
            ((0, 0), "0.0 %"),
            ((1, 8), "12.5 %"),
            ((1, 100_000), "< 0.1 %"),
            ((5, 5), "100.0 %"),
        ];
        for ((part, whole), expect) in cases {
            assert_eq!(share(part, whole), expect);
        }
    }

    #[test]
    fn times_are_written_in_the_zone() {
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let times = Times::new(zone, Timestamp::from_seconds(1_790_000_000));
        let at = |seconds: i64| Timestamp::from_seconds(1_790_000_000 + seconds);
        let shown = times.at(at(0)).to_string();
        assert!(shown.contains(">21 Sep 2026, 19:43:20</time>"), "{shown}");
        let cases = [
            (0, "just now"),
            (-59, "just now"),
            (-61, "1 min ago"),
            (-3_600, "1 h ago"),
            (-86_400 * 3, "3 days ago"),
            (-86_400 * 61, "2 months ago"),
            (-86_400 * 800, "2 years ago"),
            (7_200, "in 2 h"),
        ];
        for (seconds, expect) in cases {
            let shown = times.ago(at(seconds)).to_string();
            assert!(shown.contains(&format!(">{expect}<")), "{shown}");
        }
    }
}
