//! Content codings: content in, bytes of the coding out, in pieces and flushed when asked. Pure.
//!
//! What one body may take is bounded by the windows below (about 1.3 MB for Brotli and Zstandard, 0.3 MB for gzip), and
//! how many bodies a thread encodes at a time by [`has_room`]; where the defaults come from: `docs/ingress.md`.

use std::cell::Cell;
use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;

use super::snapshot::Coding;

/// Good ratio for little CPU: higher levels gain a few percent for twice the time.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// Binary logarithm of the window: 256 KiB. Pages are smaller, and a stream costs no more memory than this.
const WINDOW_LOG: u32 = 18;
/// Bodies a thread encodes at a time; more are sent as they are.
const MAX_AT_A_TIME: u32 = 128;
/// Piece in which Brotli hands out what it made.
const PIECE: usize = 16 * 1024;

thread_local! {
    static AT_WORK: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread can take on one more body.
pub(crate) fn has_room() -> bool {
    AT_WORK.get() < MAX_AT_A_TIME
}

/// The name in `Content-Encoding`.
pub(crate) fn name(coding: Coding) -> &'static str {
    match coding {
        Coding::Zstd => "zstd",
        Coding::Br => "br",
        Coding::Gzip => "gzip",
    }
}

/// One body being encoded.
pub(crate) struct Encoder {
    work: Work,
    /// Content was taken in since the last flush.
    holds: bool,
}

/// Boxed: their state is large, and most connections never have one.
enum Work {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// The writer is gone once the body is at its end: what it left is kept.
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>, Vec<u8>),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// Begins a body; with its length the encoder takes no more memory than that body needs.
    pub(crate) fn new(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        let work = match coding {
            Coding::Gzip => Work::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))),
            Coding::Br => {
                let size_hint = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: WINDOW_LOG as i32,
                    size_hint,
                    ..BrotliEncoderParams::default()
                };
                let writer = CompressorWriter::with_params(Vec::new(), PIECE, &parameters);
                Work::Brotli(Some(Box::new(writer)), Vec::new())
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                encoder.set_pledged_src_size(length)?;
                Work::Zstd(Box::new(encoder))
            }
        };
        AT_WORK.set(AT_WORK.get() + 1);
        Ok(Self { work, holds: false })
    }

    /// Takes in content; what comes of it may be held back until [`Self::flush`].
    pub(crate) fn push(&mut self, content: &[u8]) -> io::Result<()> {
        self.holds |= !content.is_empty();
        match &mut self.work {
            Work::Gzip(encoder) => encoder.write_all(content),
            Work::Brotli(Some(encoder), _) => encoder.write_all(content),
            Work::Brotli(None, _) => Err(io::ErrorKind::WriteZero.into()),
            Work::Zstd(encoder) => encoder.write_all(content),
        }
    }

    /// All content so far can be decoded from what was taken.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        // An empty flush would still cost bytes.
        if !std::mem::take(&mut self.holds) {
            return Ok(());
        }
        match &mut self.work {
            Work::Gzip(encoder) => encoder.flush(),
            Work::Brotli(Some(encoder), _) => encoder.flush(),
            Work::Brotli(None, _) => Ok(()),
            Work::Zstd(encoder) => encoder.flush(),
        }
    }

    /// The content is at its end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match &mut self.work {
            Work::Gzip(encoder) => encoder.try_finish(),
            Work::Brotli(encoder, left) => {
                if let Some(encoder) = encoder.take() {
                    *left = encoder.into_inner();
                }
                Ok(())
            }
            Work::Zstd(encoder) => encoder.do_finish(),
        }
    }

    /// What is encoded and not yet taken; the caller clears it.
    pub(crate) fn encoded(&mut self) -> &mut Vec<u8> {
        match &mut self.work {
            Work::Gzip(encoder) => encoder.get_mut(),
            Work::Brotli(Some(encoder), _) => encoder.get_mut(),
            Work::Brotli(None, left) => left,
            Work::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        AT_WORK.set(AT_WORK.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

    /// All that an independent decoder gets out of the start of a coded body.
    fn decode(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut decoder: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(encoded)),
            Coding::Br => Box::new(brotli::Decompressor::new(encoded, 4_096)),
            Coding::Zstd => Box::new(zstd::Decoder::new(encoded).unwrap()),
        };
        let (mut content, mut piece) = (Vec::new(), [0; 1_024]);
        while let Ok(n @ 1..) = decoder.read(&mut piece) {
            content.extend_from_slice(&piece[..n]);
        }
        content
    }

    /// Content with repetition and without, in pieces, each flushed or not.
    fn pieces() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
        let words = prop::collection::vec(prop::sample::select(vec!["<p>", "wharf ", "\n", "0", "été"]), 0..200)
            .prop_map(|words| words.concat().into_bytes());
        let noise = prop::collection::vec(any::<u8>(), 0..300);
        prop::collection::vec((prop_oneof![words, noise], any::<bool>()), 0..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_decoded_is_what_was_encoded(pieces in pieces(), is_length_known in any::<bool>()) {
            let whole: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.clone()).collect();
            let length = is_length_known.then_some(whole.len() as u64);
            for coding in ALL {
                let mut encoder = Encoder::new(coding, length).unwrap();
                let (mut encoded, mut so_far) = (Vec::new(), Vec::new());
                for (piece, flushed) in &pieces {
                    encoder.push(piece).unwrap();
                    so_far.extend_from_slice(piece);
                    if *flushed {
                        encoder.flush().unwrap();
                    }
                    encoded.append(encoder.encoded());
                    if *flushed {
                        prop_assert_eq!(&decode(coding, &encoded), &so_far, "{:?} is live after a flush", coding);
                    }
                }
                encoder.finish().unwrap();
                encoded.append(encoder.encoded());
                prop_assert_eq!(&decode(coding, &encoded), &whole, "{:?}", coding);
            }
        }
    }

    #[test]
    fn large_content_gets_small_and_is_bounded_in_number() {
        let page = "<li class=\"item\">one of many lines of a page</li>\n".repeat(40_000);
        for coding in ALL {
            let mut encoder = Encoder::new(coding, Some(page.len() as u64)).unwrap();
            for piece in page.as_bytes().chunks(60_000) {
                encoder.push(piece).unwrap();
            }
            encoder.finish().unwrap();
            let encoded = std::mem::take(encoder.encoded());
            assert!(encoded.len() < page.len() / 50, "{coding:?}: {} of {}", encoded.len(), page.len());
            assert_eq!(decode(coding, &encoded), page.as_bytes());
        }
        let held: Vec<_> = (0..MAX_AT_A_TIME).map(|_| Encoder::new(Coding::Gzip, None).unwrap()).collect();
        assert!(!has_room());
        drop(held);
        assert!(has_room());
    }
}
