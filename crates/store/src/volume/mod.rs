//! One volume: the code, the shard's bytes, its name, the label, and the place that holds them.

mod code;
mod dir;
mod label;
mod name;
mod place;
mod shard;

pub(crate) use code::Code;
pub use dir::DirPlace;
pub(crate) use label::{Label, LabelKey, LabelVolume, Reading};
pub(crate) use name::{ShardName, check_path};
pub use place::Place;
pub use shard::Shard;
pub(crate) use shard::{
    HEADER_BYTES_MAX, Header, ShardKey, ShardWriter, check_whole, header_bytes,
};
