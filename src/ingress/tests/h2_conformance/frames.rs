//! RFC 9113 sections 3 to 6: the preface, frames, streams and settings.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn section_3_4_the_preface_comes_first() {
    let (_servers, ingress) = start().await;
    let mut wire = ingress.connect().await;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let (kind, flags, stream, _) = next(&mut wire).await.unwrap();
    assert_eq!((kind, flags, stream), (SETTINGS, 0, 0), "the server's preface is SETTINGS");
    // Something else instead of the client's SETTINGS.
    wire.send(ping(1)).await;
    assert!(matches!(end_of(&mut wire, u32::MAX).await, End::GoAway(PROTOCOL_ERROR) | End::Closed));
    // Almost the preface: not HTTP/2, and no valid HTTP/1.1 either.
    let answer = ingress.raw("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 505 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn section_4_frames_have_their_size_and_what_is_unknown_is_ignored() {
    let too_long = vec![0; 16_385];
    check(vec![
        ("4.1 unknown type", vec![frame(0xaa, 0xff, 0, b"x")], Want::Alive),
        ("4.1 unknown flags", vec![frame(PING, 0xfe, 0, &[1; 8])], Want::Alive),
        ("4.1 reserved bit", vec![frame(PING, 0, 0x8000_0000, &[1; 8])], Want::Alive),
        ("4.2 DATA of 2^14", vec![open(1), frame(DATA, 0, 1, &too_long[1..])], Want::Alive),
        ("4.2 DATA over 2^14", vec![open(1), frame(DATA, 0, 1, &too_long)], Want::Stream(1, &[FRAME_SIZE_ERROR])),
        (
            "4.2 HEADERS over 2^14",
            vec![frame(HEADERS, END_HEADERS, 1, &too_long)],
            Want::Connection(&[FRAME_SIZE_ERROR]),
        ),
        ("4.3 invalid block", vec![frame(HEADERS, 5, 1, &[0x40])], Want::Connection(BAD_BLOCK)),
        (
            "4.3 PRIORITY inside a block",
            vec![frame(HEADERS, 1, 1, &fields(&GET[..2])), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 5])],
            Want::Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "4.3 HEADERS of another stream inside a block",
            vec![frame(HEADERS, 1, 1, &fields(&GET[..2])), get(3)],
            Want::Connection(&[PROTOCOL_ERROR]),
        ),
        ("5.5 unknown frame on a stream", vec![frame(0x16, 0, 1, &[0; 8])], Want::Alive),
        (
            "5.5 unknown frame inside a block",
            vec![frame(HEADERS, 1, 1, &fields(&GET)), frame(0x16, 0, 1, &[0; 8])],
            Want::Connection(&[PROTOCOL_ERROR]),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_5_streams_are_used_in_their_states() {
    let data = |stream| frame(DATA, END_STREAM, stream, b"x");
    let more = |stream| frame(CONTINUATION, END_HEADERS, stream, &fields(&GET));
    let closed: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    check(vec![
        ("5.1 DATA on an idle stream", vec![data(1)], Want::Connection(&[PROTOCOL_ERROR])),
        ("5.1 RST_STREAM on an idle stream", vec![reset(1, 8)], Want::Connection(&[PROTOCOL_ERROR])),
        ("5.1 WINDOW_UPDATE on an idle stream", vec![window(1, 100)], Want::Connection(&[PROTOCOL_ERROR])),
        ("5.1 CONTINUATION on an idle stream", vec![more(1)], Want::Connection(&[PROTOCOL_ERROR])),
        ("5.1 DATA, half closed", vec![half_closed(1), data(1)], Want::Stream(1, closed)),
        ("5.1 HEADERS, half closed", vec![half_closed(1), get(1)], Want::Stream(1, closed)),
        ("5.1 CONTINUATION, half closed", vec![half_closed(1), more(1)], Want::Connection(closed)),
        ("5.1 WINDOW_UPDATE, half closed", vec![half_closed(1), window(1, 1)], Want::Alive),
        ("5.1 PRIORITY, half closed", vec![half_closed(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 5])], Want::Alive),
        ("5.1 HEADERS after RST_STREAM", vec![open(1), reset(1, 8), get(1)], Want::Stream(1, closed)),
        ("5.1 CONTINUATION after RST_STREAM", vec![open(1), reset(1, 8), more(1)], Want::Connection(closed)),
        ("5.1 the next stream after RST_STREAM", vec![open(1), reset(1, 8), get(3)], Want::Served(3)),
        ("5.1 PRIORITY on an idle stream", vec![frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 5]), get(1)], Want::Served(1)),
        ("5.1.1 an even number", vec![get(2)], Want::Connection(&[PROTOCOL_ERROR])),
        ("5.1.1 a smaller number", vec![half_closed(5), get(3)], Want::Connection(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        (
            "5.3 HEADERS that depend on themselves",
            vec![frame(HEADERS, 5 | WITH_PRIORITY, 1, &[&[0, 0, 0, 1, 5][..], &fields(&GET)].concat())],
            Want::Stream(1, &[PROTOCOL_ERROR]),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_6_each_frame_is_on_its_stream_and_of_its_length() {
    let block = fields(&GET);
    let connection: Want = Want::Connection(&[PROTOCOL_ERROR]);
    let size: Want = Want::Connection(&[FRAME_SIZE_ERROR]);
    check(vec![
        ("6.1 DATA on stream 0", vec![frame(DATA, 0, 0, b"x")], connection),
        ("6.1 padding over the length", vec![open(1), frame(DATA, PADDED, 1, &[5, 1, 2])], connection),
        ("6.1 padding", vec![open(1), frame(DATA, PADDED, 1, &[2, b'x', 0, 0])], Want::Alive),
        ("6.2 HEADERS on stream 0", vec![frame(HEADERS, 5, 0, &block)], connection),
        ("6.2 padding over the length", vec![frame(HEADERS, 5 | PADDED, 1, &[9, 0x82, 0x84])], connection),
        ("6.2 padding", vec![frame(HEADERS, 5 | PADDED, 1, &[&[2][..], &block, &[0, 0]].concat())], Want::Served(1)),
        (
            "6.2 priority fields",
            vec![frame(HEADERS, 5 | WITH_PRIORITY, 1, &[&[0, 0, 0, 0, 5][..], &block].concat())],
            Want::Served(1),
        ),
        ("6.3 PRIORITY on stream 0", vec![frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 5])], connection),
        (
            "6.3 PRIORITY of 4 octets",
            vec![open(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 1])],
            Want::Stream(1, &[FRAME_SIZE_ERROR]),
        ),
        ("6.4 RST_STREAM on stream 0", vec![reset(0, 8)], connection),
        ("6.4 RST_STREAM of 3 octets", vec![open(1), frame(RST_STREAM, 0, 1, &[0; 3])], size),
        ("6.6 PUSH_PROMISE from a client", vec![open(1), frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2])], connection),
        ("6.7 PING on a stream", vec![frame(PING, 0, 1, &[0; 8])], connection),
        ("6.7 PING of 6 octets", vec![frame(PING, 0, 0, &[0; 6])], size),
        ("6.7 PING with ACK", vec![frame(PING, ACK, 0, &[9; 8])], Want::Alive),
        ("6.8 GOAWAY on a stream", vec![frame(GOAWAY, 0, 1, &[0; 8])], connection),
        ("6.8 GOAWAY lets open streams end", vec![get(1), frame(GOAWAY, 0, 0, &[0; 8])], Want::Served(1)),
        ("7 an unknown error code", vec![open(1), reset(1, 0xff), get(3)], Want::Served(3)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_6_5_settings_are_checked_and_acknowledged() {
    check(vec![
        ("ACK with content", vec![frame(SETTINGS, ACK, 0, &[0; 6])], Want::Connection(&[FRAME_SIZE_ERROR])),
        ("on a stream", vec![frame(SETTINGS, 0, 1, &[])], Want::Connection(&[PROTOCOL_ERROR])),
        ("of 3 octets", vec![frame(SETTINGS, 0, 0, &[0; 3])], Want::Connection(&[FRAME_SIZE_ERROR])),
        ("ENABLE_PUSH of 2", vec![setting(2, 2)], Want::Connection(&[PROTOCOL_ERROR])),
        (
            "INITIAL_WINDOW_SIZE of 2^31",
            vec![setting(4, 1 << 31)],
            Want::Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ),
        ("MAX_FRAME_SIZE below 2^14", vec![setting(5, 16_383)], Want::Connection(&[PROTOCOL_ERROR])),
        ("MAX_FRAME_SIZE of 2^24", vec![setting(5, 1 << 24)], Want::Connection(&[PROTOCOL_ERROR])),
        ("ENABLE_CONNECT_PROTOCOL of 2", vec![setting(8, 2)], Want::Connection(&[PROTOCOL_ERROR])),
        ("an unknown setting", vec![setting(0xff, 1)], Want::Alive),
    ])
    .await;
    // Each SETTINGS is acknowledged, in order (section 6.5.3).
    let (_servers, ingress) = start().await;
    let mut wire = raw(&ingress).await;
    wire.send([setting(4, 100), setting(4, 200)].concat()).await;
    let mut acknowledged = 0;
    while acknowledged < 3 {
        let (kind, flags, stream, payload) = next(&mut wire).await.unwrap();
        if (kind, flags) == (SETTINGS, ACK) {
            assert_eq!((stream, payload.len()), (0, 0));
            acknowledged += 1;
        }
    }
}
