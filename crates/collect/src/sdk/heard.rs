//! When browsers were heard of last: a session is over after some minutes without a request.
//!
//! It may forget: a browser of which nothing is known is taken at its word, as far as its word is young.

use governance::AccountRules;
use model::{IdentityKind, PersonKey, PersonMap, Timestamp};
use std::sync::{Mutex, PoisonError};
use wire::web_sdk::SESSION_SECONDS;

/// Browsers in one generation; two generations are held. About 32 bytes each.
const GENERATION_BROWSERS_MAX: usize = 200_000;

/// The seconds at which browsers were heard of last.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: PersonMap<u32>,
    old: PersonMap<u32>,
    /// When the young generation began.
    began: u32,
}

impl Heard {
    /// Remembers that a browser was heard of now; when it was before, if that is known.
    pub(super) fn hear(&self, rules: &AccountRules, device: &str, now: Timestamp) -> Option<u32> {
        let browser = rules.person_key(IdentityKind::ObjectId, device);
        let now = u32::try_from(now.seconds().max(0)).unwrap_or(u32::MAX);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.hear(browser, now, GENERATION_BROWSERS_MAX)
    }
}

impl Generations {
    fn hear(&mut self, browser: PersonKey, now: u32, browsers_max: usize) -> Option<u32> {
        // Of whom nothing was heard for so long, nothing needs to be known.
        let is_full = self.young.len() >= browsers_max;
        if is_full || now.saturating_sub(self.began) >= SESSION_SECONDS {
            self.old = std::mem::take(&mut self.young);
            self.began = now;
        }
        let before = self.young.insert(browser, now);
        before.or_else(|| self.old.get(&browser).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::Generations;
    use model::PersonKey;

    #[test]
    fn a_browser_is_remembered_for_a_session_and_forgotten_after_two() {
        let [one, two] = [1, 2].map(|it| PersonKey([it; 16]));
        let mut all = Generations::default();
        let mut hear = |browser, now| all.hear(browser, now, 2);
        assert_eq!(hear(one, 10_000), None);
        assert_eq!(hear(one, 10_100), Some(10_000));
        assert_eq!(hear(two, 11_200), None);
        assert_eq!(hear(one, 11_299), Some(10_100));
        assert_eq!(hear(two, 12_400), Some(11_200));
        assert_eq!(hear(one, 13_600), None);
    }

    #[test]
    fn of_too_many_those_who_came_last_are_remembered() {
        let mut all = Generations::default();
        for browser in 0..5 {
            assert_eq!(all.hear(PersonKey([browser; 16]), 1, 2), None);
        }
        assert_eq!(all.old.len() + all.young.len(), 3);
        assert_eq!(all.hear(PersonKey([4; 16]), 2, 2), Some(1));
        assert_eq!(all.hear(PersonKey([0; 16]), 2, 2), None);
    }
}
