//! What git asks of the rest: who somebody is, what they may do, and the right to push.

use crate::apps::{AppPath, Apps, Caller, SourceDeploy};
use crate::git::{
    Access, Busy, Credential, CredentialId, Denied, GitBackend, GitFuture, Principal, PublicKeyInfo, Push, Repo,
    RepoPath,
};
use crate::kernel::clock::Clock;
use crate::kernel::error::chain;
use crate::operations::Operations;
use crate::pipelines::recovery::phase;
use crate::store::Store;
use crate::tenancy::access::{self, Credential as Shown, Denied as Refused, enter};
use crate::tenancy::roles::Permission;
use crate::tenancy::store::members;

use super::git_push::RunningPush;

/// The rest of Wharf, as git sees it.
#[derive(Clone)]
pub(super) struct Backend {
    pub(super) apps: Apps,
    store: Store,
    clock: Clock,
}

impl Backend {
    pub(super) fn new(apps: Apps, store: Store, clock: Clock) -> Self {
        Self { apps, store, clock }
    }

    pub(super) fn operations(&self) -> &Operations {
        self.apps.operations_handle()
    }

    async fn find(&self, credential: Credential) -> Result<Principal, Denied> {
        let found = match &credential {
            Credential::Token(token) => access::by_token(&self.store, token.expose(), self.clock.now()).await,
            Credential::SshKey(key) => access::by_ssh_key(&self.store, &key.fingerprint).await,
        };
        let who = found.map_err(|e| unavailable(&e))?.ok_or(Denied::Unauthenticated)?;
        let credential = match who.credential {
            Shown::Token { id, .. } => CredentialId::Token(id),
            Shown::SshKey { id } => CredentialId::SshKey(id),
            Shown::Session { .. } => return Err(Denied::Unauthenticated),
        };
        Ok(Principal { user: who.user, name: who.name, credential })
    }

    /// The caller behind a principal, with the permission checked anew: a revoked credential stops at once.
    async fn caller(&self, principal: &Principal, path: &RepoPath, access: Access) -> Result<Caller, Denied> {
        let found = match &principal.credential {
            CredentialId::Token(id) => access::by_token_id(&self.store, id, self.clock.now()).await,
            CredentialId::SshKey(id) => access::by_ssh_key_id(&self.store, id).await,
        };
        let who = found.map_err(|e| unavailable(&e))?.ok_or(Denied::Unauthenticated)?;
        let permission = match access {
            Access::Read => Permission::AppView,
            Access::Push => Permission::AppDeploy,
        };
        match enter(&self.store, &who, path.tenant.as_str(), permission).await {
            Ok(entered) => Ok(Caller::new(&who, entered)),
            Err(Refused::NotFound(_)) => Err(Denied::NotFound),
            Err(refused @ (Refused::Role { .. } | Refused::Scope)) => Err(Denied::Forbidden(refused.to_string())),
            Err(Refused::Store(error)) => Err(unavailable(&error)),
        }
    }

    async fn repository(&self, principal: &Principal, path: &RepoPath, access: Access) -> Result<Repo, Denied> {
        let caller = self.caller(principal, path, access).await?;
        let environment = self.apps.environment(&caller.tenant, &app(path)).await.map_err(|e| match e.code() {
            "not-found" => Denied::NotFound,
            _ => Denied::Unavailable(chain(&e)),
        })?;
        Ok(Repo { environment: environment.id, path: path.clone(), deploy_branch: environment.deploy_branch })
    }

    /// A hint only: the right itself is taken in [`Self::take_right`].
    async fn nothing_changes(&self, repo: &Repo) -> Result<(), Busy> {
        let Ok(Some(tenant)) = members::platform_tenant(&self.store, &repo.path.tenant).await else { return Ok(()) };
        let active = self.operations().active(&tenant, &repo.environment).await;
        match active {
            Ok(Some(active)) => Err(Busy(self.apps.busy_sentence(&repo.path.project.to_string(), &active))),
            _ => Ok(()),
        }
    }

    async fn take_right(&self, repo: &Repo, principal: &Principal) -> Result<Box<dyn Push>, Busy> {
        let caller = self.caller(principal, &repo.path, Access::Push).await.map_err(|e| Busy(e.to_string()))?;
        let deploy =
            SourceDeploy { cause: "push".to_owned(), message: "git push".to_owned(), ..SourceDeploy::default() };
        let begun = self.apps.begin_source(&caller, &app(&repo.path), &deploy, phase::RECEIVE).await;
        let operation = begun.map_err(|e| Busy(chain(&e)))?;
        let url = self.apps.primary_url(&caller, &app(&repo.path)).await.ok().flatten();
        Ok(Box::new(RunningPush::new(self.clone(), caller, operation, url)))
    }
}

fn app(path: &RepoPath) -> AppPath {
    AppPath { project: path.project.clone(), environment: path.environment.clone() }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Denied {
    tracing::error!(error = chain(error), "a git credential could not be checked");
    Denied::Unavailable("its database could not be read".to_owned())
}

impl GitBackend for Backend {
    fn authenticate(&self, credential: Credential) -> GitFuture<'_, Result<Principal, Denied>> {
        Box::pin(self.find(credential))
    }

    fn recognises<'a>(&'a self, key: &'a PublicKeyInfo) -> GitFuture<'a, bool> {
        Box::pin(async { access::by_ssh_key(&self.store, &key.fingerprint).await.is_ok_and(|found| found.is_some()) })
    }

    fn authorize<'a>(
        &'a self,
        principal: &'a Principal,
        path: &'a RepoPath,
        access: Access,
    ) -> GitFuture<'a, Result<Repo, Denied>> {
        Box::pin(self.repository(principal, path, access))
    }

    fn ready_for_push<'a>(&'a self, repo: &'a Repo) -> GitFuture<'a, Result<(), Busy>> {
        Box::pin(self.nothing_changes(repo))
    }

    fn begin_push<'a>(
        &'a self,
        repo: &'a Repo,
        principal: &'a Principal,
    ) -> GitFuture<'a, Result<Box<dyn Push>, Busy>> {
        Box::pin(self.take_right(repo, principal))
    }
}
