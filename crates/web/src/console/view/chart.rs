//! Charts as SVG: time series as lines or stacked blocks, ranked values as bars, and small lines
//! beside numbers.
//!
//! The drawing is stretched to the width there is, so no text is in it: axes are text beside it.
//! Each mark says its figures when it is pointed at, and the same figures stand in a table.

use askama::Template;
use askama::filters::HtmlSafe;
use std::fmt::Write as _;

use super::words::count;

/// The drawing's own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 200.0;
/// Labels under a chart.
const LABELS_MAX: usize = 7;
/// Colours there are; the last one is for what is left over.
const COLOURS: usize = 7;

/// One stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Under the chart: `3 Nov`.
    pub(crate) label: String,
    /// When it is pointed at, and in the table: `Tue 3 Nov 2026`.
    pub(crate) long: String,
}

/// One thing that is counted, a value for each slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// What.
    pub(crate) name: String,
    /// Its colour's number in the style sheet.
    pub(crate) colour: usize,
    /// How much in each slot.
    pub(crate) values: Vec<f64>,
}

impl Series {
    /// With the colour of its place.
    pub(crate) fn new(name: impl Into<String>, place: usize, values: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            colour: place.min(COLOURS - 1),
            values,
        }
    }

    fn total(&self) -> f64 {
        self.values.iter().sum()
    }
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As a line; one alone has its area shaded.
    Line,
    /// As blocks, one series on the other.
    Block,
}

/// A time series.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/chart.html")]
pub(crate) struct Chart {
    /// Unique on the page.
    id: String,
    title: String,
    series: Vec<Drawn>,
    /// From the top down.
    ticks: Vec<String>,
    grid: String,
    /// From the left in percent, and the words.
    labels: Vec<(String, String)>,
    hits: Vec<Hit>,
    rows: Vec<(String, Vec<String>)>,
    has_legend: bool,
    is_low: bool,
}

impl HtmlSafe for Chart {}

#[derive(Debug, Clone)]
struct Drawn {
    name: String,
    colour: usize,
    total: String,
    /// An outline: of a line, or of all blocks.
    line: String,
    area: String,
    blocks: String,
}

#[derive(Debug, Clone)]
struct Hit {
    x: f64,
    width: f64,
    text: String,
}

impl Chart {
    /// A chart of `series` over `slots`. `id` is unique on the page.
    pub(crate) fn new(
        id: &str,
        title: impl Into<String>,
        mark: Mark,
        slots: &[Slot],
        series: &[Series],
    ) -> Self {
        let value = |it: &Series, slot: usize| it.values.get(slot).copied().unwrap_or(0.0);
        let sum = |slot: usize| series.iter().map(|it| value(it, slot)).sum::<f64>();
        let most = match mark {
            Mark::Block => (0..slots.len()).map(sum).fold(0.0, f64::max),
            Mark::Line => {
                let all = series.iter().flat_map(|it| it.values.iter().copied());
                all.fold(0.0, f64::max)
            }
        };
        let (top, steps) = scale(most);
        let drawn = match mark {
            Mark::Line => lines(series, slots.len(), top),
            Mark::Block => blocks(series, slots.len(), top),
        };
        let width = WIDTH / to_f64(slots.len().max(1));
        let hits = slots.iter().enumerate().map(|(place, slot)| {
            let figures = series.iter().map(|it| match series.len() {
                1 => figure(value(it, place)),
                _ => format!("{}: {}", it.name, figure(value(it, place))),
            });
            Hit {
                x: width * to_f64(place),
                width,
                text: format!("{}\n{}", slot.long, figures.collect::<Vec<_>>().join("\n")),
            }
        });
        let rows = slots.iter().enumerate().map(|(place, slot)| {
            let cells = series.iter().map(|it| figure(value(it, place)));
            (slot.long.clone(), cells.collect())
        });
        let ticks = (0..=steps).rev();
        let ticks = ticks.map(|step| figure(top * to_f64(step) / to_f64(steps)));
        let mut grid = String::new();
        for step in 0..=steps {
            let y = HEIGHT * to_f64(step) / to_f64(steps);
            // Writing to a string cannot fail.
            let _ = write!(grid, "M0 {y:.1}H{WIDTH:.0}");
        }
        Self {
            id: id.to_owned(),
            title: title.into(),
            hits: hits.collect(),
            rows: rows.collect(),
            ticks: ticks.collect(),
            labels: labels(slots),
            series: drawn,
            grid,
            has_legend: series.len() > 1,
            is_low: false,
        }
    }

    /// The same, less high.
    pub(crate) fn low(self) -> Self {
        Self {
            is_low: true,
            ..self
        }
    }
}

