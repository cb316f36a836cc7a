//! What travels through the socket, in frames. Both ends are the same binary, so the protocol is private and has no version.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::framing::{CONTENT_BYTES_MAX, read, write};
use crate::failure::Failure;

/// One frame of an answer.
#[derive(Debug)]
pub(crate) enum Frame {
    /// Bytes of the result, in order.
    Data(Bytes),
    /// How far the work is.
    Progress(Progress),
    /// The end: it was done, with this to say.
    Done(serde_json::Value),
    /// The end: it was not done.
    Failed(Failure),
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Rows or steps that are behind.
    pub(crate) done: u64,
    /// All of them, where that is known.
    pub(crate) total: Option<u64>,
}

const DATA: u8 = b'd';
const PROGRESS: u8 = b'p';
const DONE: u8 = b'j';
const FAILED: u8 = b'e';
const REQUEST: u8 = b'r';

/// Writes a request.
///
/// # Errors
/// When the other end has gone.
pub(super) async fn write_request<W: AsyncWrite + Unpin>(
    stream: &mut W,
    request: &impl Serialize,
) -> Result<()> {
    let content = serde_json::to_vec(request).context("failed to encode the request")?;
    write(stream, REQUEST, &content).await
}

/// Reads a request.
///
/// # Errors
/// When the other end has gone, or speaks something else.
pub(super) async fn read_request<R: AsyncRead + Unpin, T: for<'de> Deserialize<'de>>(
    stream: &mut R,
) -> Result<T> {
    let (kind, content) = read(stream).await?;
    if kind != REQUEST {
        bail!("the other end of the socket did not send a request");
    }
    serde_json::from_slice(&content).context("failed to understand the request")
}

impl Frame {
    /// Writes the frame; data that is too long becomes several frames.
    ///
    /// # Errors
    /// When the other end has gone.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&self, stream: &mut W) -> Result<()> {
        match self {
            Self::Data(data) => {
                for piece in data.chunks(CONTENT_BYTES_MAX) {
                    write(stream, DATA, piece).await?;
                }
                Ok(())
            }
            Self::Progress(progress) => write_json(stream, PROGRESS, progress).await,
            Self::Done(value) => write_json(stream, DONE, value).await,
            Self::Failed(failure) => write_json(stream, FAILED, failure).await,
        }
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// When the other end has gone in the middle, or speaks something else.
    pub(super) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Self> {
        let (kind, content) = read(stream).await?;
        let fail = "failed to understand the server's answer";
        Ok(match kind {
            DATA => Self::Data(content.into()),
            PROGRESS => Self::Progress(serde_json::from_slice(&content).context(fail)?),
            DONE => Self::Done(serde_json::from_slice(&content).context(fail)?),
            FAILED => Self::Failed(serde_json::from_slice(&content).context(fail)?),
            _ => bail!("{fail}"),
        })
    }
}

async fn write_json<W: AsyncWrite + Unpin>(
    stream: &mut W,
    kind: u8,
    value: &impl Serialize,
) -> Result<()> {
    let content = serde_json::to_vec(value).context("failed to encode an answer")?;
    write(stream, kind, &content).await
}

#[cfg(test)]
mod tests;
