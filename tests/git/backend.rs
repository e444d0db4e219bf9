//! The other implementation of [`GitBackend`]: four people, three apps, and deploys that do as they are told.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use wharf::git::{
    Access, ArchiveStream, Busy, Credential, CredentialId, Denied, DeployEvent, DeployStream, GitBackend, GitFuture,
    Principal, PublicKeyInfo, Push, PushedCommit, Repo, RepoPath,
};
use wharf::kernel::clock::Timestamp;
use wharf::kernel::id::{EnvironmentId, TokenId, UserId};
use wharf::kernel::random::Random;

/// Who may do what. Tokens are `<name>-token`; keys are registered by a test.
const PEOPLE: [(&str, &str, Access); 3] =
    [("ann", "acme", Access::Push), ("vic", "acme", Access::Read), ("bob", "other", Access::Push)];
const APPS: [&str; 4] = ["acme/shop.git", "acme/shop/staging.git", "acme/blog.git", "other/secret.git"];

/// How the next deploys go.
#[derive(Debug, Clone, Default)]
pub(crate) enum Script {
    #[default]
    Succeed,
    /// These lines as the cause.
    Fail(Vec<String>),
    /// After each line of progress wait until the test says [`TestBackend::go_on`].
    StepByStep(usize),
    /// The stream ends without a result.
    Vanish,
}

/// A deploy the backend was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Deployed {
    pub(crate) repo: String,
    pub(crate) by: String,
    pub(crate) commit: PushedCommit,
    /// The files of the archive with their content's size.
    pub(crate) files: BTreeMap<String, u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) script: Mutex<Script>,
    pub(crate) deployed: Mutex<Vec<Deployed>>,
    /// Pushes that began and have not ended: the repository's path and who holds it.
    pub(crate) held: Mutex<BTreeMap<String, String>>,
    pub(crate) begun: Mutex<usize>,
    pub(crate) cancelled: Mutex<usize>,
    pub(crate) keys: Mutex<BTreeMap<String, String>>,
    pub(crate) next: Notify,
    /// Say that a push may begin although one is running, as it would look between two requests of one client.
    pub(crate) look_free: Mutex<bool>,
}

#[derive(Clone, Default)]
pub(crate) struct TestBackend(pub(crate) Arc<State>);

impl TestBackend {
    pub(crate) fn script(&self, script: Script) {
        *self.0.script.lock().unwrap() = script;
    }

    pub(crate) fn deployed(&self) -> Vec<Deployed> {
        self.0.deployed.lock().unwrap().clone()
    }

    pub(crate) fn held(&self) -> usize {
        self.0.held.lock().unwrap().len()
    }

    pub(crate) fn begun(&self) -> usize {
        *self.0.begun.lock().unwrap()
    }

    pub(crate) fn cancelled(&self) -> usize {
        *self.0.cancelled.lock().unwrap()
    }

    pub(crate) fn go_on(&self) {
        self.0.next.notify_one();
    }

    /// Lets this key in as this person.
    pub(crate) fn register_key(&self, fingerprint: &str, name: &str) {
        self.0.keys.lock().unwrap().insert(fingerprint.to_owned(), name.to_owned());
    }

    fn busy(&self, repo: &Repo) -> Result<(), Busy> {
        match self.0.held.lock().unwrap().get(&repo.path.to_string()) {
            None => Ok(()),
            Some(by) => Err(Busy(format!(
                "another deploy of {} is running: deploy by {by}, since 12 s; wait for it or run: wharf status",
                repo.path.project
            ))),
        }
    }
}

fn id_seed(text: &str) -> Random {
    Random::seeded(text.bytes().fold(7, |sum, b| sum * 31 % 1_000_003 + u64::from(b)))
}

