//! git over HTTP: the smart protocol, three requests to each repository.
//!
//! The answers stream: whoever mounts these routes must not put a body limit, a timeout or compression around them.

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, body};
use base64::Engine as _;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use super::backend::{Access, Credential, Denied, Principal, Repo};
use super::commands::{Mode, Service};
use super::exchange::{CHUNKS_IN_FLIGHT, Chunk, Input};
use super::path::RepoPath;
use super::pktline;
use super::service::{Crowded, Git, PushRequest};
use crate::kernel::secret::Secret;

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Which references are there; opens a fetch or a push. Opening a push asks for [`Access::Push`] in addition.
    Advertise,
    /// Clone and fetch.
    Fetch,
    /// Push and deploy.
    Push,
}

/// One route with what it needs at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GitRoute {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path in axum's notation. `{project}` and `{environment}` may end with `.git` when they come last.
    pub path: &'static str,
    /// What the caller must be allowed to do.
    pub access: Access,
    /// What it does.
    pub endpoint: Endpoint,
}

const fn route(method: &'static str, path: &'static str, access: Access, endpoint: Endpoint) -> GitRoute {
    GitRoute { method, path, access, endpoint }
}

/// Every route of this room. [`router`] is made from this list, so the two cannot differ. Each handler checks its
/// access itself, through [`super::GitBackend::authorize`].
pub const ROUTES: [GitRoute; 6] = [
    route("GET", "/git/{tenant}/{project}/info/refs", Access::Read, Endpoint::Advertise),
    route("POST", "/git/{tenant}/{project}/git-upload-pack", Access::Read, Endpoint::Fetch),
    route("POST", "/git/{tenant}/{project}/git-receive-pack", Access::Push, Endpoint::Push),
    route("GET", "/git/{tenant}/{project}/{environment}/info/refs", Access::Read, Endpoint::Advertise),
    route("POST", "/git/{tenant}/{project}/{environment}/git-upload-pack", Access::Read, Endpoint::Fetch),
    route("POST", "/git/{tenant}/{project}/{environment}/git-receive-pack", Access::Push, Endpoint::Push),
];

/// All routes of [`ROUTES`] with their handlers.
pub fn router(git: Git) -> Router {
    ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, handler(route.endpoint))).with_state(git)
}

/// The handler of one route, for those who mount them one by one; the state is the room.
pub fn handler(endpoint: Endpoint) -> MethodRouter<Git> {
    match endpoint {
        Endpoint::Advertise => get(advertise),
        Endpoint::Fetch => post(fetch),
        Endpoint::Push => post(push),
    }
}

/// The path's segments as axum captures them.
#[derive(Debug, serde::Deserialize)]
struct Segments {
    tenant: String,
    project: String,
    environment: Option<String>,
}

impl Segments {
    fn path(&self) -> Result<RepoPath, Denied> {
        RepoPath::from_segments(&self.tenant, &self.project, self.environment.as_deref()).ok_or(Denied::NotFound)
    }
}

/// A refusal as git shows it: text bodies of errors are printed as `remote:` lines.
struct Refusal(Denied);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Denied::Unauthenticated => StatusCode::UNAUTHORIZED,
            Denied::NotFound => StatusCode::NOT_FOUND,
            Denied::Forbidden(_) => StatusCode::FORBIDDEN,
            Denied::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = (status, format!("{}\n", self.0)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Wharf: use an API token as password\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self(denied)
    }
}

impl From<Crowded> for Refusal {
    fn from(crowded: Crowded) -> Self {
        Self(Denied::Unavailable(crowded.to_string()))
    }
}

/// Authenticates, then authorises by the path.
async fn admit(
    git: &Git,
    headers: &HeaderMap,
    segments: &Segments,
    access: Access,
) -> Result<(Principal, Repo), Refusal> {
    let token = token(headers).ok_or(Denied::Unauthenticated)?;
    let principal = git.backend().authenticate(Credential::Token(token)).await?;
    let repo = git.backend().authorize(&principal, &segments.path()?, access).await?;
    Ok((principal, repo))
}

/// The API token: the password of HTTP Basic (the user name is ignored), or a bearer token.
fn token(headers: &HeaderMap) -> Option<Secret<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Secret::new(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (_user, password) = text.split_once(':')?;
    (!password.is_empty()).then(|| Secret::new(password.to_owned()))
}

