//! The frames of the socket: one byte of kind, four of length (little-endian), and the content.
//!
//! Nothing here knows what a content means. `fuzz` reads this file too.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest content of a frame; longer data goes in several.
pub(super) const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// Writes one frame.
///
/// # Errors
/// When the content is too long, or the other end has gone.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    stream: &mut W,
    kind: u8,
    content: &[u8],
) -> Result<()> {
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

/// Reads one frame: its kind and its content.
///
/// # Errors
/// When the other end has gone in the middle, or announces more than a frame may hold.
pub(super) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<(u8, Vec<u8>)> {
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