impl GitBackend for TestBackend {
    fn authenticate(&self, credential: Credential) -> GitFuture<'_, Result<Principal, Denied>> {
        Box::pin(async move {
            let name = match &credential {
                Credential::Token(token) => token.expose().strip_suffix("-token").map(str::to_owned),
                Credential::SshKey(key) => self.0.keys.lock().unwrap().get(&key.fingerprint).cloned(),
            };
            let known = name.filter(|name| PEOPLE.iter().any(|(person, ..)| person == name));
            let name = known.ok_or(Denied::Unauthenticated)?;
            let random = id_seed(&name);
            let user = UserId::new(Timestamp(1), &random);
            Ok(Principal { user, name, credential: CredentialId::Token(TokenId::new(Timestamp(1), &random)) })
        })
    }

    fn recognises<'a>(&'a self, key: &'a PublicKeyInfo) -> GitFuture<'a, bool> {
        Box::pin(async move { self.0.keys.lock().unwrap().contains_key(&key.fingerprint) })
    }

    fn authorize<'a>(
        &'a self,
        principal: &'a Principal,
        path: &'a RepoPath,
        access: Access,
    ) -> GitFuture<'a, Result<Repo, Denied>> {
        Box::pin(async move {
            let (_, tenant, most) = PEOPLE.iter().find(|(name, ..)| *name == principal.name).ok_or(Denied::NotFound)?;
            let address = path.to_string();
            if path.tenant.as_str() != *tenant || !APPS.contains(&address.as_str()) {
                return Err(Denied::NotFound);
            }
            if access > *most {
                return Err(Denied::Forbidden(format!(
                    "{} may read {tenant} but not deploy to it; ask an owner for the role developer",
                    principal.name
                )));
            }
            let environment = EnvironmentId::new(Timestamp(1), &id_seed(&address));
            Ok(Repo { environment, path: path.clone(), deploy_branch: None })
        })
    }

    fn ready_for_push<'a>(&'a self, repo: &'a Repo) -> GitFuture<'a, Result<(), Busy>> {
        Box::pin(async move { if *self.0.look_free.lock().unwrap() { Ok(()) } else { self.busy(repo) } })
    }

    fn begin_push<'a>(
        &'a self,
        repo: &'a Repo,
        principal: &'a Principal,
    ) -> GitFuture<'a, Result<Box<dyn Push>, Busy>> {
        Box::pin(async move {
            self.busy(repo)?;
            let address = repo.path.to_string();
            self.0.held.lock().unwrap().insert(address.clone(), principal.name.clone());
            *self.0.begun.lock().unwrap() += 1;
            let push = TestPush { backend: self.clone(), repo: address, by: principal.name.clone() };
            Ok(Box::new(push) as Box<dyn Push>)
        })
    }
}

struct TestPush {
    backend: TestBackend,
    repo: String,
    by: String,
}

impl Push for TestPush {
    fn deploy(&self, commit: PushedCommit, archive: ArchiveStream) -> DeployStream<'_> {
        let (events, stream) = mpsc::channel(1);
        let script = self.backend.0.script.lock().unwrap().clone();
        let (backend, repo, by) = (self.backend.clone(), self.repo.clone(), self.by.clone());
        tokio::spawn(async move {
            let gone = events.clone();
            tokio::select! {
                () = act(&backend, script, Request { repo, by, commit, archive }, events) => {}
                () = gone.closed() => *backend.0.cancelled.lock().unwrap() += 1,
            }
        });
        Box::pin(ReceiverStream::new(stream))
    }

    fn end(self: Box<Self>) -> GitFuture<'static, ()> {
        Box::pin(async move {
            let holder = self.backend.0.held.lock().unwrap().remove(&self.repo);
            assert!(holder.is_some(), "a push ended twice");
        })
    }
}

struct Request {
    repo: String,
    by: String,
    commit: PushedCommit,
    archive: ArchiveStream,
}

async fn act(backend: &TestBackend, script: Script, request: Request, events: mpsc::Sender<DeployEvent>) {
    let Request { repo, by, commit, mut archive } = request;
    let mut bytes = Vec::new();
    archive.read_to_end(&mut bytes).await.expect("a whole archive");
    let files = list(&bytes);
    backend.0.deployed.lock().unwrap().push(Deployed { repo, by, commit, files });
    let _ = events.send(DeployEvent::Line("Building…".to_owned())).await;
    match script {
        Script::Vanish => {}
        Script::Succeed => {
            let _ = events.send(DeployEvent::Done(vec!["Live at http://shop.localhost".to_owned()])).await;
        }
        Script::Fail(lines) => {
            let _ = events.send(DeployEvent::Failed(lines)).await;
        }
        Script::StepByStep(steps) => {
            for step in 1..=steps {
                let _ = events.send(DeployEvent::Line(format!("step {step}"))).await;
                backend.0.next.notified().await;
            }
            let _ = events.send(DeployEvent::Done(Vec::new())).await;
        }
    }
}

fn list(tar: &[u8]) -> BTreeMap<String, u64> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar");
    let mut files = BTreeMap::new();
    for entry in entries {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            files.insert(path, content.len() as u64);
        }
    }
    files
}
