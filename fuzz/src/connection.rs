//! The first bytes of connections, of strangers and of operators. Both decoders are files of the
//! server that stand alone, so that nothing else of it has to be built.

use std::task::{Context, Poll, Waker};

#[path = "../../crates/server/src/admin/framing.rs"]
mod framing;
#[expect(dead_code, reason = "a file of another crate, of which a part is used")]
#[path = "../../crates/server/src/listen/hello.rs"]
mod hello;

use hello::{BYTES, Hello, rest_of_record};

/// What is no TLS has no version, and only what is TLS can be too old.
pub(crate) fn client_hello(input: &[u8]) {
    let Some(bytes) = input.first_chunk::<BYTES>() else {
        return;
    };
    let read = Hello::read(bytes);
    let is_tls = read != Hello::NotTls;
    assert_eq!(is_tls, !read.version().is_empty());
    assert!(is_tls || !read.is_too_old());
    assert!(rest_of_record(bytes) <= u64::from(u16::MAX));
    assert!(is_tls || bytes[0] != 22 || bytes[1] != 3 || bytes[5] != 1);
}

/// Frames are read to the end or to the first that is not one, each is as it would be written, and
/// none is longer than it may be.
pub(crate) fn frame(input: &[u8]) {
    let mut rest = input;
    loop {
        let before = rest;
        let Ok((kind, content)) = now(framing::read(&mut rest)) else {
            return;
        };
        let used = before.len() - rest.len();
        let mut written = Vec::new();
        assert!(now(framing::write(&mut written, kind, &content)).is_ok());
        assert_eq!(written, before[..used]);
        drop(serde_json::from_slice::<serde_json::Value>(&content));
    }
}

/// What a future gives that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("memory is always ready"),
    }
}
