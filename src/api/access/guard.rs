//! The layer before every handler: who is it, may they, and was it them?

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Form, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::credential::{Shown, shown};
use super::csrf::{self, CSRF_FIELD, CSRF_HEADER, Origin};
use super::extract::{In, Me, client_address};
use super::failures::Failures;
use super::refusal::Refusal;
use super::routes::Face;
use super::rules::Access;
use crate::apps::Caller;
use crate::kernel::clock::Clock;
use crate::store::Store;
use crate::tenancy::access::{Credential, Principal, by_session, by_token, enter};

/// The largest form of a page, in bytes; read to find its CSRF field.
const FORM_LIMIT: usize = 256 * 1024;

/// What the check needs. Clones share the memory of failures; all rooms use the same one.
#[derive(Clone)]
pub struct Guard {
    store: Store,
    clock: Clock,
    failures: Arc<Mutex<Failures>>,
}

/// A guard at one route.
#[derive(Clone)]
struct Gate {
    guard: Guard,
    face: Face,
    access: Access,
}

/// On a response: this refusal is the gate's own, not a handler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

/// On a request of a test: stop after the gate, and say that it was open.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Rehearsal;

/// On the response to a rehearsal: the gate was open.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LetIn(pub(super) Access);

impl Guard {
    /// A guard over this state.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, failures: Arc::new(Mutex::new(Failures::default())) }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person behind what a request shows.
    async fn identify(&self, parts: &Parts, face: Face) -> Result<Principal, Refusal> {
        let shown = shown(&parts.headers, face.schemes);
        if shown == Shown::Nothing {
            return Err(Refusal::NoCredential);
        }
        let (now, address) = (self.clock.now(), client_address(&parts.headers));
        let wait = self.failures().wait_ms(&address, now);
        if wait > 0 {
            return Err(Refusal::TooManyFailures { seconds: wait / 1000 + 1 });
        }
        let who = match &shown {
            Shown::Token(token) => by_token(&self.store, token, now).await?,
            Shown::Session(cookie) => by_session(&self.store, cookie, now).await?,
            Shown::Nothing | Shown::Unusable => None,
        };
        who.ok_or_else(|| {
            self.failures().failed(&address, now);
            Refusal::BadCredential
        })
    }
}

/// Puts the gate before a route's handlers; with `all_methods`, before its fallback as well.
pub(super) fn guarded(
    route: MethodRouter,
    all_methods: bool,
    guard: Guard,
    face: Face,
    access: Access,
) -> MethodRouter {
    let gate = from_fn_with_state(Gate { guard, face, access }, pass);
    if all_methods { route.layer(gate) } else { route.route_layer(gate) }
}

async fn pass(axum::extract::State(gate): axum::extract::State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match gate.admit(&mut parts, body).await {
        Ok(body) => {
            #[cfg(test)]
            if parts.extensions.get::<Rehearsal>().is_some() {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(LetIn(gate.access));
                return response;
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => {
            let mut response = (gate.face.refuse)(&refusal, &parts);
            response.extensions_mut().insert(Refused(refusal.code()));
            response
        }
    }
}

impl Gate {
    /// Checks everything; notes who it is for the extractors. Gives the body back.
    async fn admit(&self, parts: &mut Parts, body: Body) -> Result<Body, Refusal> {
        let changes = csrf::is_unsafe(&parts.method);
        if self.access == Access::Public {
            // Nobody shall be logged in to somebody else's account by a foreign page.
            let foreign = changes && csrf::origin(&parts.headers) == Origin::Foreign;
            return if foreign { Err(Refusal::CrossSite) } else { Ok(body) };
        }
        let who = self.guard.identify(parts, self.face).await?;
        let body = match &who.credential {
            Credential::Session { csrf_token, .. } => check_session(parts, body, csrf_token).await?,
            _ => body,
        };
        self.authorise(parts, &who).await?;
        parts.extensions.insert(Me(who));
        Ok(body)
    }

    async fn authorise(&self, parts: &mut Parts, who: &Principal) -> Result<(), Refusal> {
        match self.access {
            Access::Public | Access::Account { change: false } => Ok(()),
            Access::Account { change: true } if who.may_change_account() => Ok(()),
            Access::Account { change: true } => Err(Refusal::Forbidden(
                "this token cannot change your account; log in, or use a token of full scope that is not bound to an organisation"
                    .to_owned(),
            )),
            Access::Operator if who.may_operate_platform() => Ok(()),
            Access::Operator => Err(Refusal::Forbidden(
                "only an operator of this platform may do that, logged in or with a token of full scope".to_owned(),
            )),
            Access::Tenant(permission) => {
                let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Refusal::Path)?;
                let slug = params.iter().find(|(name, _)| *name == "tenant").map_or("", |(_, value)| value);
                let entered = enter(&self.guard.store, who, slug, permission).await?;
                parts.extensions.insert(In(Caller::new(who, entered)));
                Ok(())
            }
        }
    }
}

/// A request with a session must come from our own pages, and carry the session's token when it changes something.
async fn check_session(parts: &Parts, body: Body, token: &str) -> Result<Body, Refusal> {
    let changes = csrf::is_unsafe(&parts.method);
    if !changes && !csrf::is_upgrade(&parts.headers) {
        return Ok(body);
    }
    if csrf::origin(&parts.headers) != Origin::Same {
        return Err(Refusal::CrossSite);
    }
    if !changes {
        return Ok(body);
    }
    if let Some(sent) = parts.headers.get(CSRF_HEADER) {
        return if csrf::token_matches(sent.as_bytes(), token) { Ok(body) } else { Err(Refusal::CsrfToken) };
    }
    let kind = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    if !kind.starts_with(b"application/x-www-form-urlencoded") {
        return Err(Refusal::CsrfToken);
    }
    let bytes = axum::body::to_bytes(body, FORM_LIMIT).await.map_err(|_| Refusal::CsrfToken)?;
    let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let Form(fields) = Form::<Vec<(String, String)>>::from_request(copy, &()).await.map_err(|_| Refusal::CsrfToken)?;
    let good = fields.iter().any(|(name, value)| name == CSRF_FIELD && csrf::token_matches(value.as_bytes(), token));
    if good { Ok(Body::from(bytes)) } else { Err(Refusal::CsrfToken) }
}