async fn advertise(
    State(git): State<Git>,
    Path(segments): Path<Segments>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asked = query.unwrap_or_default();
    let service = asked.split('&').find_map(|pair| match pair {
        "service=git-upload-pack" => Some(Service::UploadPack),
        "service=git-receive-pack" => Some(Service::ReceivePack),
        _ => None,
    });
    // Whoever asks for something else is let in like a reader first, so that nothing shows to strangers.
    let access = if service == Some(Service::ReceivePack) { Access::Push } else { Access::Read };
    let (_, repo) = admit(&git, &headers, &segments, access).await?;
    let Some(service) = service else {
        let text = "this server speaks git's smart HTTP protocol only; use a git client (1.6.6 or newer)";
        return Err(Denied::Forbidden(text.to_owned()).into());
    };
    let directory = git.directory(&repo).await?;
    let (output, body) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let protocol = protocol(&headers);
    let command = match service {
        Service::UploadPack => git.upload_pack(&directory, Mode::Advertise, protocol.as_deref()),
        Service::ReceivePack => git.advertise_push(&directory),
    };
    // Version 2 of the protocol, which exists for fetches only, leaves the service's name out.
    if service == Service::ReceivePack || !protocol.is_some_and(|p| p.contains("version=2")) {
        let _ = output.send(Ok(pktline::service_header(service.name()))).await;
    }
    let answer = answer(&format!("application/x-{}-advertisement", service.name()), body);
    if service == Service::ReceivePack
        && let Err(busy) = git.backend().ready_for_push(&repo).await
    {
        let _ = output.send(Ok(pktline::error(&busy.0).into())).await;
        return Ok(answer);
    }
    let turn = git.fetch_turn().await?;
    git.clone().spawn(async move {
        git.fetch(command, Box::new(tokio::io::empty()), output, None).await;
        drop(turn);
    });
    Ok(answer)
}

async fn fetch(State(git): State<Git>, Path(segments): Path<Segments>, request: Request) -> Result<Response, Refusal> {
    let (_, repo) = admit(&git, request.headers(), &segments, Access::Read).await?;
    expect_type(&request, Service::UploadPack)?;
    let directory = git.directory(&repo).await?;
    let command = git.upload_pack(&directory, Mode::Rpc, protocol(request.headers()).as_deref());
    let (output, body) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let input = input(request)?;
    let turn = git.fetch_turn().await?;
    git.clone().spawn(async move {
        let idle = git.limits().input_idle;
        git.fetch(command, input, output, Some(idle)).await;
        drop(turn);
    });
    Ok(answer("application/x-git-upload-pack-result", body))
}

async fn push(State(git): State<Git>, Path(segments): Path<Segments>, request: Request) -> Result<Response, Refusal> {
    let (principal, repo) = admit(&git, request.headers(), &segments, Access::Push).await?;
    expect_type(&request, Service::ReceivePack)?;
    let (output, body) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let answer = answer("application/x-git-receive-pack-result", body);
    if is_probe(&request) {
        return Ok(answer);
    }
    let directory = git.directory(&repo).await?;
    let input = input(request)?;
    let turn = git.push_turn().await?;
    git.clone().spawn(async move {
        git.push(PushRequest { repo, directory, principal, mode: Mode::Rpc, input, output }).await;
        drop(turn);
    });
    Ok(answer)
}

/// Before it sends a large pack in chunks, git asks with a lone flush packet whether it may: no push yet.
fn is_probe(request: &Request) -> bool {
    request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length == "4")
}

/// A form on a foreign page cannot send this type, so a browser cannot be made to push.
fn expect_type(request: &Request, service: Service) -> Result<(), Refusal> {
    let expected = format!("application/x-{}-request", service.name());
    if request.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == expected.as_str()) {
        return Ok(());
    }
    Err(Denied::Forbidden(format!("this address takes requests of git clients only ({expected})")).into())
}

/// The protocol version the client asks for, if it is of the form `key=value:key=value` with harmless characters.
fn protocol(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("git-protocol")?.to_str().ok()?;
    super::service::checked_protocol(value)
}

/// What the client sends, inflated if need be.
fn input(request: Request) -> Result<Input, Refusal> {
    let gzip = match request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            return Err(Denied::Forbidden("the request's encoding is not known; use gzip or none".to_owned()).into());
        }
    };
    let chunks = body::Body::into_data_stream(request.into_body()).map_err(std::io::Error::other);
    Ok(if gzip {
        Box::new(StreamReader::new(Box::pin(super::gunzip::inflate(chunks))))
    } else {
        Box::new(StreamReader::new(chunks))
    })
}

/// An answer that streams what arrives in the channel; each chunk is sent at once.
fn answer(content_type: &str, chunks: mpsc::Receiver<Chunk>) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache, no-store")];
    (headers, Body::from_stream(ReceiverStream::new(chunks))).into_response()
}
