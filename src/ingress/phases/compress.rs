//! Compression of answers, the first response filter: decides by the heads of request and response whether and how, and
//! encodes the body as it streams. Memory per answer is bounded; what has come is flushed on before more is waited
//! for where the length is not known (server-sent events stay live).
//!
//! Left alone: what is encoded already, parts of a whole (206), answers without a body, `no-transform`, types that do
//! not compress, and answers too small to gain. An answer that could have been compressed says `Vary: Accept-Encoding`
//! in any case, for caches.

use crate::ingress::buffer::Buffer;
use crate::ingress::encoder::{self, Encoder};
use crate::ingress::h1::header::tokens;
use crate::ingress::h1::response::{Framing, ResponseHead};
use crate::ingress::relay::{self, Body, Output, Pace, RelayError};
use crate::ingress::snapshot::{Coding, Compression};
use crate::ingress::socket::Transport;

/// Types worth it, beside `text/*` and those ending in `+json` or `+xml`.
const TYPES: [&[u8]; 13] = [
    b"application/ecmascript",
    b"application/javascript",
    b"application/json",
    b"application/vnd.ms-fontobject",
    b"application/wasm",
    b"application/x-javascript",
    b"application/x-ndjson",
    b"application/xml",
    b"font/otf",
    b"font/ttf",
    b"image/bmp",
    b"image/vnd.microsoft.icon",
    b"image/x-icon",
];

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Decision {
    #[default]
    Leave,
    /// Sent as it is, but another client would get it encoded.
    Vary,
    Encode(Coding),
}

/// Decides by `Accept-Encoding` and the head of the answer.
pub(crate) fn decide(rules: &Compression, accepts: &[u8], head: &ResponseHead, bytes: &[u8]) -> Decision {
    let find = |name: &[u8]| {
        let mut named = head.lines.iter().filter(|line| line.name.get(bytes).eq_ignore_ascii_case(name));
        named.next().map(|line| line.value.get(bytes))
    };
    let has_body = head.framing != Framing::None && head.status >= 200;
    let is_part = head.status == 206 || find(b"content-range").is_some();
    let is_encoded = find(b"content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let is_fixed =
        find(b"cache-control").is_some_and(|list| tokens(list).any(|one| one.eq_ignore_ascii_case(b"no-transform")));
    let is_small = matches!(head.framing, Framing::Length(length) if length < rules.min_bytes);
    let fits = find(b"content-type").is_some_and(is_compressible);
    // Encoding a body means to make new chunks of it, and trailers would be lost.
    let has_trailers = find(b"trailer").is_some();
    if !has_body || is_part || is_encoded || is_fixed || is_small || !fits || has_trailers {
        return Decision::Leave;
    }
    negotiate(&rules.codings, accepts).filter(|_| encoder::has_room()).map_or(Decision::Vary, Decision::Encode)
}

fn is_compressible(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    // Messages of gRPC are compressed by themselves, and its calls end in trailers.
    if kind.starts_with(b"application/grpc") {
        return false;
    }
    kind.starts_with(b"text/") || kind.ends_with(b"+json") || kind.ends_with(b"+xml") || TYPES.contains(&&*kind)
}

/// The coding the client likes best, in the route's order among equals; `None` when it likes none, or none as much as the plain answer.
pub(crate) fn negotiate(offered: &[Coding], accepts: &[u8]) -> Option<Coding> {
    let quality = |name: &[u8]| {
        tokens(accepts).find_map(|part| {
            let (coding, parameters) = part.split_at(part.iter().position(|byte| *byte == b';').unwrap_or(part.len()));
            coding.trim_ascii().eq_ignore_ascii_case(name).then(|| weight(parameters))
        })
    };
    let any = quality(b"*").unwrap_or(0);
    let plain = quality(b"identity").unwrap_or(0);
    let mut best: Option<(Coding, u32)> = None;
    for coding in offered {
        let liked = quality(encoder::name(*coding).as_bytes()).unwrap_or(any);
        if liked > 0 && liked >= plain && best.is_none_or(|(_, other)| liked > other) {
            best = Some((*coding, liked));
        }
    }
    best.map(|(coding, _)| coding)
}

/// `;q=0.8` in thousandths; 1000 without, 0 when it cannot be read.
fn weight(parameters: &[u8]) -> u32 {
    let Some(value) = parameters
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .find_map(|one| one.strip_prefix(b"q=").or_else(|| one.strip_prefix(b"Q=")))
    else {
        return 1_000;
    };
    let quality = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (quality.clamp(0.0, 1.0) * 1_000.0) as u32
}

/// Moves the body of a response, encoded, in chunks; `out` holds the head. Returns the bytes sent.
pub(crate) async fn relay_encoded(
    source: &mut impl Transport,
    input: &mut Buffer,
    sink: &mut impl Transport,
    out: &mut Vec<u8>,
    (framing, coding): (Framing, Coding),
    pace: Pace<'_>,
) -> Result<u64, RelayError> {
    let mut body = Body::of_response(framing, Output::Plain);
    let mut encoder = Encoder::new(coding, body.remaining()).map_err(|_| RelayError::Source)?;
    let (mut content, mut sent, mut ended) = (Vec::new(), 0, false);
    loop {
        let used = body.transform(input.unread(), &mut content)?;
        input.consume(used);
        let is_last = body.is_done() || ended;
        encoder.push(&content).map_err(|_| RelayError::Source)?;
        content.clear();
        if is_last {
            encoder.finish().map_err(|_| RelayError::Source)?;
        } else if !matches!(framing, Framing::Length(_)) {
            encoder.flush().map_err(|_| RelayError::Source)?;
        }
        put_chunk(encoder.encoded(), out);
        if is_last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        if !out.is_empty() {
            relay::write(sink, out, pace).await?;
            sent += out.len() as u64;
            out.clear();
        }
        if is_last {
            return Ok(sent);
        }
        // Encoding is work: the thread's other connections have their turn in between.
        tokio::task::yield_now().await;
        match pace.slot.within(pace.idle, input.fill(source)).await {
            Err(_) => return Err(RelayError::SourceTimeout),
            Ok(Err(_)) => return Err(RelayError::Source),
            Ok(Ok(0)) if framing == Framing::UntilClose => ended = true,
            Ok(Ok(0)) => return Err(RelayError::Source),
            Ok(Ok(_)) => {}
        }
    }
}

/// Appends what is encoded so far as a chunk of HTTP/1.1.
fn put_chunk(encoded: &mut Vec<u8>, out: &mut Vec<u8>) {
    if !encoded.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", encoded.len()).as_bytes());
        out.append(encoded);
        out.extend_from_slice(b"\r\n");
    }
}
