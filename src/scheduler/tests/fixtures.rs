//! Small values for tests.

use crate::engine::Owner;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::stack::{HealthCheck, ImageRef, Service, ServiceKind, Stack};

/// The same ids for the same number.
pub(super) fn owner(number: u32) -> (EnvironmentId, Owner) {
    let random = Random::seeded(u64::from(number));
    let at = Timestamp(1_000 + i64::from(number));
    let environment = EnvironmentId::new(at, &random);
    let owner = Owner {
        tenant: TenantId::new(at, &random),
        project: ProjectId::new(at, &random),
        environment: environment.clone(),
    };
    (environment, owner)
}

/// A service with a quick check.
pub(super) fn service(kind: ServiceKind, replicas: u32) -> Service {
    let settle_ms = if kind == ServiceKind::Web { 300 } else { 1_000 };
    Service {
        port: (kind == ServiceKind::Web).then_some(8080),
        health: HealthCheck { settle_ms, start_deadline_ms: 20_000, ..HealthCheck::default_for(kind) },
        replicas,
        stop_grace_seconds: 3,
        ..Service::new(kind, ImageRef { name: "app:1".to_owned(), id: "sha256:1".to_owned() })
    }
}

pub(super) fn stack_of<'a>(services: impl IntoIterator<Item = (&'a str, Service)>) -> Stack {
    let services = services.into_iter().map(|(name, s)| (name.parse().expect("a name"), s)).collect();
    Stack { services, ..Stack::default() }
}

/// The environment row that goes with an owner.
pub(super) fn environment(owner: &Owner) -> crate::tenancy::model::Environment {
    crate::tenancy::model::Environment {
        id: owner.environment.clone(),
        tenant_id: owner.tenant.clone(),
        tenant: "acme".parse().expect("a name"),
        project_id: owner.project.clone(),
        project: "shop".parse().expect("a name"),
        slug: "production".parse().expect("a name"),
        protected: false,
        deploy_branch: None,
        config_version: 0,
        target_revision: None,
        serving_revision: None,
        stopped: false,
        destroyed: false,
        created_at: Timestamp(0),
    }
}
