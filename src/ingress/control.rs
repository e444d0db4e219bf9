//! The control socket `RUN/ingress.sock`: HTTP/1.1 with JSON, for the control plane and for people
//! (`curl --unix-socket RUN/ingress.sock http://ingress/v1/status`).
//!
//! | request | does |
//! |---|---|
//! | `PUT /v1/snapshot` | uses a new table; answers when every thread does; 409 for an older generation |
//! | `GET /v1/snapshot` | the table in use |
//! | `GET /v1/status` | [`Status`](super::status::Status) |
//! | `GET /v1/pulse?counts=1` | [`Pulse`](super::status::Pulse): the table in use and requests under way, cheaply |
//! | `GET /v1/routes/match?host=&path=` | which route would take this request; also `method=` and `header=name:value` |
//! | `GET /v1/routes/stats?route=` | counts, latency quantiles and what each function did, of all routes or one |
//! | `GET /v1/demand?after=&wait_ms=` | routes without an upstream that clients ask for, see [`super::resilience::demand`] |
//! | `POST /v1/diff` | what a table would change, without using it |
//! | `POST /v1/upstreams/drain?id=&route=&undo=` | takes an upstream out of traffic, or puts it back |
//! | `POST /v1/purge?what=` | forgets idle connections, passwords, rate limits, ejections |
//! | `GET` and `PUT /v1/log-level` | what the process logs |
//! | `POST /v1/drain` | accept no more, finish what is open, exit |
//! | `POST /v1/handover` | hand the listening sockets to a successor (see [`super::handover`]) |

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::admin;
use super::engine::Engine;
use super::error::SnapshotError;
use super::handover;
use super::log_level::LogLevel;
use super::snapshot::Snapshot;
use super::status;

/// Largest snapshot taken.
const MAX_SNAPSHOT: usize = 64 << 20;

/// Why the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Stay,
    /// Asked to drain.
    Asked,
    /// A successor serves; it wants the control socket.
    Succeeded,
}

/// What the control server needs.
#[derive(Debug)]
pub(crate) struct Control {
    pub engine: Arc<Engine>,
    pub leave: watch::Sender<Leave>,
    pub log_level: Option<LogLevel>,
    /// Becomes true when the process has let go of the lock and the control socket.
    pub released: watch::Receiver<bool>,
}

/// Serves the control socket for ever.
pub(crate) async fn serve(control: Arc<Control>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(Arc::clone(&control), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the control socket");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(control: Arc<Control>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(handle(&control, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "control connection ended early");
    }
}

pub(crate) type Reply = Response<Full<Bytes>>;

async fn handle(control: &Arc<Control>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::PUT, "/v1/snapshot") => put_snapshot(&control.engine, request).await,
        (&Method::GET, "/v1/snapshot") => {
            json(StatusCode::OK, &admin::without_secrets(&control.engine.table().snapshot))
        }
        (&Method::GET, "/v1/status") => {
            let draining = *control.leave.borrow() != Leave::Stay;
            json(StatusCode::OK, &status::gather(&control.engine, draining))
        }
        (&Method::GET, "/v1/pulse") => {
            json(StatusCode::OK, &status::pulse(&control.engine, query(&request) == "counts=1"))
        }
        (&Method::GET, "/v1/routes/match") => admin::find_route(&control.engine, query(&request)),
        (&Method::GET, "/v1/routes/stats") => {
            json(StatusCode::OK, &admin::route_reports(&control.engine, query(&request)))
        }
        (&Method::GET, "/v1/demand") => admin::demand(&control.engine, query(&request)).await,
        (&Method::POST, "/v1/diff") => match read(request).await {
            Ok(bytes) => admin::diff(&control.engine, &bytes),
            Err(reply) => reply,
        },
        (&Method::POST, "/v1/upstreams/drain") => admin::drain_upstream(&control.engine, query(&request)),
        (&Method::POST, "/v1/purge") => admin::purge(&control.engine, query(&request)).await,
        (&Method::GET, "/v1/log-level") => admin::log_level(control.log_level.as_ref()),
        (&Method::PUT, "/v1/log-level") => match read(request).await {
            Ok(bytes) => admin::set_log_level(control.log_level.as_ref(), &bytes),
            Err(reply) => reply,
        },
        (&Method::POST, "/v1/drain") => {
            control.leave.send_replace(Leave::Asked);
            json(StatusCode::ACCEPTED, &serde_json::json!({ "draining": true }))
        }
        (&Method::POST, "/v1/handover") => handover::offer(control, request),
        _ => problem(StatusCode::NOT_FOUND, "there is no such request on the control socket"),
    }
}

fn query(request: &Request<Incoming>) -> &str {
    request.uri().query().unwrap_or_default()
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Reply> {
    let body = Limited::new(request.into_body(), MAX_SNAPSHOT).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| problem(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()))
}

async fn put_snapshot(engine: &Engine, request: Request<Incoming>) -> Reply {
    let bytes = match read(request).await {
        Ok(bytes) => bytes,
        Err(reply) => return reply,
    };
    let snapshot: Snapshot = match serde_json::from_slice(&bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => return problem(StatusCode::UNPROCESSABLE_ENTITY, &SnapshotError::Syntax(error).to_string()),
    };
    let generation = snapshot.generation;
    match engine.apply(snapshot).await {
        Ok(held) => json(StatusCode::OK, &serde_json::json!({ "generation": generation, "held_routes": held })),
        Err(error) => {
            let status = match &error {
                SnapshotError::Older { .. } => StatusCode::CONFLICT,
                SnapshotError::HandingOver => StatusCode::SERVICE_UNAVAILABLE,
                SnapshotError::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            problem(status, &error.to_string())
        }
    }
}

pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Reply {
    let body = serde_json::to_vec(value).unwrap_or_default();
    reply(status, "application/json", body)
}

/// A problem+json answer.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Reply {
    let body = serde_json::json!({ "status": status.as_u16(), "title": status.canonical_reason(), "detail": detail });
    reply(status, "application/problem+json", body.to_string().into_bytes())
}

fn reply(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    reply
}
