//! Generated traffic that looks like a shop's, and the truth about it.
//!
//! Deterministic: the same seed gives the same events. People follow a Zipf-like law over 200,000,
//! there are 40 event names, 93 days, and 5 to 12 properties of mixed types an event: about 330
//! bytes of JSON each.

use std::fmt::Write as _;

/// People that events may belong to.
pub(crate) const PEOPLE: u64 = 200_000;
/// Days that events are spread over.
pub(crate) const DAYS: u64 = 93;

/// The event names.
pub(crate) const NAMES: [&str; 40] = [
    "Product Viewed",
    "Category Viewed",
    "Search",
    "Added To Cart",
    "Removed From Cart",
    "Cart Viewed",
    "Checkout Started",
    "Address Added",
    "Payment Chosen",
    "Charged",
    "Coupon Applied",
    "Coupon Refused",
    "Wishlist Added",
    "Wishlist Viewed",
    "Review Read",
    "Review Written",
    "Rating Given",
    "Question Asked",
    "Answer Read",
    "Share",
    "Signed Up",
    "Signed In",
    "Signed Out",
    "Password Changed",
    "Profile Viewed",
    "Order Viewed",
    "Order Cancelled",
    "Return Started",
    "Return Sent",
    "Refund Received",
    "Newsletter Opened",
    "Newsletter Clicked",
    "Banner Clicked",
    "Story Viewed",
    "Video Started",
    "Video Finished",
    "Store Found",
    "Chat Started",
    "Chat Ended",
    "Feedback Given",
];

const CITIES: [&str; 12] = [
    "Pune",
    "Sofia",
    "Zürich",
    "São Paulo",
    "München",
    "Nairobi",
    "Osaka",
    "Lyon",
    "Kraków",
    "Austin",
    "Hà Nội",
    "Cork",
];
const CHANNELS: [&str; 5] = ["web", "android", "ios", "store", "phone"];
const CATEGORIES: [&str; 9] = [
    "Shoes", "Books", "Toys", "Garden", "Kitchen", "Audio", "Bags", "Bikes", "Art",
];

/// Makes events, one after another.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    state: u64,
    /// The first second of the first day.
    start: u64,
    made: u64,
}

/// What is true of the event that was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truth {
    /// Index into [`NAMES`].
    pub(crate) name: usize,
    /// Seconds since the epoch.
    pub(crate) ts: u64,
    /// Which person.
    pub(crate) person: u64,
    /// The event's own number, also its property `n`.
    pub(crate) number: u64,
}

impl Generator {
    /// Events of the `DAYS` days from `start` (seconds, the first moment of a UTC day); numbers are
    /// counted from `first`.
    pub(crate) fn new(seed: u64, start: u64, first: u64) -> Self {
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
            start,
            made: first,
        }
    }

    /// Appends one record of an upload to `body`.
    pub(crate) fn write(&mut self, body: &mut String) -> Truth {
        let number = self.made;
        self.made += 1;
        let truth = Truth {
            name: self.skewed(40) as usize,
            ts: self.start + self.below(DAYS * 86_400),
            person: self.skewed(PEOPLE),
            number,
        };
        let name = NAMES[truth.name];
        let _ = write!(
            body,
            r#"{{"identity":"customer-{:06}","type":"event","ts":{},"evtName":"{name}","evtData":{{"n":{number}"#,
            truth.person, truth.ts
        );
        self.properties(body);
        body.push_str("}}");
        truth
    }

    /// A body of `count` records; the truth of each goes to `seen`.
    pub(crate) fn body(&mut self, count: usize, mut seen: impl FnMut(Truth)) -> String {
        let mut body = String::with_capacity(count * 360 + 16);
        body.push_str(r#"{"d":["#);
        for index in 0..count {
            if index > 0 {
                body.push(',');
            }
            let truth = self.write(&mut body);
            seen(truth);
        }
        body.push_str("]}");
        body
    }

    fn properties(&mut self, body: &mut String) {
        let price = self.below(50_000) + 99;
        let sku = self.next();
        let _ = write!(
            body,
            r#","Price":{}.{:02},"SKU":"SKU-{:08x}","Category":"{}","City":"{}","Channel":"{}""#,
            price / 100,
            price % 100,
            sku & 0xff_ffff,
            pick(&CATEGORIES, sku >> 24),
            pick(&CITIES, sku >> 32),
            pick(&CHANNELS, sku >> 40),
        );
        for extra in 0..self.below(8) {
            let value = self.next();
            let _ = match extra {
                0 => write!(body, r#","Quantity":{}"#, value % 9 + 1),
                1 => write!(body, r#","Logged In":{}"#, !value.is_multiple_of(3)),
                2 => write!(
                    body,
                    r#","Referrer":"https://example.com/{}""#,
                    value % 1_000
                ),
                3 => write!(body, r#","Discount":{}.5"#, value % 40),
                4 => write!(body, r#","Campaign":"autumn-{}""#, value % 25),
                5 => write!(
                    body,
                    r#","Screen":"{}x{}""#,
                    320 + value % 1_600,
                    480 + value % 900
                ),
                _ => write!(body, r#","Seconds On Page":{}"#, value % 600),
            };
        }
    }

    /// A number below `limit`, small ones far more often: a Zipf-like law.
    fn skewed(&mut self, limit: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let scaled = (limit as f64).powf(uniform) - 1.0;
        (scaled as u64).min(limit - 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn pick<'a>(from: &[&'a str], value: u64) -> &'a str {
    from[(value % from.len() as u64) as usize]
}
