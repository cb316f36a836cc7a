//! What travels through the socket: frames of one byte of kind, four of length (little-endian), and
//! the content. Both ends are the same binary, so the protocol is private and has no version.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::failure::Failure;

/// The longest content of a frame; longer data goes in several.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;

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

async fn write<W: AsyncWrite + Unpin>(stream: &mut W, kind: u8, content: &[u8]) -> Result<()> {
    let gone = "the other end of the socket has gone";
    if content.len() > CONTENT_BYTES_MAX {
        bail!(
            "a message of {} bytes is longer than {CONTENT_BYTES_MAX}",
            content.len()
        );
    }
    let length = u32::try_from(content.len()).context("a message is too long")?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&head).await.context(gone)?;
    stream.write_all(content).await.context(gone)
}

async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<(u8, Vec<u8>)> {
    let gone = "the other end of the socket has gone";
    let kind = stream.read_u8().await.context(gone)?;
    let length = stream.read_u32_le().await.context(gone)?;
    let length = usize::try_from(length).context(gone)?;
    if length > CONTENT_BYTES_MAX {
        bail!(
            "the other end of the socket announces {length} bytes, more than {CONTENT_BYTES_MAX}"
        );
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.context(gone)?;
    Ok((kind, content))
}
