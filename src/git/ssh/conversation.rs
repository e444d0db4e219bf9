//! What is said on one channel.

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use super::exec::Exec;
use crate::git::backend::{Access, Denied, Principal, Repo};
use crate::git::commands::Mode;
use crate::git::exchange::{CHUNKS_IN_FLIGHT, Chunk, End, Input};
use crate::git::path::RepoPath;
use crate::git::pktline;
use crate::git::service::{Git, PushRequest};

const LFS: &str = "Wharf does not store Git LFS files: a push would bring their pointers only.\n\
    Put the files into git itself (git lfs migrate export --include='*'), or load them from storage when the app starts.";

/// What the client wants.
pub(super) enum Wish {
    /// A command.
    Exec(Exec),
    /// A prompt, which there is none.
    Shell,
}

/// The context of a channel.
pub(super) struct Conversation {
    /// The room.
    pub git: Git,
    /// Who is there.
    pub principal: Principal,
    /// The client's `GIT_PROTOCOL`.
    pub protocol: Option<String>,
    /// Cancelled when the client has gone.
    pub over: CancellationToken,
}

impl Conversation {
    /// Has the conversation and closes the channel.
    pub(super) async fn hold(self, channel: Channel<Msg>, wish: Wish) {
        let (reading, writing) = channel.split();
        let code = match wish {
            Wish::Exec(Exec::Fetch(path)) => self.talk(path, Access::Read, reading, &writing).await,
            Wish::Exec(Exec::Push(path)) => self.talk(path, Access::Push, reading, &writing).await,
            Wish::Exec(Exec::Lfs) => say(&writing, LFS, 1).await,
            Wish::Exec(Exec::Unknown(command)) => {
                say(&writing, &format!("Wharf speaks git here and nothing else; it does not run `{command}`."), 1).await
            }
            Wish::Shell => {
                let text = format!(
                    "Hello {}! Wharf speaks git here; there is no shell.\n\
                     To deploy an app: git remote add wharf ssh://THIS-HOST:PORT/TENANT/APP.git && git push wharf main",
                    self.principal.name
                );
                say(&writing, &text, 0).await
            }
        };
        let _ = writing.exit_status(code).await;
        let _ = writing.eof().await;
        let _ = writing.close().await;
    }

    /// Lets git talk to the client; gives the exit code.
    async fn talk(
        &self,
        path: Option<RepoPath>,
        access: Access,
        reading: ChannelReadHalf,
        writing: &ChannelWriteHalf<Msg>,
    ) -> u32 {
        let (output, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let talk = async {
            match self.admit(path, access).await {
                Ok(repo) => self.serve(repo, access, input(reading), output).await,
                Err(denied) => {
                    let _ = output.send(Ok(pktline::error(&denied.to_string()).into())).await;
                    None
                }
            }
        };
        let (end, ()) = tokio::join!(talk, carry(chunks, writing, &self.over));
        match end {
            Some(End::Exited(status, _)) => status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(1),
            _ => 1,
        }
    }

    async fn admit(&self, path: Option<RepoPath>, access: Access) -> Result<Repo, Denied> {
        let path = path.ok_or(Denied::NotFound)?;
        self.git.backend().authorize(&self.principal, &path, access).await
    }

    async fn serve(&self, repo: Repo, access: Access, input: Input, output: mpsc::Sender<Chunk>) -> Option<End> {
        let turn = match access {
            Access::Read => self.git.fetch_turn().await,
            Access::Push => self.git.push_turn().await,
        };
        let (turn, directory) = match (turn, self.git.directory(&repo).await) {
            (Ok(turn), Ok(directory)) => (turn, directory),
            (Err(crowded), _) => {
                let _ = output.send(Ok(pktline::error(&crowded.to_string()).into())).await;
                return None;
            }
            (_, Err(denied)) => {
                let _ = output.send(Ok(pktline::error(&denied.to_string()).into())).await;
                return None;
            }
        };
        let end = match access {
            Access::Read => {
                let command = self.git.upload_pack(&directory, Mode::Duplex, self.protocol.as_deref());
                self.git.fetch(command, input, output, None).await
            }
            Access::Push => {
                let principal = self.principal.clone();
                self.git.push(PushRequest { repo, directory, principal, mode: Mode::Duplex, input, output }).await
            }
        };
        drop(turn);
        end
    }
}

/// What the client sends on the channel.
fn input(reading: ChannelReadHalf) -> Input {
    let chunks = futures_util::stream::unfold(reading, |mut reading| async {
        loop {
            match reading.wait().await {
                Some(ChannelMsg::Data { data }) => return Some((Ok::<_, std::io::Error>(data), reading)),
                None | Some(ChannelMsg::Eof | ChannelMsg::Close) => return None,
                Some(_) => {}
            }
        }
    });
    Box::new(StreamReader::new(Box::pin(chunks)))
}

/// Carries git's answer to the client. Returning early drops the receiver, which stops git.
async fn carry(mut chunks: mpsc::Receiver<Chunk>, writing: &ChannelWriteHalf<Msg>, over: &CancellationToken) {
    let carry = async {
        while let Some(Ok(chunk)) = chunks.recv().await {
            if writing.data_bytes(chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = carry => {}
        () = over.cancelled() => {}
    }
}

/// Prints lines for a person. Terminals in raw mode, as `ssh` sets them, need the carriage return.
async fn say(writing: &ChannelWriteHalf<Msg>, text: &str, code: u32) -> u32 {
    let text = format!("{}\r\n", text.replace('\n', "\r\n"));
    let _ = writing.extended_data_bytes(1, text.into_bytes()).await;
    code
}
