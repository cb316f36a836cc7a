//! An answer on its way out, piece by piece.
//!
//! The HTTP library takes what it is given as a whole, however little of it the peer takes. So it is given
//! one piece, and asks for the next one when there is room: until the last the answer is one in progress,
//! which is known to be slow, and counts among its caller's.

use axum::body::{Body, Bytes};
use axum::response::Response;
use governance::Permit;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes of a piece, at most.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// See the file's head.
#[derive(Debug)]
struct Pieces {
    body: Body,
    /// What has come of the body and is not given out yet.
    rest: Bytes,
    /// Given back before the last piece goes out: whoever has read that finds the call ended.
    permit: Option<Permit>,
}

/// The response, whose body goes out in pieces and keeps the call's place until the last.
pub(crate) fn in_pieces(response: Response, permit: Option<Permit>) -> Response {
    let bytes = response.body().size_hint().exact();
    let is_one_piece = bytes.is_some_and(|it| it <= PIECE_BYTES_MAX as u64);
    if permit.is_none() && is_one_piece {
        return response;
    }
    response.map(|body| {
        let rest = Bytes::new();
        Body::new(Pieces { body, rest, permit })
    })
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let polled = ready!(Pin::new(&mut this.body).poll_frame(cx));
            match polled.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.permit = None;
                    return Poll::Ready(None);
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        if this.is_end_stream() {
            this.permit = None;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES_MAX, in_pieces};
    use axum::body::{Body, Bytes};
    use axum::response::Response;
    use futures::stream;
    use governance::Ceilings;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use model::AccountId;
    use proptest::prelude::*;

    fn whole(size: usize) -> Body {
        Body::from(vec![7; size])
    }

    #[tokio::test]
    async fn a_call_ends_with_its_last_piece_and_not_before() {
        let ceilings = Ceilings::default();
        let account = AccountId::installation();
        let enter = || ceilings.enter(account, "/1/report", 1);
        for size in [0, 1, PIECE_BYTES_MAX, 3 * PIECE_BYTES_MAX] {
            let mut body = in_pieces(Response::new(whole(size)), enter()).into_body();
            while !body.is_end_stream() {
                assert!(enter().is_none(), "{size}");
                let frame = body.frame().await.unwrap().unwrap();
                assert!(frame.into_data().unwrap().len() <= PIECE_BYTES_MAX);
            }
            // Of nothing no piece is asked for: that call ends when its answer is dropped.
            assert!(size == 0 || enter().is_some(), "{size}");
            drop(body);
            assert!(enter().is_some(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_body(sizes in prop::collection::vec(0..3 * PIECE_BYTES_MAX, 0..4)) {
            let parts = sizes.iter().zip(1..).map(|(size, byte)| Bytes::from(vec![byte; *size]));
            let parts: Vec<Bytes> = parts.collect();
            let bodies = [
                Body::from(parts.concat()),
                Body::from_stream(stream::iter(parts.clone().into_iter().map(std::io::Result::Ok))),
            ];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for body in bodies {
                let is_sized = body.size_hint().exact().is_some();
                let mut body = in_pieces(Response::new(body), None).into_body();
                let mut read = Vec::new();
                while let Some(frame) = runtime.block_on(body.frame()) {
                    let piece = frame.unwrap().into_data().unwrap();
                    prop_assert!(piece.len() <= PIECE_BYTES_MAX);
                    read.extend_from_slice(&piece);
                    let left = (parts.concat().len() - read.len()) as u64;
                    prop_assert!(body.size_hint().lower() <= left);
                    if is_sized {
                        prop_assert_eq!(body.size_hint().exact(), Some(left));
                    }
                }
                prop_assert_eq!(&read, &parts.concat());
            }
        }
    }
}
