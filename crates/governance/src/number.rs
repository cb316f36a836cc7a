//! Exact sums of JSON numbers: `$incr` and `$decr` keep integers integers and decimals decimals.
//!
//! Numbers of up to 30 digits are added exactly; beyond that, or with large exponents, as floating
//! point, and a sum that is no finite number is not made.

use model::RawJson;

/// `a + b`; none when one of them is not a number.
pub(crate) fn add(a: &str, b: &str) -> Option<RawJson> {
    sum(a, b, 1)
}

/// `a - b`; none when one of them is not a number.
pub(crate) fn subtract(a: &str, b: &str) -> Option<RawJson> {
    sum(a, b, -1)
}

fn sum(a: &str, b: &str, sign: i8) -> Option<RawJson> {
    if !is_number(a) || !is_number(b) {
        return None;
    }
    if let Some(exact) = exact_sum(a, b, sign) {
        return RawJson::parse(&exact).ok();
    }
    let (a, b): (f64, f64) = (a.parse().ok()?, b.parse().ok()?);
    let sum = a + f64::from(sign) * b;
    if sum.is_finite() {
        RawJson::of(&sum).ok()
    } else {
        None
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && RawJson::parse(text).is_ok()
}

fn exact_sum(a: &str, b: &str, sign: i8) -> Option<String> {
    let (a, b) = (Decimal::parse(a)?, Decimal::parse(b)?);
    let scale = a.scale.max(b.scale);
    let total = a
        .at(scale)?
        .checked_add(b.at(scale)?.checked_mul(i128::from(sign))?)?;
    Some(
        Decimal {
            digits: total,
            scale,
        }
        .text(),
    )
}

/// `digits × 10^-scale`.
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// A plain decimal of at most 30 digits, without exponent.
    fn parse(text: &str) -> Option<Self> {
        if text.len() > 32 {
            return None;
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self {
            digits,
            scale: u32::try_from(fraction.len()).ok()?,
        })
    }

    fn at(&self, scale: u32) -> Option<i128> {
        self.digits
            .checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    fn text(&self) -> String {
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}
