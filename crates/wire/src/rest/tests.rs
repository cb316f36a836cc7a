//! The REST dialect as a client sees it.

mod calls;
mod people;
mod shown;
mod uploads;
