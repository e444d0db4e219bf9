//! Sends the body of a message as far as the peer's window allows.

use std::io;
use std::task::{Context, Poll, ready};

use ::h2::SendStream;
use bytes::Bytes;

use super::framing::Deframer;
use super::{PIECE, broken};

/// Takes a body out of its HTTP/1.1 framing and sends it; how many bytes were used, and whether it ended there.
pub(super) fn poll_body(
    send: &mut SendStream<Bytes>,
    framing: &mut Deframer,
    input: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<(usize, bool)>> {
    let mut used = 0;
    // Content waits for what comes behind it: the end of the body belongs into the same frame.
    let mut held = Bytes::new();
    while used < input.len() {
        let rest = &input[used..];
        let mut room = 0;
        if framing.wants_content() {
            send_held(send, &mut held)?;
            match poll_room(send, rest.len().min(PIECE), cx) {
                Poll::Ready(given) => room = given?,
                Poll::Pending if used > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        let piece = framing.next(rest, room)?;
        used += piece.used;
        if !piece.content.is_empty() {
            held = Bytes::copy_from_slice(&rest[piece.content]);
        }
        if piece.end {
            match framing.trailers() {
                None => send.send_data(held, true),
                Some(trailers) => {
                    send_held(send, &mut held)?;
                    send.send_trailers(trailers)
                }
            }
            .map_err(broken)?;
            return Poll::Ready(Ok((used, true)));
        }
        if piece.used == 0 {
            break;
        }
    }
    send_held(send, &mut held)?;
    Poll::Ready(Ok((used, false)))
}

fn send_held(send: &mut SendStream<Bytes>, held: &mut Bytes) -> io::Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    send.send_data(std::mem::take(held), false).map_err(broken)
}

/// Waits for a window; how many bytes may be sent, at most `wanted`.
fn poll_room(send: &mut SendStream<Bytes>, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    if send.capacity() < wanted {
        send.reserve_capacity(wanted);
    }
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
    Poll::Ready(Ok(send.capacity().min(wanted)))
}