fn to_f64(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

/// A round number that is not below `most`, and in how many steps it is cut.
fn scale(most: f64) -> (f64, usize) {
    if most.is_nan() || most <= 4.0 {
        return (4.0, 4);
    }
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0]
        .into_iter()
        .map(|it| it * power)
        .filter(|it| *it >= 1.0 && it.fract() == 0.0)
        .find(|it| it * 4.0 >= most)
        .unwrap_or(power * 10.0);
    (step * 4.0, 4)
}

/// A figure: whole numbers as such, others with two decimals.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        let digits = format!("{:.0}", value.abs());
        return format!("{sign}{}", count(digits.parse().unwrap_or(u64::MAX)));
    }
    format!("{value:.2}")
}

fn lines(series: &[Series], slots: usize, top: f64) -> Vec<Drawn> {
    let width = WIDTH / to_f64(slots.max(1));
    let point = |place: usize, value: f64| {
        let x = width.mul_add(to_f64(place), width / 2.0);
        let y = HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        format!("{x:.1} {y:.1}")
    };
    let draw = |it: &Series| {
        let points = it
            .values
            .iter()
            .enumerate()
            .map(|(n, value)| point(n, *value));
        let points: Vec<String> = points.collect();
        let line = format!("M{}", points.join("L"));
        let last = points.len().saturating_sub(1);
        let area = match series.len() {
            1 => format!(
                "{line}L{:.1} {HEIGHT:.0}L{:.1} {HEIGHT:.0}Z",
                width.mul_add(to_f64(last), width / 2.0),
                width / 2.0
            ),
            _ => String::new(),
        };
        Drawn {
            name: it.name.clone(),
            colour: it.colour,
            total: figure(it.total()),
            line: if points.is_empty() {
                String::new()
            } else {
                line
            },
            area: if points.is_empty() {
                String::new()
            } else {
                area
            },
            blocks: String::new(),
        }
    };
    series.iter().map(draw).collect()
}

fn blocks(series: &[Series], slots: usize, top: f64) -> Vec<Drawn> {
    let width = WIDTH / to_f64(slots.max(1));
    let gap = (width * 0.22).min(6.0);
    let mut below = vec![0.0_f64; slots];
    let mut drawn = Vec::with_capacity(series.len());
    for it in series {
        let mut outline = String::new();
        for (place, (value, below)) in it.values.iter().zip(&mut below).enumerate() {
            if *value <= 0.0 {
                continue;
            }
            let x = width.mul_add(to_f64(place), gap / 2.0);
            let bottom = HEIGHT * (1.0 - (*below / top).clamp(0.0, 1.0));
            *below += value;
            let upper = HEIGHT * (1.0 - (*below / top).clamp(0.0, 1.0));
            // Something is never drawn as nothing.
            let upper = upper.min(bottom - 1.0);
            let _ = write!(
                outline,
                "M{x:.1} {bottom:.1}V{upper:.1}h{:.1}V{bottom:.1}Z",
                width - gap
            );
        }
        drawn.push(Drawn {
            name: it.name.clone(),
            colour: it.colour,
            total: figure(it.total()),
            line: String::new(),
            area: String::new(),
            blocks: outline,
        });
    }
    drawn
}

/// A few of the labels, each in the middle of its slot.
fn labels(slots: &[Slot]) -> Vec<(String, String)> {
    let every = slots.len().div_ceil(LABELS_MAX).max(1);
    let width = 100.0 / to_f64(slots.len().max(1));
    let some = slots.iter().enumerate().step_by(every);
    some.map(|(place, it)| {
        let middle = width.mul_add(to_f64(place), width / 2.0);
        (format!("{middle:.2}"), it.label.clone())
    })
    .collect()
}

/// A value among others.
#[derive(Debug, Clone)]
pub(crate) struct Rank {
    /// The value.
    pub(crate) label: String,
    /// Where it leads.
    pub(crate) href: Option<String>,
    /// How often.
    pub(crate) number: u64,
    /// Beside the number; may be empty.
    pub(crate) note: String,
    /// Its colour's number in the style sheet.
    pub(crate) colour: usize,
}

/// Values by how often they occur, each with a bar.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/ranks.html")]
pub(crate) struct Ranks {
    caption: String,
    rows: Vec<RankRow>,
    has_notes: bool,
}

impl HtmlSafe for Ranks {}

#[derive(Debug, Clone)]
struct RankRow {
    rank: Rank,
    number: String,
    /// Of 1,000.
    length: u64,
}

