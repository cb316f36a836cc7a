//! The time that a page looks at, cut in hours, days, weeks or months of the account's zone.

use jiff::civil::Date;
use jiff::{ToSpan as _, Unit, ZonedDateTime};
use model::Timestamp;
use query::EventsQuery;

use super::view::{Fields, Slot, Times};

/// Slots of one chart.
const SLOTS_MAX: usize = 400;
/// Counts come from the tables in bins of a quarter of an hour: every zone's hours and days begin
/// with one.
pub(crate) const BIN_MS: i64 = 15 * 60 * 1_000;

/// How a time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Hour,
    Day,
    Week,
    Month,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name in URLs and on pages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The one of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// A time, cut in slots.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    /// From this moment.
    pub(crate) from: Timestamp,
    /// Up to, not including, this one.
    pub(crate) to: Timestamp,
    /// How it is cut.
    pub(crate) step: Step,
    /// Where each slot begins, in order; the first is `from`.
    pub(crate) starts: Vec<Timestamp>,
    /// How the slots are called.
    pub(crate) slots: Vec<Slot>,
    /// The first and the last day, for a form.
    pub(crate) days: (String, String),
}

impl Period {
    /// What a page is asked for: `from` and `to` (days, both within), else the last `days` of them
    /// (`default` when nothing is said), cut by `step`. What makes no sense is taken as not said.
    pub(crate) fn asked(times: &Times, asked: &Fields, default: i32) -> Self {
        let today = zoned(times, times.now()).date();
        let day = |name: &str| asked.some(name).and_then(|it| it.parse::<Date>().ok());
        let last = day("to").filter(|it| *it <= today).unwrap_or(today);
        let number = asked.text("days").parse::<i32>().ok();
        let number = number
            .filter(|it| (1..=366).contains(it))
            .unwrap_or(default);
        let first = day("from").filter(|it| *it <= last);
        let first = first.or_else(|| last.checked_sub((number - 1).days()).ok());
        let first = first.unwrap_or(last);
        let is_dated = day("from").is_some();
        let step = Step::from_name(asked.text("step")).unwrap_or_else(|| {
            let length = first.until(last).map_or(0, |it| it.get_days());
            match length {
                0..=1 => Step::Hour,
                _ => Step::Day,
            }
        });
        if number == 1 && !is_dated {
            return Self::last_day(times);
        }
        Self::between(times, first, last, step)
    }

    /// The moments between which the days lie that a list is asked for, `from` and `to` or one of
    /// them; none when nothing is said.
    pub(crate) fn bounds(times: &Times, asked: &Fields) -> Option<(Timestamp, Timestamp)> {
        asked.some("from").or_else(|| asked.some("to"))?;
        let period = Self::asked(times, asked, 366);
        Some((period.from, period.to))
    }

    /// The last 24 hours, by hour.
    pub(crate) fn last_day(times: &Times) -> Self {
        let now = zoned(times, times.now());
        let hour = now.round(
            jiff::ZonedDateTimeRound::new()
                .smallest(Unit::Hour)
                .mode(jiff::RoundMode::Floor),
        );
        let last = hour.map_or_else(|_| times.now(), |it| timestamp(&it));
        let starts = (0..24_i64).map(|n| Timestamp::from_ms(last.ms() - (23 - n) * 3_600_000));
        Self::of(times, starts.collect(), times.now(), Step::Hour)
    }

    /// Whole days, from the first to the last one.
    pub(crate) fn between(times: &Times, first: Date, last: Date, step: Step) -> Self {
        let zone = times.zone();
        let start = |day: Date| {
            let zoned = day.to_zoned_datetime(zone.clone());
            zoned.map_or(Timestamp::from_ms(0), |it| timestamp(&it))
        };
        let end = last.tomorrow().map_or_else(|_| start(last), start);
        let end = end.min(Timestamp::from_ms(times.now().ms().saturating_add(1)));
        let mut starts = vec![start(first)];
        match step {
            Step::Hour => {
                let mut at = start(first).ms() + 3_600_000;
                while at < end.ms() && starts.len() < SLOTS_MAX {
                    starts.push(Timestamp::from_ms(at));
                    at += 3_600_000;
                }
            }
            Step::Day | Step::Week | Step::Month => {
                let mut day = following(first, step);
                while let Some(at) = day.filter(|it| *it <= last) {
                    if starts.len() >= SLOTS_MAX {
                        break;
                    }
                    starts.push(start(at));
                    day = following(at, step);
                }
            }
        }
        Self::of(times, starts, end, step)
    }

    fn of(times: &Times, starts: Vec<Timestamp>, to: Timestamp, step: Step) -> Self {
        let slots = starts.iter().map(|at| slot(times, *at, step)).collect();
        let from = starts.first().copied().unwrap_or(to);
        let to = to.max(Timestamp::from_ms(from.ms().saturating_add(1)));
        let day = |at: Timestamp| times.text(at, "%Y-%m-%d");
        let last = Timestamp::from_ms(to.ms().saturating_sub(1));
        Self {
            days: (day(from), day(last)),
            from,
            to,
            step,
            starts,
            slots,
        }
    }

    /// The events of a name in it; of all names when none.
    pub(crate) fn query(&self, event: Option<&str>) -> EventsQuery {
        EventsQuery {
            event: event.map(str::to_owned),
            from: self.from,
            to: self.to,
            ..EventsQuery::default()
        }
    }

