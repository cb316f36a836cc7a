//! The end of a table: what is on the page, and where the others are.

use askama::Template;
use askama::filters::HtmlSafe;

/// The foot of a table that has several pages.
#[derive(Debug, Clone, Default, Template)]
#[template(
    ext = "html",
    source = r#"<div class="pager"><span>{{ note }}</span><span class="acts">{% if let Some(first) = first %}<a class="button low" href="{{ first }}">First page</a>{% endif %}{% if let Some(next) = next %}<a class="button low" rel="next" href="{{ next }}">Next page</a>{% endif %}</span></div>"#
)]
pub(crate) struct Pager {
    /// What is on the page.
    pub(crate) note: String,
    /// The first page, unless this is it.
    pub(crate) first: Option<String>,
    /// The page that follows, if one does.
    pub(crate) next: Option<String>,
}

impl HtmlSafe for Pager {}
