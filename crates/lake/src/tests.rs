//! Tests of the lake, each by what it must do; `world` holds what they share.

mod catalog;
mod compaction;
mod deletion;
mod flushing;
mod format;
mod garbage;
mod learning;
mod opt_outs;
mod properties;
mod world;
