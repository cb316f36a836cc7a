//! The REST dialect as a client sees it.

mod calls;
mod shown;
mod uploads;
