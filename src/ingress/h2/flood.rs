//! Whether a client's frames are work or an attack. Pure: frames in, a verdict out.
//!
//! Cheap frames that make us work are counted against frames that carry something: resets (rapid reset,
//! CVE-2023-44487), SETTINGS, PING, PRIORITY, empty DATA and CONTINUATION (CVE-2019-9511 to 9518, CVE-2024-27316),
//! window updates. A client that uses up an allowance is told ENHANCE_YOUR_CALM and its connection ends.
//!
//! Beside that, frames of a length their kind cannot have, and anything before the client's SETTINGS, are refused here
//! with the error that RFC 9113 names; the framing layer knows only a general one.

use ::h2::Reason;

/// Streams a client may give up at once; a page that is left cancels some dozens.
const RESETS: f64 = 200.0;
/// Given-up streams forgiven per second.
const RESETS_PER_SECOND: f64 = 10.0;
/// Frames without content that may come at once.
const CONTROL: f64 = 1_000.0;
const CONTROL_PER_SECOND: f64 = 100.0;
/// Window updates that may come beside one for each so many bytes sent.
const UPDATES: u64 = 10_000;
const BYTES_PER_UPDATE: u64 = 256;

/// What a frame is, by its type octet (RFC 9113 section 6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const PRIORITY: u8 = 2;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

/// Why nothing more is read of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// In a word, for the log.
    pub what: &'static str,
    /// What the client is told.
    pub reason: Reason,
}

impl Verdict {
    const fn flood(what: &'static str) -> Self {
        Self { what, reason: Reason::ENHANCE_YOUR_CALM }
    }

    /// The frame itself is wrong: the framing layer must not see it.
    pub(crate) fn is_of_frame(self) -> bool {
        self.reason != Reason::ENHANCE_YOUR_CALM
    }
}

/// On SETTINGS: an acknowledgement.
const ACK: u8 = 1;

/// The frames of one connection so far.
#[derive(Debug)]
pub(crate) struct Gauge {
    resets: f64,
    control: f64,
    updates: u64,
    bytes_sent: u64,
    at_ms: u64,
    /// The client's SETTINGS have come.
    is_greeted: bool,
    walker: Walker,
}

/// Finds the frame heads in a stream of bytes.
#[derive(Debug, Default)]
struct Walker {
    /// Bytes of preface or payload still to be skipped.
    skip: usize,
    head: [u8; 9],
    have: usize,
}

impl Gauge {
    /// A gauge for a connection of which nothing was read yet.
    pub(crate) fn new(now_ms: u64) -> Self {
        let walker = Walker { skip: super::PREFACE.len(), ..Walker::default() };
        Self { resets: 0.0, control: 0.0, updates: 0, bytes_sent: 0, at_ms: now_ms, is_greeted: false, walker }
    }

