#![allow(unused)]
use std::sync::Arc;
use super::report::EnvironmentReport;
use crate::engine::{Engine, InstanceSpec, Owner};
use crate::ingress;
use crate::kernel::clock::Clock;
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::name::ServiceName;
use crate::kernel::random::Random;
use crate::operations::{Log, Operation, Operations};
use crate::releases::Attempt;
use crate::stack::{Revision, Stack};
use crate::store::Store;
use crate::tenancy::vault::Vault;
use tokio_util::sync::CancellationToken;
pub struct SchedulerParts { pub store: Store, pub vault: Vault, pub clock: Clock, pub random: Random, pub engine: Arc<dyn Engine>, pub operations: Operations, pub ingress: ingress::Client, pub portal: ingress::snapshot::Route }
#[derive(Clone)]
pub struct Scheduler;
#[derive(Debug)]
pub enum TaskFailure { Cancelled, Failed(String) }
impl Scheduler {
    pub fn new(p: SchedulerParts) -> Self { Self }
    pub async fn run(self, stop: CancellationToken) {}
    pub fn nudge(&self) {}
    pub fn table_generation(&self) -> u64 { 0 }
    pub fn passes(&self) -> u64 { 0 }
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> { std::future::ready(()) }
    pub fn report(&self, e: &EnvironmentId) -> Option<EnvironmentReport> { None }
    pub fn failure(&self, e: &EnvironmentId, a: Attempt) -> Option<String> { None }
    pub async fn run_release(&self, o: &Owner, n: i64, s: &Stack, op: &Operation, l: &Log, c: &CancellationToken) -> Result<(), TaskFailure> { Ok(()) }
    pub async fn task_spec(&self, o: &Owner, r: &Revision, s: &ServiceName, c: Vec<String>, op: &OperationId) -> Result<InstanceSpec, String> { Err(String::new()) }
}
