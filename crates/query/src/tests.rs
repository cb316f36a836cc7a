//! Tests of the reads, each by what it must do; `world` holds what they share.

mod catalog;
mod digests;
mod doubles;
mod events;
mod export;
mod folding;
mod latest;
mod memory;
mod pages;
mod people;
mod policy;
mod races;
mod received;
mod reports;
mod scope;
mod sql;
mod statements;
mod world;
