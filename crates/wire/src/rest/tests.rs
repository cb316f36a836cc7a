//! The REST dialect as a client sees it.

mod calls;
mod habits;
mod limits;
mod people;
mod shown;
mod uploads;
