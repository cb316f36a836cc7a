//! Reed–Solomon: k data pieces into m parity pieces, and any k of them back.

use bytes::Bytes;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Geometry, Result};

/// Coders that wait for work; more are made when more are wanted at a time.
const IDLE_MAX: usize = 4;

/// The code of one store. Coders are reused: making one costs more than using it.
pub(crate) struct Code {
    geometry: Geometry,
    idle: Mutex<Vec<ReedSolomonEncoder>>,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl Code {
    pub(crate) const fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The parity pieces, each of `bytes` (even, not zero), of `data` pieces, which may be shorter
    /// and then count as padded with zeros.
    pub(crate) fn parity(&self, data: &[Bytes], bytes: usize) -> Result<Vec<Bytes>> {
        let Geometry { data: k, parity: m } = self.geometry;
        if m == 0 {
            return Ok(Vec::new());
        }
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut encoder = match idle {
            Some(mut encoder) => {
                encoder.reset(k, m, bytes).map_err(bug)?;
                encoder
            }
            None => ReedSolomonEncoder::new(k, m, bytes).map_err(bug)?,
        };
        for piece in data {
            encoder
                .add_original_shard(padded(piece, bytes))
                .map_err(bug)?;
        }
        let result = encoder.encode().map_err(bug)?;
        let parity = result.recovery_iter().map(Bytes::copy_from_slice).collect();
        drop(result);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(encoder);
        }
        Ok(parity)
    }

    /// The data pieces, each padded to `bytes`, from any k of the n pieces.
    pub(crate) fn data(&self, pieces: &[Option<Bytes>], bytes: usize) -> Result<Vec<Bytes>> {
        let Geometry { data: k, parity: m } = self.geometry;
        let mut out: Vec<Option<Bytes>> = pieces
            .iter()
            .take(k)
            .map(|piece| piece.as_ref().map(|p| padded(p, bytes)))
            .collect();
        if out.iter().any(Option::is_none) {
            let mut decoder = ReedSolomonDecoder::new(k, m, bytes).map_err(bug)?;
            for (index, piece) in pieces.iter().enumerate() {
                let Some(piece) = piece else { continue };
                let piece = padded(piece, bytes);
                match index.checked_sub(k) {
                    None => decoder.add_original_shard(index, piece).map_err(bug)?,
                    Some(parity) => decoder.add_recovery_shard(parity, piece).map_err(bug)?,
                }
            }
            let result = decoder.decode().map_err(bug)?;
            for (index, piece) in result.restored_original_iter() {
                if let Some(slot) = out.get_mut(index) {
                    *slot = Some(Bytes::copy_from_slice(piece));
                }
            }
        }
        out.into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| bug("a piece was not restored"))
    }
}

fn padded(piece: &Bytes, bytes: usize) -> Bytes {
    if piece.len() == bytes {
        return piece.clone();
    }
    let mut out = piece.to_vec();
    out.resize(bytes, 0);
    out.into()
}

fn bug(error: impl fmt::Display) -> Error {
    Error::Internal(format!("the erasure code refused its input: {error}"))
}

#[cfg(test)]
mod tests;
