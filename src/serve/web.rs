//! Everything that answers HTTP, on one Unix socket behind the ingress.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::system::Info;
use crate::api::access::Guard;
use crate::api::{self, ApiState, UPLOAD_LIMIT};
use crate::apps::Apps;
use crate::git::{self, Git};
use crate::ingress::snapshot::{Owner, Policy, Route, Upstream, UpstreamAddress};
use crate::kernel::clock::Clock;
use crate::kernel::random::Random;
use crate::portal;
use crate::store::Store;

/// How long requests may go on after a stop was asked for. Logs that are followed would never end by themselves;
/// whoever follows them takes up where they were with the next control plane.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What the answers are made from.
pub(super) struct Web {
    pub(super) apps: Apps,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) git: Git,
    pub(super) info: Info,
}

/// The portal's own route: like any other, but to a socket, and without limits that a push would meet.
pub(super) fn route(host: &str, socket: &Path) -> Route {
    Route {
        id: "wharf-portal".to_owned(),
        hosts: vec![host.to_owned()],
        upstreams: vec![Upstream {
            id: "wharf-portal".to_owned(),
            address: UpstreamAddress::Unix(PathBuf::from(socket)),
            weight: 1,
            draining: false,
            backend: String::new(),
        }],
        owner: Owner { service: "wharf".to_owned(), ..Owner::default() },
        policy: Policy {
            max_body: None,
            // A push answers when it is deployed, and says something all the while.
            response_timeout_ms: 2 * 3600 * 1000,
            ..Policy::default()
        },
        ..Route::default()
    }
}

/// The socket, for root only: whoever reaches it past the ingress still needs a credential.
pub(super) fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until told to stop.
pub(super) async fn serve(web: Web, listener: UnixListener, stop: CancellationToken) {
    let Web { apps, store, clock, random, git, info } = web;
    let guard = Guard::new(store, clock.clone());
    let state = ApiState::new(
        apps.clone(),
        guard.clone(),
        clock.clone(),
        random.clone(),
        std::sync::Arc::new(info),
        UPLOAD_LIMIT,
    );
    let router = api::router(state)
        .merge(portal::router(portal::PortalState::new(apps, guard, clock, random)))
        .into_router()
        .merge(git::http::router(git));
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        served = served.into_future() => {
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP service has ended");
            }
        }
        () = patience => {}
    }
}
