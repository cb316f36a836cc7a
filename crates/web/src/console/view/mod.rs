//! What the pages are made of: the frame around them, their charts, tables and forms, and how
//! times and numbers are written.
//!
//! A piece is a type with a template of its own; everything that is put into a template is escaped
//! there. Nothing here reads data or decides who may see it.

mod answer;
mod card;
mod chart;
mod csv;
mod fields;
mod pager;
mod shell;
mod table;
mod words;

pub(crate) use answer::{Answer, answer, download, html, see_other, unusable};
pub(crate) use card::Card;
pub(crate) use chart::{Chart, Mark, Rank, Ranks, Series, Slot, Spark};
pub(crate) use csv::Csv;
pub(crate) use fields::{Asked, Fields, Posted, link};
pub(crate) use pager::Pager;
pub(crate) use shell::{Section, Shell};
pub(crate) use table::{Column, Head, Heads, Sheet, file};
pub(crate) use words::{Badge, Moment, Times, Tone, bytes, count, plural, share};
