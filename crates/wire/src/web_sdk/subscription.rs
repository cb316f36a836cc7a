//! The parameters of `GET /e`, the page about subscriptions.

use std::borrow::Cow;

use crate::rest::url::{Plus, value};

/// What the page wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// `sub`: it says what somebody wants to get from now on.
    pub is_wish: bool,
    /// `fetchGroups`: it asks which groups there are.
    pub asks_for_groups: bool,
}

impl Subscription {
    /// Reads a query string; the packed message in `d` beside it. None without `d`, and without `e`,
    /// which says whom the link was for.
    #[must_use]
    pub fn decode(query: &str) -> Option<(Self, Cow<'_, str>)> {
        let text = |key| value(query, key, Plus::Plus).filter(|it| !it.is_empty());
        text("e")?;
        let subscription = Self {
            is_wish: text("sub").is_some(),
            asks_for_groups: text("fetchGroups").is_some_and(|it| it != "false"),
        };
        Some((subscription, text("d")?))
    }
}
