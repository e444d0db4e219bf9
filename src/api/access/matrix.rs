//! For tests of every room: tries all mounted routes with every kind of credential, against real rows.
//!
//! The answer is taken from the gate itself: a rehearsed request stops after the gate, which says that it let the request
//! in or that it refused. A route whose handler answers a rehearsal is not behind the gate, and fails. What is expected
//! stands here as a table of its own and is not derived from the rules it tests.

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use base64::Engine as _;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{Method, Request};
use tower::ServiceExt as _;

use super::guard::{LetIn, Refused, Rehearsal};
use super::{Access, CSRF_HEADER, Entry, Guard, Mounted, Permission, SESSION_COOKIE, Schemes};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{TenantId, TokenId, UserId};
use crate::kernel::random::Random;
use crate::store::{Store, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::credentials::hash_token;
use crate::tenancy::model::User;
use crate::tenancy::roles::{Role, Scope};
use crate::tenancy::store::{members, people};
use crate::tenancy::vault::Vault;

/// The tenant all requests go to; [`FOREIGN`] exists too, [`MISSING`] does not.
pub(crate) const TENANT: &str = "acme";
const FOREIGN: &str = "rival";
/// As long as `TENANT`, so that even the length of the answer must be the same.
const MISSING: &str = "zzzz";

/// Kinds of callers. Unless it says otherwise they show a token of full scope, or a session with its CSRF token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    /// A token or cookie that never existed.
    Garbage,
    Viewer,
    Developer,
    Owner,
    /// An operator of the platform who is a member nowhere.
    Operator,
    /// The owner of another tenant.
    Foreigner,
    /// The owner, with a token for reading.
    ReadToken,
    /// The owner, with a token for deploying.
    DeployToken,
    /// The owner, with a token bound to this tenant.
    BoundHere,
    /// The owner, with a token bound to another tenant they own as well.
    BoundElsewhere,
    /// The owner, with a token that has expired.
    Expired,
    /// The owner, with a session but no CSRF token, from no page that says it is ours.
    BareSession,
    /// The owner's session, used by a page of another site that somehow knows the CSRF token.
    ForeignPage,
}

/// What the gate did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    In,
    Unauthenticated,
    Forbidden,
    NotFound,
}

enum Show {
    Nothing,
    Token(String),
    Session { cookie: String, csrf: Option<String>, origin: Option<&'static str> },
}

/// A database with people in it, and their credentials.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    samples: Vec<(Who, Show)>,
}

impl World {
    /// Makes the database and its master key in this folder.
    pub(crate) async fn new(folder: &Path) -> Self {
        let store = Store::open(&folder.join("wharf.db")).await.expect("opens");
        let clock = Clock::fake(Timestamp(1_800_000_000_000));
        let mut tx = store.write().await.expect("begins");
        let random = Random::seeded(1);
        let vault = Vault::open(&folder.join("master.key"), true, &random).expect("makes a key");
        let mut made = Maker { tx: &mut tx, vault, random, now: clock.now(), samples: Vec::new() };
        made.fill().await;
        let mut samples = made.samples;
        tx.commit().await.expect("commits");
        samples.push((Who::Nobody, Show::Nothing));
        samples.push((Who::Garbage, Show::Token("wharf_0000".to_owned())));
        samples.push((Who::Garbage, Show::Session { cookie: "00".to_owned(), csrf: None, origin: None }));
        clock.advance_ms(1_000);
        Self { store, clock, samples }
    }

    /// A guard over this database.
    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.store.clone(), self.clock.clone())
    }

    /// An API token of full scope of somebody.
    pub(crate) fn token(&self, who: Who) -> &str {
        let mut tokens = self.samples.iter().filter(|(w, _)| *w == who);
        tokens.find_map(|(_, s)| if let Show::Token(t) = s { Some(t.as_str()) } else { None }).expect("has a token")
    }

    /// The cookie of somebody's session and its CSRF token.
    pub(crate) fn session(&self, who: Who) -> (&str, &str) {
        let mut sessions = self.samples.iter().filter(|(w, _)| *w == who);
        let found = sessions.find_map(|(_, s)| match s {
            Show::Session { cookie, csrf: Some(csrf), .. } => Some((cookie.as_str(), csrf.as_str())),
            _ => None,
        });
        found.expect("has a session")
    }
}

struct Maker<'a> {
    tx: &'a mut Write,
    vault: Vault,
    random: Random,
    now: Timestamp,
    samples: Vec<(Who, Show)>,
}