impl Ranks {
    /// In the order that is given; the longest bar is the largest number's.
    pub(crate) fn new(caption: impl Into<String>, ranks: Vec<Rank>) -> Self {
        let most = ranks.iter().map(|it| it.number).max().unwrap_or(0).max(1);
        let row = |rank: Rank| {
            let length = u128::from(rank.number) * 1_000 / u128::from(most);
            RankRow {
                number: count(rank.number),
                length: u64::try_from(length).unwrap_or(1_000).max(4),
                rank,
            }
        };
        Self {
            caption: caption.into(),
            has_notes: ranks.iter().any(|it| !it.note.is_empty()),
            rows: ranks.into_iter().map(row).collect(),
        }
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A small line beside a number. It is decoration: the number says what it says.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<svg class="spark" viewBox="0 0 1000 200" preserveAspectRatio="none" aria-hidden="true" focusable="false"><path class="area s{{ colour }}" d="{{ area }}"/><path class="line s{{ colour }}" d="{{ line }}"/></svg>"#
)]
pub(crate) struct Spark {
    colour: usize,
    line: String,
    area: String,
}

impl HtmlSafe for Spark {}

impl Spark {
    /// Of these values, in this colour.
    pub(crate) fn new(values: &[f64], colour: usize) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max).max(1.0);
        let series = [Series::new("", colour, values.to_vec())];
        let drawn = lines(&series, values.len(), most * 1.05);
        let (line, area) = drawn
            .into_iter()
            .next()
            .map_or_else(Default::default, |it| (it.line, it.area));
        Self { colour, line, area }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chart, Mark, Rank, Ranks, Series, Slot, Spark, figure, scale};
    use askama::Template as _;

    #[test]
    fn the_scale_ends_at_a_round_number() {
        let cases = [
            (0.0, 4.0),
            (3.0, 4.0),
            (5.0, 8.0),
            (9.0, 12.0),
            (100.0, 100.0),
            (101.0, 120.0),
            (4_321.0, 6_000.0),
            (f64::NAN, 4.0),
        ];
        for (most, expect) in cases {
            let (top, steps) = scale(most);
            assert_eq!(steps, 4);
            assert!(top >= most || most.is_nan(), "{most}: {top}");
            assert!((top - expect).abs() < f64::EPSILON, "{most}: {top}");
        }
    }

    #[test]
    fn figures_are_whole_where_they_can_be() {
        let cases = [
            (0.0, "0"),
            (12_345.0, "12,345"),
            (-3.0, "-3"),
            (1.5, "1.50"),
        ];
        for (value, expect) in cases {
            assert_eq!(figure(value), expect);
        }
    }

    fn slots(number: usize) -> Vec<Slot> {
        let slot = |n| Slot {
            label: format!("{n}"),
            long: format!("slot {n}"),
        };
        (0..number).map(slot).collect()
    }

    #[test]
    fn a_chart_says_its_figures_and_escapes_its_names() {
        let hostile = "</title><script>alert(1)</script>";
        let series = [
            Series::new(hostile, 0, vec![1.0, 0.0, 3.0]),
            Series::new("b", 9, vec![2.0, 5.0, 0.0]),
        ];
        for mark in [Mark::Line, Mark::Block] {
            let chart = Chart::new("c", hostile, mark, &slots(3), &series);
            let shown = chart.render().unwrap();
            assert!(!shown.contains("<script"), "{shown}");
            assert!(shown.contains("slot 1\n"), "{shown}");
            assert!(shown.contains("b: 5"), "{shown}");
            assert!(
                !shown.contains("NaN") && !shown.contains("style="),
                "{shown}"
            );
        }
    }

    #[test]
    fn nothing_to_show_is_drawn_as_nothing() {
        for mark in [Mark::Line, Mark::Block] {
            let none = Chart::new("c", "t", mark, &[], &[]).render().unwrap();
            assert!(!none.contains("NaN") && !none.contains("inf"), "{none}");
            let zeros = [Series::new("a", 0, vec![0.0; 3])];
            let zeros = Chart::new("c", "t", mark, &slots(3), &zeros)
                .render()
                .unwrap();
            assert!(!zeros.contains("NaN"), "{zeros}");
        }
        assert!(!Spark::new(&[], 0).render().unwrap().contains("NaN"));
        assert!(Ranks::new("c", Vec::new()).is_empty());
    }

    #[test]
    fn the_longest_bar_is_the_largest_numbers() {
        let rank = |number| Rank {
            label: String::from("x"),
            href: None,
            number,
            note: String::new(),
            colour: 0,
        };
        let shown = Ranks::new("c", vec![rank(50), rank(200), rank(0)]);
        let lengths: Vec<u64> = shown.rows.iter().map(|it| it.length).collect();
        assert_eq!(lengths, [250, 1_000, 4]);
    }
}