    /// Adds amounts at moments to their slots.
    pub(crate) fn fold(&self, amounts: impl IntoIterator<Item = (Timestamp, u64)>) -> Vec<f64> {
        let mut sums = vec![0.0; self.starts.len()];
        for (at, amount) in amounts {
            let after = self.starts.partition_point(|start| *start <= at);
            let slot = after.checked_sub(1).and_then(|it| sums.get_mut(it));
            if let Some(sum) = slot {
                *sum += float(amount);
            }
        }
        sums
    }
}

/// A count as a figure of a chart. Beyond 2^53 it is rounded, which no chart shows.
pub(crate) fn float(number: u64) -> f64 {
    let high = u32::try_from(number >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high).mul_add(4_294_967_296.0, f64::from(low))
}

/// A sum of counts as the count that it is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of counts are whole, at least zero, and below 2^53 but for charts beyond any count"
)]
pub(crate) const fn whole(sum: f64) -> u64 {
    sum as u64
}

fn zoned(times: &Times, at: Timestamp) -> ZonedDateTime {
    let at = jiff::Timestamp::from_millisecond(at.ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned_datetime(times.zone().clone())
}

fn timestamp(at: &ZonedDateTime) -> Timestamp {
    Timestamp::from_ms(at.timestamp().as_millisecond())
}

/// The first day of the slot that follows: weeks begin with Monday, months with their first day.
fn following(day: Date, step: Step) -> Option<Date> {
    match step {
        Step::Hour | Step::Day => day.tomorrow().ok(),
        Step::Week => {
            let past = i32::from(day.weekday().to_monday_zero_offset());
            day.checked_add((7 - past).days()).ok()
        }
        Step::Month => day.first_of_month().checked_add(1.month()).ok(),
    }
}

fn slot(times: &Times, at: Timestamp, step: Step) -> Slot {
    let (label, long) = match step {
        Step::Hour => ("%H:%M", "%A %-d %B %Y, %H:%M"),
        Step::Day => ("%-d %b", "%A %-d %B %Y"),
        Step::Week => ("%-d %b", "Week from %-d %B %Y"),
        Step::Month => ("%b %Y", "%B %Y"),
    };
    Slot {
        label: times.text(at, label),
        long: times.text(at, long),
    }
}

#[cfg(test)]
mod tests {
    use super::{Period, Step};
    use crate::console::view::{Fields, Times};
    use jiff::tz::TimeZone;
    use model::Timestamp;

    /// In Kolkata, on Monday 21 September 2026 at 19:43:20.
    fn times() -> Times {
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        Times::new(zone, Timestamp::from_seconds(1_790_000_000))
    }

    fn check(asked: &str, step: Step, slots: usize, first: &str, last: &str) {
        let period = Period::asked(&times(), &Fields::parse(asked.as_bytes()), 7);
        assert_eq!((period.step, period.slots.len()), (step, slots), "{asked}");
        assert_eq!(period.slots[0].long, first, "{asked}");
        assert_eq!(period.slots[slots - 1].long, last, "{asked}");
        assert!(
            period.starts.is_sorted() && period.from < period.to,
            "{asked}"
        );
    }

    #[test]
    fn what_is_asked_for_is_cut_in_slots_of_the_zone() {
        let today = "Monday 21 September 2026";
        check("", Step::Day, 7, "Tuesday 15 September 2026", today);
        check("days=30", Step::Day, 30, "Sunday 23 August 2026", today);
        check(
            "days=1",
            Step::Hour,
            24,
            "Sunday 20 September 2026, 20:00",
            "Monday 21 September 2026, 19:00",
        );
        check(
            "days=30&step=week",
            Step::Week,
            6,
            "Week from 23 August 2026",
            "Week from 21 September 2026",
        );
        check(
            "from=2026-07-15&to=2026-09-20&step=month",
            Step::Month,
            3,
            "July 2026",
            "September 2026",
        );
        check(
            "from=2026-09-20&to=2026-09-20",
            Step::Hour,
            24,
            "Sunday 20 September 2026, 00:00",
            "Sunday 20 September 2026, 23:00",
        );
    }

    #[test]
    fn what_makes_no_sense_is_taken_as_not_said() {
        let today = "Monday 21 September 2026";
        for asked in [
            "days=0",
            "days=9999",
            "days=x",
            "step=x",
            "from=x",
            "to=2030-01-01",
        ] {
            check(asked, Step::Day, 7, "Tuesday 15 September 2026", today);
        }
        let period = Fields::parse(b"from=2020-01-01&to=2026-01-01&step=hour");
        assert_eq!(Period::asked(&times(), &period, 7).slots.len(), 400);
    }

    #[test]
    fn amounts_go_to_the_slot_that_they_fall_in() {
        let period = Period::asked(&times(), &Fields::parse(b"days=2&step=day"), 7);
        let (first, second) = (period.starts[0], period.starts[1]);
        let before = Timestamp::from_ms(first.ms() - 1);
        let last = Timestamp::from_ms(second.ms() - 1);
        let folded = period.fold([(before, 100), (first, 1), (last, 2), (second, 4)]);
        assert_eq!(folded, [3.0, 4.0]);
    }
}