impl Maker<'_> {
    async fn fill(&mut self) {
        let (acme, rival) = (self.tenant(TENANT).await, self.tenant(FOREIGN).await);
        for (who, role) in [(Who::Viewer, Role::Viewer), (Who::Developer, Role::Developer)] {
            let user = self.person(who, false).await;
            self.join(&acme, &user, role).await;
        }
        self.person(Who::Operator, true).await;
        let foreigner = self.person(Who::Foreigner, false).await;
        self.join(&rival, &foreigner, Role::Owner).await;
        let owner = self.person(Who::Owner, false).await;
        self.join(&acme, &owner, Role::Owner).await;
        self.join(&rival, &owner, Role::Owner).await;
        self.token(Who::ReadToken, &owner, Scope::Read, None, None).await;
        self.token(Who::DeployToken, &owner, Scope::Deploy, None, None).await;
        self.token(Who::BoundHere, &owner, Scope::Full, Some(&acme), None).await;
        self.token(Who::BoundElsewhere, &owner, Scope::Full, Some(&rival), None).await;
        self.token(Who::Expired, &owner, Scope::Full, None, Some(self.now)).await;
        self.session(Who::BareSession, &owner, false, None).await;
        self.session(Who::ForeignPage, &owner, true, Some("https://evil.example")).await;
    }

    async fn tenant(&mut self, slug: &str) -> TenantId {
        let id = TenantId::new(self.now, &self.random);
        let slug = slug.parse().expect("a slug");
        let sealed_key = self.vault.new_tenant_key(&id);
        let new = members::NewTenant {
            id: &id,
            slug: &slug,
            name: slug.as_str(),
            is_primary: false,
            sealed_key: &sealed_key,
        };
        members::create_tenant(self.tx, new, self.now).await.expect("makes a tenant");
        id
    }

    async fn join(&mut self, tenant: &TenantId, user: &UserId, role: Role) {
        members::put(self.tx, &Tenant::platform(tenant.clone()), user, role, self.now).await.expect("joins");
    }

    /// A person with a token of full scope and a session.
    async fn person(&mut self, who: Who, is_operator: bool) -> UserId {
        let id = UserId::new(self.now, &self.random);
        let user =
            User { id: id.clone(), email: format!("{who:?}@example.com"), name: format!("{who:?}"), is_operator };
        people::create(self.tx, &user, "no password", self.now).await.expect("makes a person");
        self.token(who, &id, Scope::Full, None, None).await;
        self.session(who, &id, true, Some("https://wharf.localhost")).await;
        id
    }

    async fn token(
        &mut self,
        who: Who,
        user: &UserId,
        scope: Scope,
        tenant: Option<&TenantId>,
        end: Option<Timestamp>,
    ) {
        let (id, secret) = (TokenId::new(self.now, &self.random), format!("wharf_{}", self.random.token()));
        let secret_hash = hash_token(&secret);
        let new =
            people::NewToken { id: &id, user, tenant, name: "t", scope, secret_hash: &secret_hash, expires_at: end };
        people::add_token(self.tx, new, self.now).await.expect("makes a token");
        self.samples.push((who, Show::Token(secret)));
    }

    async fn session(&mut self, who: Who, user: &UserId, with_csrf: bool, origin: Option<&'static str>) {
        let (cookie, csrf) = (self.random.token(), self.random.token());
        people::begin_session(self.tx, user, &hash_token(&cookie), &csrf, "test", self.now).await.expect("begins");
        self.samples.push((who, Show::Session { cookie, csrf: with_csrf.then_some(csrf), origin }));
    }
}

/// Who is let in where a permission is asked for; all other members get 403.
fn admitted(permission: Permission) -> &'static [Who] {
    use Who::{BareSession, BoundHere, DeployToken, Developer, ForeignPage, Owner, ReadToken, Viewer};
    match permission {
        Permission::AppView | Permission::AppLogs | Permission::MemberView => {
            &[Viewer, Developer, Owner, ReadToken, DeployToken, BoundHere, BareSession, ForeignPage]
        }
        Permission::AppDeploy | Permission::AppOperate => {
            &[Developer, Owner, DeployToken, BoundHere, BareSession, ForeignPage]
        }
        Permission::AppCreate | Permission::AppConfig | Permission::AppDomains | Permission::AppExec => {
            &[Developer, Owner, BoundHere, BareSession, ForeignPage]
        }
        Permission::AppDestroy | Permission::MemberManage => &[Owner, BoundHere, BareSession, ForeignPage],
    }
}

fn expected(who: Who, access: Access, method: &Method) -> Verdict {
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    let verdict = |yes: bool| if yes { Verdict::In } else { Verdict::Forbidden };
    match (access, who) {
        (Access::Public, Who::ForeignPage) => verdict(!changes),
        (Access::Public, _) => Verdict::In,
        (_, Who::Nobody | Who::Garbage | Who::Expired) => Verdict::Unauthenticated,
        (_, Who::BareSession | Who::ForeignPage) if changes => Verdict::Forbidden,
        (Access::Account { change: false }, _) => Verdict::In,
        (Access::Account { change: true }, _) => {
            verdict(!matches!(who, Who::ReadToken | Who::DeployToken | Who::BoundHere | Who::BoundElsewhere))
        }
        (Access::Operator, _) => verdict(who == Who::Operator),
        (Access::Tenant(_), Who::Operator | Who::Foreigner | Who::BoundElsewhere) => Verdict::NotFound,
        (Access::Tenant(permission), _) => verdict(admitted(permission).contains(&who)),
    }
}

