//! One connection: who is there, and which channels they have opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio_util::sync::CancellationToken;

use super::Signs;
use super::conversation::{Conversation, Wish};
use super::exec;
use crate::git::backend::{Credential, Denied, Principal};
use crate::git::service::{Git, checked_protocol};
use crate::tenancy::ssh_keys::{self as keys, PublicKeyInfo};

/// Channels a connection may have open at once. git needs one; a shared connection of a CI system a few.
const MAX_CHANNELS: usize = 8;

/// A channel that was opened and has not been told what to do yet, or is at it.
struct Open {
    /// Taken when a conversation begins.
    channel: Option<Channel<Msg>>,
    /// The client's `GIT_PROTOCOL`.
    protocol: Option<String>,
    /// Cancelled when the client closes the channel or the connection ends.
    over: CancellationToken,
}

/// The state of a connection.
pub(super) struct Connection {
    git: Git,
    signs: Arc<Signs>,
    over: CancellationToken,
    principal: Option<Principal>,
    channels: HashMap<ChannelId, Open>,
}

impl Connection {
    pub(super) fn new(git: Git, signs: Arc<Signs>, over: CancellationToken) -> Self {
        Self { git, signs, over, principal: None, channels: HashMap::new() }
    }

    /// Starts the one conversation of a channel; a second request on it is refused.
    fn converse(&mut self, id: ChannelId, wish: Wish, session: &mut Session) -> Result<(), russh::Error> {
        let (Some(open), Some(principal)) = (self.channels.get_mut(&id), self.principal.clone()) else {
            return session.channel_failure(id);
        };
        let Some(channel) = open.channel.take() else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let conversation =
            Conversation { git: self.git.clone(), principal, protocol: open.protocol.take(), over: open.over.clone() };
        let signs = self.signs.clone();
        signs.conversations.fetch_add(1, Ordering::Relaxed);
        self.git.spawn(async move {
            conversation.hold(channel, wish).await;
            signs.conversations.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }
}

/// A key worth asking the backend about. RSA with SHA-1 signatures is none.
fn acceptable(key: &PublicKey, algorithm: &Algorithm) -> Option<PublicKeyInfo> {
    if matches!(algorithm, Algorithm::Rsa { hash: None }) {
        return None;
    }
    keys::describe(key).ok()
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let Some(key) = acceptable(offer.public_key, offer.algorithm) else { return Ok(Auth::reject()) };
        Ok(if self.git.backend().recognises(&key).await { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let Some(info) = acceptable(key.public_key, key.algorithm) else { return Ok(Auth::reject()) };
        match self.git.backend().authenticate(Credential::SshKey(info)).await {
            Ok(principal) => {
                self.principal = Some(principal);
                self.signs.authenticated.store(true, Ordering::Relaxed);
                Ok(Auth::Accept)
            }
            Err(denied) => {
                if denied != Denied::Unauthenticated {
                    tracing::warn!(reason = %denied, "an SSH key could not be checked");
                }
                Ok(Auth::reject())
            }
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() >= MAX_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let open = Open { protocol: None, over: self.over.child_token(), channel: None };
        self.channels.insert(channel.id(), Open { channel: Some(channel), ..open });
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.remove(&id) {
            open.over.cancel();
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match (self.channels.get_mut(&id), name, checked_protocol(value)) {
            (Some(open), "GIT_PROTOCOL", Some(protocol)) => {
                open.protocol = Some(protocol);
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn exec_request(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.converse(id, Wish::Exec(exec::parse(data)), session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.converse(id, Wish::Shell, session)
    }

    /// Granted so that `ssh` goes on to ask for a shell, and gets its friendly answer.
    async fn pty_request(
        &mut self,
        id: ChannelId,
        _terminal: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        tracing::debug!(name, "an SSH subsystem was asked for and refused");
        session.channel_failure(id)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }
}
