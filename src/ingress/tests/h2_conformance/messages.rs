//! RFC 9113 sections 6.10 and 8, and RFC 7541: header blocks, messages, and their compression.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn section_6_10_blocks_go_on_without_a_break() {
    let block = fields(&GET);
    let (start, middle, end) = (&block[..5], &block[5..20], &block[20..]);
    let first = frame(HEADERS, END_STREAM, 1, start);
    let connection: Want = Want::Connection(&[PROTOCOL_ERROR]);
    check(vec![
        (
            "several CONTINUATION",
            vec![first.clone(), frame(CONTINUATION, 0, 1, middle), frame(CONTINUATION, END_HEADERS, 1, end)],
            Want::Served(1),
        ),
        (
            "an empty CONTINUATION",
            vec![frame(HEADERS, END_STREAM, 1, &block), frame(CONTINUATION, END_HEADERS, 1, b"")],
            Want::Served(1),
        ),
        (
            "followed by DATA",
            vec![first.clone(), frame(CONTINUATION, 0, 1, middle), frame(DATA, END_STREAM, 1, b"x")],
            connection,
        ),
        ("on stream 0", vec![first.clone(), frame(CONTINUATION, END_HEADERS, 0, middle)], connection),
        ("of another stream", vec![first, frame(CONTINUATION, END_HEADERS, 3, middle)], connection),
        ("after END_HEADERS", vec![open(1), frame(CONTINUATION, END_HEADERS, 1, middle)], connection),
        (
            "after CONTINUATION with END_HEADERS",
            vec![
                frame(HEADERS, 0, 1, start),
                frame(CONTINUATION, END_HEADERS, 1, &block[5..]),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ],
            connection,
        ),
        ("after DATA", vec![open(1), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, middle)], connection),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_messages_are_well_formed() {
    let post = fields(&[(b":method", b"POST"), GET[1], GET[2], GET[3], (b"content-length", b"3")]);
    let head = frame(HEADERS, END_HEADERS, 1, &post);
    let trailers = |flags, list: &[(&[u8], &[u8])]| frame(HEADERS, flags, 1, &fields(list));
    let malformed: Want = Want::Stream(1, &[PROTOCOL_ERROR]);
    let body = || frame(DATA, 0, 1, b"abc");
    check(vec![
        ("8.1 trailers", vec![head.clone(), body(), trailers(5, &[(b"x-sum", b"1")])], Want::Served(1)),
        ("8.1 trailers that do not end", vec![head.clone(), body(), trailers(4, &[(b"x-sum", b"1")])], malformed),
        // The framing layer takes it off: it means nothing, and never reaches the upstream.
        (
            "8.1 pseudo header in trailers",
            vec![head.clone(), body(), trailers(5, &[(b":method", b"PUT")])],
            Want::Served(1),
        ),
        ("8.1.1 shorter than announced", vec![head.clone(), frame(DATA, END_STREAM, 1, b"ab")], malformed),
        ("8.1.1 shorter, with trailers", vec![head.clone(), trailers(5, &[(b"x", b"1")])], malformed),
        ("8.1.1 longer, in parts", vec![head.clone(), body(), frame(DATA, END_STREAM, 1, b"d")], malformed),
        ("8.1.1 as announced", vec![head, frame(DATA, END_STREAM, 1, b"abc")], Want::Served(1)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hpack_blocks_that_cannot_be_decoded_end_the_connection() {
    let bad: Want = Want::Connection(BAD_BLOCK);
    let block = |tail: &[u8]| vec![frame(HEADERS, 5, 1, &[&fields(&GET), tail].concat())];
    let update_first = |update: &[u8]| vec![frame(HEADERS, 5, 1, &[update, &fields(&GET)].concat())];
    check(vec![
        ("6.1 index 0", block(&[0x80]), bad),
        ("2.3.3 index beyond the tables", block(&[0xff, 0x80, 0x01]), bad),
        ("2.3.3 name beyond the tables", block(&[0x7f, 0x80, 0x01, 1, b'x']), bad),
        ("4.2 size update behind fields", block(&[0x20]), bad),
        ("6.3 size update over the setting", update_first(&[0x3f, 0xe2, 0xff, 0x7f]), bad),
        ("6.3 size update", update_first(&[0x3f, 0x01]), Want::Served(1)),
        ("5.1 integer that overflows", block(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), bad),
        ("5.2 a string longer than the block", block(&[0x00, 1, b'x', 9, b'y']), bad),
        ("5.2 Huffman", block(&[0x00, 1, b'x', 0x81, 0x07]), Want::Served(1)),
        ("5.2 padding of zeros", block(&[0x00, 1, b'x', 0x81, 0x00]), bad),
        ("5.2 padding over 7 bits", block(&[0x00, 1, b'x', 0x82, 0x07, 0xff]), bad),
        ("5.2 EOS in a string", block(&[0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]), bad),
        // The entry made by the first request serves the second one.
        (
            "2.3.2 the dynamic table lives on",
            vec![
                frame(HEADERS, 5, 1, &[&fields(&GET[..3])[..], &[0x44, 1, b'/']].concat()),
                frame(HEADERS, 5, 3, &[&fields(&GET[..3])[..], &[0xbe]].concat()),
            ],
            Want::Served(3),
        ),
    ])
    .await;
}