    /// Takes in bytes as they were read; the error says what is too much or wrong.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now_ms: u64) -> Result<(), Verdict> {
        while !bytes.is_empty() {
            let skipped = self.walker.skip.min(bytes.len());
            self.walker.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (9 - self.walker.have).min(bytes.len());
            let (head, rest) = bytes.split_at(taken);
            self.walker.head[self.walker.have..self.walker.have + taken].copy_from_slice(head);
            self.walker.have += taken;
            bytes = rest;
            if self.walker.have == 9 {
                let [a, b, c, kind, flags, ..] = self.walker.head;
                self.walker.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.walker.have = 0;
                self.is_lawful(kind, flags, self.walker.skip)?;
                self.frame(kind, self.walker.skip, now_ms)?;
            }
        }
        Ok(())
    }

    /// Whether a frame of this kind may have this length (RFC 9113 section 6) and come now (section 3.4).
    fn is_lawful(&mut self, kind: u8, flags: u8, length: usize) -> Result<(), Verdict> {
        let has_its_length = match kind {
            kind::PRIORITY => length == 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => length == 4,
            kind::PING => length == 8,
            kind::SETTINGS if flags & ACK != 0 => length == 0,
            kind::SETTINGS => length.is_multiple_of(6),
            _ => true,
        };
        if !has_its_length {
            return Err(Verdict { what: "frame_size", reason: Reason::FRAME_SIZE_ERROR });
        }
        if !std::mem::replace(&mut self.is_greeted, true) && kind != kind::SETTINGS {
            return Err(Verdict { what: "no_settings", reason: Reason::PROTOCOL_ERROR });
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, length: usize, now_ms: u64) -> Result<(), Verdict> {
        match kind {
            kind::HEADERS => self.control = (self.control - 1.0).max(0.0),
            kind::DATA if length > 0 => self.control = (self.control - 1.0).max(0.0),
            kind::RST_STREAM => {
                self.forgive(now_ms);
                self.resets += 1.0;
            }
            kind::WINDOW_UPDATE => self.updates += 1,
            _ => {
                self.forgive(now_ms);
                self.control += 1.0;
            }
        }
        if self.resets > RESETS {
            return Err(Verdict::flood("reset_flood"));
        }
        if self.control > CONTROL {
            return Err(Verdict::flood("control_flood"));
        }
        if self.updates > UPDATES + self.bytes_sent / BYTES_PER_UPDATE {
            return Err(Verdict::flood("window_flood"));
        }
        Ok(())
    }

    fn forgive(&mut self, now_ms: u64) {
        let seconds = now_ms.saturating_sub(self.at_ms) as f64 / 1e3;
        self.at_ms = now_ms;
        self.resets = (self.resets - seconds * RESETS_PER_SECOND).max(0.0);
        self.control = (self.control - seconds * CONTROL_PER_SECOND).max(0.0);
    }

    /// A stream was answered to its end: the client does wait for answers.
    pub(crate) fn answered(&mut self) {
        self.resets = (self.resets - 1.0).max(0.0);
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![(length >> 16) as u8, (length >> 8) as u8, length as u8, kind, 0, 0, 0, 0, 1];
        frame.resize(9 + length, 0);
        frame
    }

    /// Feeds frames until one is too much; says which of them that was.
    fn first_refused(frames: impl Iterator<Item = (Vec<u8>, u64)>) -> Option<(usize, &'static str)> {
        let mut gauge = Gauge::new(0);
        gauge.read(&[super::super::PREFACE, &frame(4, 0)].concat(), 0).unwrap();
        gauge.control = 0.0;
        frames.enumerate().find_map(|(n, (bytes, at))| gauge.read(&bytes, at).err().map(|why| (n, why.what)))
    }

    #[test]
    fn floods_are_seen_and_work_is_not() {
        let pairs = |each_ms: u64| (0..5_000u64).map(move |n| ([frame(1, 30), frame(3, 4)].concat(), n * each_ms));
        assert_eq!(first_refused(pairs(0)), Some((200, "reset_flood")));
        assert_eq!(first_refused(pairs(200)), None, "giving up five streams a second is allowed");
        for (kind, length) in [(2, 5), (4, 6), (6, 8), (9, 8), (0, 0), (77, 8)] {
            assert_eq!(first_refused((0..5_000).map(|_| (frame(kind, length), 0))), Some((1_000, "control_flood")));
        }
        assert_eq!(first_refused((0..50_000).map(|_| (frame(8, 4), 0))), Some((10_000, "window_flood")));
        let work = (0..50_000).map(|_| ([frame(1, 40), frame(0, 100), frame(6, 8)].concat(), 0));
        assert_eq!(first_refused(work), None);
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        for (kind, flags, wrong, right) in
            [(2, 0, 4, 5), (3, 0, 5, 4), (8, 0, 3, 4), (6, 0, 7, 8), (4, 1, 6, 0), (4, 0, 7, 12)]
        {
            let mut gauge = Gauge::new(0);
            gauge.read(&[super::super::PREFACE, &frame(4, 0)].concat(), 0).unwrap();
            for (length, want) in [(right, None), (wrong, Some(Reason::FRAME_SIZE_ERROR))] {
                let mut one = frame(kind, length);
                one[4] = flags;
                assert_eq!(gauge.read(&one, 0).err().map(|why| why.reason), want, "{kind} of {length}");
            }
        }
        let mut gauge = Gauge::new(0);
        let early = gauge.read(&[super::super::PREFACE, &frame(6, 8)].concat(), 0).unwrap_err();
        assert!(early.is_of_frame() && early.what == "no_settings");
    }

    #[test]
    fn frames_are_found_in_any_pieces() {
        let all: Vec<u8> = [
            super::super::PREFACE.to_vec(),
            frame(4, 12),
            (0..300).flat_map(|n| [frame(0, n), frame(3, 4)].concat()).collect(),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000] {
            let mut gauge = Gauge::new(0);
            let refused = all.chunks(size).find_map(|piece| gauge.read(piece, 0).err().map(|why| why.what));
            assert_eq!(refused, Some("reset_flood"), "in pieces of {size}");
        }
    }
}
