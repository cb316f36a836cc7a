//! A believable shop's fortnight, the same for every seed: who comes, looks, buys and leaves.

use model::{Random as _, SeededRandom, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

const PEOPLE: u64 = 420;
const DAYS: u64 = 14;
const DAY: Duration = Duration::from_secs(86_400);

const FIRST: [&str; 16] = [
    "Ada", "Bruno", "Chiara", "Daan", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira",
    "Luca", "Mina", "Noor", "Oskar", "Pia",
];
const LAST: [&str; 14] = [
    "Arndt", "Bellini", "Castillo", "Demir", "Ekberg", "Fischer", "Gallo", "Haas", "Ivanova",
    "Jansen", "Kowalski", "Lind", "Moreau", "Novak",
];
const CITIES: [&str; 8] = [
    "Berlin", "Lyon", "Porto", "Utrecht", "Graz", "Gdansk", "Bologna", "Malmo",
];
const PLANS: [&str; 3] = ["free", "plus", "gold"];
const SOURCES: [&str; 4] = ["newsletter", "search", "friends", "poster"];
const WORDS: [&str; 6] = ["rain jacket", "tent", "wool socks", "lamp", "map", "boots"];
/// Name, kind, cents.
const PRODUCTS: [(&str, &str, u64); 10] = [
    ("Ridge tent", "camping", 24_900),
    ("Wool socks", "clothing", 1_490),
    ("Rain jacket", "clothing", 12_900),
    ("Head lamp", "camping", 3_990),
    ("Steel bottle", "kitchen", 2_290),
    ("Trail map", "books", 990),
    ("Boots", "shoes", 17_900),
    ("Stove", "kitchen", 6_490),
    ("Sleeping bag", "camping", 15_900),
    ("Field guide", "books", 1_890),
];

/// The shop's records, ready to be sent.
#[derive(Debug)]
pub(super) struct Shop {
    records: Vec<Value>,
    events: u64,
    events_of: std::collections::BTreeMap<String, u64>,
}

/// A die that falls the same way for the same seed.
struct Die(SeededRandom);

impl Die {
    fn below(&self, bound: u64) -> u64 {
        self.0.number() % bound.max(1)
    }

    fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(index)
            .expect("a number below the length is an index")
    }
}

impl Shop {
    /// The fortnight before `now`.
    pub(super) fn open(seed: u64, now: Timestamp) -> Self {
        let die = Die(SeededRandom::new(seed));
        let mut shop = Self {
            records: Vec::new(),
            events: 0,
            events_of: std::collections::BTreeMap::new(),
        };
        for number in 0..PEOPLE {
            shop.person(number, now, &die);
        }
        shop.spoil();
        shop
    }

    /// Everything to send, bad records among the good.
    pub(super) fn records(&self) -> &[Value] {
        &self.records
    }

    /// Events among them that are good.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// People who visit.
    pub(super) const fn people() -> u64 {
        PEOPLE
    }

    /// Somebody whose history is shown.
    pub(super) fn hero(&self) -> &str {
        let most = self.events_of.iter().max_by_key(|(_, events)| **events);
        most.map_or("", |(identity, _)| identity)
    }

    /// Somebody who asks to be forgotten.
    pub(super) fn leaving(&self) -> &str {
        let others = self
            .events_of
            .iter()
            .filter(|(identity, _)| identity.as_str() != self.hero());
        others
            .max_by_key(|(_, events)| **events)
            .map_or("", |(identity, _)| identity)
    }

    /// How many good events name somebody.
    pub(super) fn events_of(&self, identity: &str) -> u64 {
        self.events_of.get(identity).copied().unwrap_or(0)
    }

    fn person(&mut self, number: u64, now: Timestamp, die: &Die) {
        let identity = format!("shopper-{number:04}");
        let (first, last) = (die.pick(&FIRST), die.pick(&LAST));
        let email = format!(
            "{}.{}{number}@example.com",
            first.to_lowercase(),
            last.to_lowercase()
        );
        let joined = now.minus(DAY * 14);
        self.records.push(json!({
            "type": "profile",
            "identity": identity,
            "ts": joined.seconds(),
            "profileData": {
                "Name": format!("{first} {last}"),
                "Email": email,
                "City": die.pick(&CITIES),
                "Plan": die.pick(&PLANS),
                "MSG-email": !die.one_in(3),
            },
        }));
        // Some come every other day, most only once or twice.
        let visits = if die.one_in(6) {
            5 + die.below(4)
        } else {
            1 + die.below(3)
        };
        for _ in 0..visits {
            self.visit(&identity, now, die);
        }
        if die.one_in(4) {
            self.records.push(json!({
                "type": "profile",
                "identity": identity,
                "ts": now.minus(Duration::from_secs(3_600)).seconds(),
                "profileData": {"Interests": {"$add": [die.pick(&PRODUCTS).1]}, "Visits": {"$incr": visits}},
            }));
        }
    }

