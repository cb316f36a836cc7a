//! What `templates/card.html` needs: the centred card of the pages in front of the sign-in.

/// What every card needs. A page's own template extends `card.html` and has one as `card`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Card {
    /// The heading, and the title of the window.
    pub(crate) title: String,
    /// A sentence under the heading; none when empty.
    pub(crate) lead: String,
    /// Of this answer: what its script and style elements carry.
    pub(crate) nonce: String,
    /// What went wrong with the form as a whole.
    pub(crate) error: Option<String>,
    /// What was done.
    pub(crate) done: Option<String>,
}

impl Card {
    /// A card with a heading.
    pub(crate) fn new(nonce: &str, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            nonce: nonce.to_owned(),
            ..Self::default()
        }
    }

    /// With a sentence under the heading.
    pub(crate) fn lead(self, lead: &str) -> Self {
        Self {
            lead: lead.to_owned(),
            ..self
        }
    }
}