/// Tries every route with every credential this kind of face takes; gives how many requests it made.
///
/// # Panics
/// When a route answers otherwise than the table says, or is not behind the gate.
pub(crate) async fn check(world: &World, mounted: Mounted, schemes: Schemes) -> usize {
    let entries = mounted.entries().to_vec();
    assert!(!entries.is_empty(), "nothing is mounted");
    let router = mounted.into_router();
    let mut tried = 0;
    for entry in &entries {
        let methods = entry.method.clone().map_or_else(|| vec![Method::GET, Method::POST], |m| vec![m]);
        for (method, (who, show)) in methods.iter().flat_map(|m| world.samples.iter().map(move |s| (m, s))) {
            let Some(request) = request(method, &fill(&entry.path, TENANT), show, schemes, tried) else { continue };
            let response = router.clone().oneshot(request).await.expect("answers");
            let got = verdict(&response, entry);
            assert_eq!(
                got,
                expected(*who, entry.access, method),
                "{method} {} as {who:?} ({:?})",
                entry.path,
                entry.access
            );
            tried += 1;
        }
        if matches!(entry.access, Access::Tenant(_)) {
            for (who, show) in world.samples.iter().filter(|(w, _)| matches!(w, Who::Operator | Who::Foreigner)) {
                tried += same_as_missing(&router, &methods[0], &entry.path, show, schemes, tried).await.unwrap_or_else(
                    |e| {
                        panic!("{} {} as {who:?}: {e}", methods[0], entry.path);
                    },
                );
            }
        }
    }
    tried
}

/// A tenant that is not theirs and one that does not exist must look the same, but for the name they wrote themselves.
async fn same_as_missing(
    router: &Router,
    method: &Method,
    path: &str,
    show: &Show,
    schemes: Schemes,
    n: usize,
) -> Result<usize, String> {
    let mut seen = Vec::new();
    for tenant in [TENANT, MISSING] {
        let Some(request) = request(method, &fill(path, tenant), show, schemes, n + seen.len()) else { return Ok(0) };
        let response = router.clone().oneshot(request).await.expect("answers");
        let head = format!("{} {:?}", response.status(), response.headers());
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("has a body");
        let body = String::from_utf8_lossy(&body).replace(tenant, "NAME");
        seen.push((head.replace(tenant, "NAME"), body));
    }
    if seen[0] == seen[1] { Ok(2) } else { Err(format!("{:?} differs from {:?}", seen[0], seen[1])) }
}

fn verdict(response: &Response, entry: &Entry) -> Verdict {
    let extensions = response.extensions();
    match (extensions.get::<LetIn>(), extensions.get::<Refused>()) {
        (Some(LetIn(access)), None) => {
            assert_eq!(*access, entry.access, "{} is guarded as something else", entry.path);
            Verdict::In
        }
        (None, Some(Refused("unauthenticated"))) => Verdict::Unauthenticated,
        (None, Some(Refused("forbidden" | "csrf" | "cross-site"))) => Verdict::Forbidden,
        (None, Some(Refused("not-found"))) => Verdict::NotFound,
        other => panic!("{} is not behind the gate, or it failed: {other:?}, {}", entry.path, response.status()),
    }
}

fn fill(path: &str, tenant: &str) -> String {
    let part = |part: &str| match part {
        "{tenant}" => tenant.to_owned(),
        "{project}" => "shop".to_owned(),
        "{environment}" => "production".to_owned(),
        other if other.starts_with('{') => "x".to_owned(),
        other => other.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The request, or none when this kind of face does not take this kind of credential.
fn request(method: &Method, path: &str, show: &Show, schemes: Schemes, n: usize) -> Option<Request<Body>> {
    let address = format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
    let mut request = Request::builder().method(method).uri(path).header(HOST, "wharf.localhost");
    request = request.header("x-forwarded-for", format!("203.0.113.9, {address}"));
    request = match (show, schemes) {
        (Show::Nothing, _) => request,
        (Show::Token(token), Schemes::TokenOrSession) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        (Show::Token(token), Schemes::BasicToken) => {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("git:{token}"));
            request.header(AUTHORIZATION, format!("Basic {pair}"))
        }
        (Show::Session { cookie, csrf, origin }, Schemes::TokenOrSession | Schemes::Session) => {
            request = request.header(COOKIE, format!("theme=dark; {SESSION_COOKIE}={cookie}"));
            request = csrf.iter().fold(request, |r, token| r.header(CSRF_HEADER, token));
            origin.iter().fold(request, |r, origin| r.header(ORIGIN, *origin))
        }
        _ => return None,
    };
    let mut request = request.body(Body::empty()).expect("a request");
    request.extensions_mut().insert(Rehearsal);
    Some(request)
}
