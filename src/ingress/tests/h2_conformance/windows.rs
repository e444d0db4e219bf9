//! RFC 9113 section 6.9: flow control, both ways.

use super::*;

/// The content of a stream that comes until a PING sent now is answered.
async fn content(wire: &mut Wire, stream: u32, tag: u8) -> Vec<u8> {
    wire.send(ping(tag)).await;
    let mut content = Vec::new();
    while let Some((kind, flags, on, payload)) = next(wire).await {
        match kind {
            DATA if on == stream => content.extend(payload),
            PING if flags == ACK && payload == [tag; 8] => return content,
            SETTINGS if flags == 0 => wire.send(frame(SETTINGS, ACK, 0, &[])).await,
            RST_STREAM | GOAWAY => panic!("frame {kind}: {payload:?}"),
            _ => {}
        }
    }
    panic!("closed");
}

/// Reads on until this much content of the stream has come, and not one octet more.
async fn content_of(wire: &mut Wire, stream: u32, want: &[u8]) {
    let mut got = Vec::new();
    let mut tag = 100;
    while got.len() < want.len() {
        tag += 1;
        got.extend(content(wire, stream, tag % 250).await);
    }
    got.extend(content(wire, stream, 99).await);
    assert_eq!(got, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn section_6_9_windows_are_kept_to() {
    let overflow: &[u32] = &[FLOW_CONTROL_ERROR];
    check(vec![
        ("no increment, connection", vec![window(0, 0)], Want::Connection(&[PROTOCOL_ERROR])),
        ("no increment, stream", vec![open(1), window(1, 0)], Want::Stream(1, &[PROTOCOL_ERROR])),
        ("of 3 octets", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], Want::Connection(&[FRAME_SIZE_ERROR])),
        ("over 2^31-1, connection", vec![window(0, 0x7fff_ffff), window(0, 1)], Want::Connection(overflow)),
        ("over 2^31-1, stream", vec![open(1), window(1, 0x7fff_ffff), window(1, 1)], Want::Stream(1, overflow)),
        (
            "over 2^31-1 by settings",
            vec![open(1), window(1, 0x7fff_0000), setting(4, 0x7fff_ffff)],
            Want::Connection(overflow),
        ),
    ])
    .await;
    let (_servers, ingress) = start().await;
    // The window is the client's to open: one octet at first, then the rest.
    let mut wire = raw(&ingress).await;
    wire.send([setting(4, 1), get(1)].concat()).await;
    content_of(&mut wire, 1, b"h").await;
    wire.send(window(1, 2)).await;
    content_of(&mut wire, 1, b"el").await;
    // Settings change the windows of open streams, and may make one negative (section 6.9.2).
    wire.send(setting(4, 0)).await;
    wire.send(window(1, 1)).await;
    content_of(&mut wire, 1, b"").await;
    wire.send(window(1, 1)).await;
    content_of(&mut wire, 1, b"l").await;
    wire.send(setting(4, 10)).await;
    content_of(&mut wire, 1, b"o").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_6_9_a_client_that_ignores_our_window_is_refused() {
    let (_servers, ingress) = start().await;
    let mut wire = raw(&ingress).await;
    wire.send(open(1)).await;
    // The upstream takes nothing in, so the windows (at most 1 MiB) never open again.
    for _ in 0..200 {
        wire.send(frame(DATA, 0, 1, &[0; 16_384])).await;
    }
    let end = end_of(&mut wire, 1).await;
    assert!(matches!(end, End::Reset(FLOW_CONTROL_ERROR) | End::GoAway(FLOW_CONTROL_ERROR)), "{end:?}");
}
