//! The REST dialect as a client sees it.

mod calls;
mod limits;
mod people;
mod shown;
mod uploads;
