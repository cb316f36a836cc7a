//! Whatever goes through the socket arrives as it was sent, and no more of it than arrived whole.

use futures::executor::block_on;
use proptest::prelude::*;

use super::{CONTENT_BYTES_MAX, Frame, Progress};
use crate::failure::{Failure, Kind};

/// What can be sent. `Done` and `Failed` may stand anywhere here.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let data = prop::collection::vec(any::<u8>(), 1..300);
    let kinds = [Kind::Failed, Kind::NotFound, Kind::Unavailable];
    let failure = (prop::sample::select(kinds.to_vec()), "\\PC{0,40}");
    let frame = prop_oneof![
        data.prop_map(|it| Frame::Data(it.into())),
        any::<(u64, Option<u64>)>()
            .prop_map(|(done, total)| Frame::Progress(Progress { done, total })),
        any::<(i64, bool, Option<String>)>().prop_map(|it| Frame::Done(serde_json::json!(it))),
        failure.prop_map(|(kind, text)| Frame::Failed(Failure::new(kind, text))),
    ];
    prop::collection::vec(frame, 0..8)
}

fn written(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        block_on(frame.write(&mut bytes)).unwrap();
    }
    bytes
}

/// The frames that `bytes` begin with, each in words.
fn read(mut bytes: &[u8]) -> Vec<String> {
    let next = || block_on(Frame::read(&mut bytes)).ok();
    std::iter::from_fn(next)
        .map(|it| format!("{it:?}"))
        .collect()
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written_and_none_that_is_cut(
        frames in frames(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = written(&frames);
        let all: Vec<String> = frames.iter().map(|it| format!("{it:?}")).collect();
        let arrived = read(&bytes);
        prop_assert_eq!(&arrived, &all);
        let cut = cut.index(bytes.len() + 1);
        let whole = (0..=frames.len()).rev().find(|count| written(&frames[..*count]).len() <= cut);
        let arrived = read(&bytes[..cut]);
        prop_assert_eq!(&arrived[..], &all[..whole.unwrap()]);
    }
}

#[test]
fn long_data_goes_in_pieces_that_are_the_whole_together() {
    for length in [
        CONTENT_BYTES_MAX - 1,
        CONTENT_BYTES_MAX,
        CONTENT_BYTES_MAX + 1,
        3 * CONTENT_BYTES_MAX,
    ] {
        let data = vec![7; length];
        let bytes = written(&[Frame::Data(data.clone().into())]);
        let (mut rest, mut found, mut pieces) = (&bytes[..], Vec::new(), 0);
        while let Ok(Frame::Data(piece)) = block_on(Frame::read(&mut rest)) {
            found.extend_from_slice(&piece);
            pieces += 1;
        }
        assert!(rest.is_empty() && found == data, "{length}");
        assert_eq!(pieces, length.div_ceil(CONTENT_BYTES_MAX), "{length}");
    }
}
