//! Bodies of fetch requests that git compressed.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{Stream, StreamExt};

/// Compressed bytes inflated at once. gzip grows at most about a thousandfold, so a step holds a megabyte at most.
const STEP: usize = 1024;
/// Largest inflated request, in bytes; a negotiation of a huge repository stays far below.
const MAX_INFLATED: usize = 64 * 1024 * 1024;

struct Inflation<S> {
    source: S,
    rest: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
    total: usize,
    ended: bool,
}

/// Inflates a stream of gzip data.
pub(super) fn inflate<S>(source: S) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin,
{
    let start =
        Inflation { source, rest: Bytes::new(), decoder: MultiGzDecoder::new(Vec::new()), total: 0, ended: false };
    futures_util::stream::try_unfold(start, |mut state| async move {
        while !state.ended {
            if state.rest.is_empty() {
                match state.source.next().await {
                    Some(chunk) => state.rest = chunk?,
                    None => {
                        state.decoder.try_finish()?;
                        state.ended = true;
                    }
                }
            }
            let step = state.rest.split_to(state.rest.len().min(STEP));
            state.decoder.write_all(&step)?;
            let inflated = std::mem::take(state.decoder.get_mut());
            state.total += inflated.len();
            if state.total > MAX_INFLATED {
                return Err(io::Error::other("the request is too large once inflated"));
            }
            if !inflated.is_empty() {
                return Ok(Some((Bytes::from(inflated), state)));
            }
        }
        Ok(None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn round_trip(chunks: Vec<Bytes>) -> io::Result<Vec<u8>> {
        let mut stream = std::pin::pin!(inflate(futures_util::stream::iter(chunks.into_iter().map(Ok))));
        let mut out = Vec::new();
        while let Some(chunk) = stream.next().await {
            out.extend_from_slice(&chunk?);
        }
        Ok(out)
    }

    fn compress(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn it_inflates_whatever_the_chunks() {
        let data: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let compressed = compress(&data);
        for size in [1, 7, 5000, compressed.len()] {
            let chunks = compressed.chunks(size).map(Bytes::copy_from_slice).collect();
            assert_eq!(round_trip(chunks).await.unwrap(), data);
        }
    }

    #[tokio::test]
    async fn it_refuses_bombs_and_damage() {
        let bomb = compress(&vec![0; MAX_INFLATED + 1]);
        assert!(round_trip(vec![bomb.into()]).await.is_err());
        let mut damaged = compress(b"hello hello hello");
        damaged.truncate(damaged.len() - 6);
        assert!(round_trip(vec![damaged.into()]).await.is_err());
        assert!(round_trip(vec![Bytes::from_static(b"not gzip")]).await.is_err());
    }
}
