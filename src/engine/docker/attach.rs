//! One-off commands with a terminal or pipes. The bytes are taken from the connection as they come: bollard's
//! decoder guesses whether output is framed, which goes wrong for terminal output that begins with a control byte.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use http::Method;
use hyper_util::rt::TokioIo;
use tokio_util::codec::{Decoder, FramedRead};

use super::{DockerEngine, convert, errors};
use crate::engine::{Attached, EngineError, InstanceSpec, OutputStream};

impl DockerEngine {
    pub(super) async fn attach_container(&self, spec: &InstanceSpec) -> Result<(String, Attached), EngineError> {
        let spec = &*self.complete(spec);
        let name = convert::container_name(&self.installation, spec);
        // A terminal belongs to one run; a second one under the same operation would share its input.
        let Some(id) = self.create_container(spec, true).await? else {
            return Err(EngineError::Refused(format!("the one-off container {name} exists already")));
        };
        let attached = match self.furnish(&id, spec).await {
            Ok(()) => self.attach_and_start(&id, spec.tty).await,
            Err(error) => Err(error),
        };
        match attached {
            Ok(attached) => Ok((id, attached)),
            Err(e) => {
                if let Err(error) = self.remove_container(&id).await {
                    tracing::warn!(container.id = %id, %error, "a one-off container that did not start was left behind");
                }
                Err(e)
            }
        }
    }

    /// Attaches first, so that nothing the command prints is missed.
    async fn attach_and_start(&self, id: &str, tty: bool) -> Result<Attached, EngineError> {
        let path = format!("/containers/{id}/attach");
        let query = ["stream", "stdin", "stdout", "stderr"].map(|flag| (flag, "1".to_owned())).into();
        let stream = self.call(Method::POST, &path, query).await?.upgrade("tcp").await?;
        let (read, write) = tokio::io::split(TokioIo::new(stream));
        self.start_by_id(id).await?;
        let output = FramedRead::new(read, Output { tty })
            .map(|chunk| chunk.map_err(|e| EngineError::Unreachable(e.to_string())))
            .boxed();
        Ok(Attached { output, input: Box::pin(write) })
    }

    pub(super) async fn resize_terminal(&self, id: &str, columns: u16, rows: u16) -> Result<(), EngineError> {
        self.inspect_own(id).await?;
        let options = bollard::query_parameters::ResizeContainerTTYOptionsBuilder::new()
            .h(i32::from(rows))
            .w(i32::from(columns))
            .build();
        self.client().await?.resize_container_tty(id, options).await.map_err(|e| errors::engine(&e, id))
    }
}

/// Splits the attached stream: raw bytes with a terminal, else frames with an 8-byte head
/// (stream number, three zeros, length in big-endian).
#[derive(Debug)]
struct Output {
    tty: bool,
}

impl Decoder for Output {
    type Item = (OutputStream, Bytes);
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        if source.is_empty() {
            return Ok(None);
        }
        if self.tty {
            return Ok(Some((OutputStream::Stdout, source.split().freeze())));
        }
        let Some(head) = source.get(..8) else { return Ok(None) };
        let stream = if head[0] == 2 { OutputStream::Stderr } else { OutputStream::Stdout };
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if source.len() < 8 + length {
            return Ok(None);
        }
        source.advance(8);
        Ok(Some((stream, source.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_frames_wherever_they_are_cut() {
        let whole = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err";
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            let mut seen = Vec::new();
            while let Some(item) = (Output { tty: false }).decode(&mut buffer).unwrap() {
                seen.push(item);
            }
            buffer.extend_from_slice(&whole[cut..]);
            while let Some(item) = (Output { tty: false }).decode(&mut buffer).unwrap() {
                seen.push(item);
            }
            assert_eq!(seen, [(OutputStream::Stdout, "out".into()), (OutputStream::Stderr, "err".into())]);
        }
    }

    #[test]
    fn a_terminal_is_raw() {
        let mut buffer = BytesMut::from(&b"\x01\x1b[0m"[..]);
        assert_eq!(
            Output { tty: true }.decode(&mut buffer).unwrap(),
            Some((OutputStream::Stdout, "\x01\x1b[0m".into()))
        );
    }
}
