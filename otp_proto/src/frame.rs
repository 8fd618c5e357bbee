//! Frames: one JSON object, ended by a NUL byte.

use std::io;

use zeroize::Zeroize;

/// Longest frame, bytes, without its NUL. Requests are under 1 KiB; the rest is head-room.
pub const MAX_FRAME: usize = 16 * 1024;

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// No NUL within [`MAX_FRAME`] bytes.
    TooLong,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "frame longer than {MAX_FRAME} bytes"),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// One frame without its NUL; wiped when dropped, because it may carry a code.
pub struct Frame(Vec<u8>);

impl std::ops::Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.0.len())
    }
}

/// Collects bytes as they arrive and hands out whole frames.
///
/// It never holds more than one frame and one read beyond it: the caller asks for a frame before it
/// pushes more, and a frame that grows past [`MAX_FRAME`] is an error while it is being read.
#[derive(Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How much of `bytes` is known to hold no NUL, so that a slow peer costs no second scan.
    scanned: usize,
}

impl Decoder {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // A plain grow would leave the old buffer, with a code in it, unwiped in the heap.
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(1024));
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole frame, if there is one.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] as soon as more than [`MAX_FRAME`] bytes stand without a NUL.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let end = self.bytes.iter().skip(self.scanned).position(|byte| *byte == 0);
        match end.map(|offset| self.scanned + offset) {
            Some(end) if end > MAX_FRAME => Err(FrameError::TooLong),
            Some(end) => {
                let rest = self.bytes.get(end + 1..).unwrap_or_default().to_vec();
                let mut frame = std::mem::replace(&mut self.bytes, rest);
                frame.iter_mut().skip(end).for_each(|byte| *byte = 0);
                frame.truncate(end);
                self.scanned = 0;
                Ok(Some(Frame(frame)))
            }
            None if self.bytes.len() > MAX_FRAME => Err(FrameError::TooLong),
            None => {
                self.scanned = self.bytes.len();
                Ok(None)
            }
        }
    }

    /// True while part of a frame is waiting for its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.bytes.is_empty()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Writes `value` as one frame into a buffer that is wiped when dropped.
///
/// # Errors
/// `InvalidData` when the value does not serialize or its frame would be longer than [`MAX_FRAME`].
pub fn encode(value: &impl serde::Serialize) -> io::Result<Frame> {
    // Room for nearly every message, so that serializing does not leave copies behind by growing.
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, value)?;
    if bytes.len() > MAX_FRAME {
        bytes.zeroize();
        return Err(FrameError::TooLong.into());
    }
    bytes.push(0);
    Ok(Frame(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decoder, FrameError, MAX_FRAME, encode};

    fn frames(decoder: &mut Decoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.next_frame().expect("within the limit"))
            .map(|frame| frame.to_vec())
            .collect()
    }

    #[test]
    fn limit_is_exact() {
        let cases = [
            ("longest frame passes", MAX_FRAME, true),
            ("one byte more does not", MAX_FRAME + 1, false),
        ];
        for (name, length, passes) in cases {
            let mut decoder = Decoder::default();
            decoder.push(&vec![b'x'; length]);
            decoder.push(&[0]);
            assert_eq!(decoder.next_frame().is_ok(), passes, "{name}");
        }
    }

    #[test]
    fn too_long_is_said_before_the_end_arrives() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; MAX_FRAME + 1]);
        assert_eq!(decoder.next_frame().expect_err("no end in sight"), FrameError::TooLong);
    }

    #[test]
    fn encoding_ends_with_nul_and_refuses_the_oversize() {
        assert_eq!(&*encode(&"a").expect("short"), b"\"a\"\0");
        assert!(encode(&"x".repeat(MAX_FRAME)).is_err());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            messages in prop::collection::vec(prop::collection::vec(1u8.., 0..40), 0..6),
            cuts in prop::collection::vec(1usize..7, 1..200),
        ) {
            let mut wire = Vec::new();
            for message in &messages {
                wire.extend_from_slice(message);
                wire.push(0);
            }
            let (mut decoder, mut out, mut rest) = (Decoder::default(), Vec::new(), wire.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                out.extend(frames(&mut decoder));
                rest = later;
            }
            prop_assert_eq!(out, messages);
            prop_assert!(!decoder.is_partial());
        }
    }
}