    fn visit(&mut self, identity: &str, now: Timestamp, die: &Die) {
        // Weekends are busier: a day is drawn twice and the later one of the pair wins.
        let day = die.below(DAYS).max(die.below(DAYS));
        let hour = 8 + die.below(13);
        let back = (DAYS - 1 - day) * 86_400;
        let into = hour * 3_600 + die.below(3_000);
        let mut at = now
            .day()
            .start()
            .minus(Duration::from_secs(back))
            .plus(Duration::from_secs(into));
        if at > now {
            at = at.minus(DAY * 2);
        }
        let mut moment = |step: u64| {
            at = at.plus(Duration::from_secs(step));
            at
        };
        let source = die.pick(&SOURCES);
        self.event(
            identity,
            "Visited",
            moment(0),
            json!({"source": source, "mobile": die.one_in(2)}),
        );
        if die.one_in(3) {
            let results = die.below(40);
            self.event(
                identity,
                "Searched",
                moment(20),
                json!({"for": die.pick(&WORDS), "results": results}),
            );
        }
        let mut items = Vec::new();
        for _ in 0..(1 + die.below(5)) {
            let (name, kind, cents) = *die.pick(&PRODUCTS);
            let product = json!({"product": name, "kind": kind, "price": price(cents)});
            self.event(identity, "Product viewed", moment(35), product.clone());
            if die.one_in(3) {
                self.event(identity, "Added to cart", moment(15), product);
                items.push((name, cents));
            }
        }
        if !items.is_empty() && !die.one_in(3) {
            let total: u64 = items.iter().map(|(_, cents)| cents).sum();
            let list: Vec<Value> = items
                .iter()
                .map(|(name, cents)| json!({"name": name, "price": price(*cents)}))
                .collect();
            let charge = json!({"Amount": price(total), "Currency": "EUR", "Items": list});
            self.event(identity, "Charged", moment(90), charge);
        }
    }

    fn event(&mut self, identity: &str, name: &str, at: Timestamp, data: Value) {
        self.records.push(json!({
            "type": "event",
            "identity": identity,
            "ts": at.seconds(),
            "evtName": name,
            "evtData": data,
        }));
        self.events += 1;
        *self.events_of.entry(identity.to_owned()).or_default() += 1;
    }

    /// Mistakes that a real sender makes, spread among the good records.
    fn spoil(&mut self) {
        let mistakes = [
            json!({"type": "event", "identity": "shopper-0001", "evtData": {"no": "name"}}),
            json!({"type": "event", "evtName": "Visited", "evtData": {"of": "nobody"}}),
            json!({"type": "profile", "identity": "shopper-0002", "profileData": {"Email": "no address"}}),
            json!({"type": "profile", "identity": "shopper-0003", "profileData": {"Age": "old"}}),
            json!({"type": "event", "identity": "shopper-0004", "evtName": "Visited", "ts": "yesterday"}),
            json!({"type": "wish", "identity": "shopper-0005"}),
            json!({"type": "event", "identity": "shopper-0006", "evtName": "App Uninstalled"}),
        ];
        let step = self.records.len() / (mistakes.len() + 1);
        for (number, mistake) in mistakes.into_iter().enumerate() {
            self.records.insert((number + 1) * step, mistake);
        }
    }
}

/// Euros, as a number with two digits after the point.
fn price(cents: u64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    text.parse().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::Shop;
    use model::Timestamp;

    #[test]
    fn the_shop_is_the_same_in_every_run_and_large_enough_to_be_believed() {
        let now = Timestamp::from_seconds(1_790_000_000);
        let (one, two) = (Shop::open(1, now), Shop::open(1, now));
        assert_eq!(one.records(), two.records());
        assert!((3_000..12_000).contains(&one.events()), "{}", one.events());
        assert_ne!(one.hero(), one.leaving());
        assert!(one.events_of(one.leaving()) > 10);
        let late = one
            .records()
            .iter()
            .filter_map(|record| record["ts"].as_i64());
        assert!(late.max().unwrap() <= now.seconds() + 7_200);
    }
}
