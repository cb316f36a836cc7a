//! The two streams: data on standard output, everything else on standard error.

use anyhow::Result;
use std::io::{self, IsTerminal as _, Write as _};

use super::table::harmless;
use crate::failure::Failure;

/// Prints text to standard output.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()?;
    Ok(())
}

/// Prints a value as JSON, one line.
///
/// # Errors
/// When standard output is closed.
pub(super) fn print_json(value: &serde_json::Value) -> Result<()> {
    print(format!("{value}\n"))
}

/// Says something that is not data.
pub(super) fn note(text: &str) {
    // Nobody to tell it to: nothing to be done about that.
    drop(writeln!(io::stderr(), "{text}"));
}

/// Says what went wrong: the chain of causes, once. A message may quote what somebody sent.
pub(super) fn complain(failure: &Failure) {
    let paint = Paint::for_stream(io::stderr().is_terminal());
    let mut messages = failure.chain.iter().map(|it| harmless(it));
    let first = messages.next();
    let first = first.as_deref().unwrap_or("something went wrong");
    note(&format!("{} {first}", paint.bad("error:")));
    for message in messages {
        note(&format!("  {} {message}", paint.dim("because:")));
    }
}

/// Whether the failure is that nobody reads our output any more.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |it: &io::Error| it.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(closed)
}

/// Colours, where a person looks at them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self::for_stream(io::stdout().is_terminal())
    }

    /// No colours.
    #[cfg(test)]
    pub(super) const fn off() -> Self {
        Self { on: false }
    }

    fn for_stream(is_terminal: bool) -> Self {
        Self {
            on: is_terminal && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is well.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What is not.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What stands out.
    pub(crate) fn accent(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
