//! Following an operation live: rows first, then whatever the bell announces, until it ends.

use futures_util::Stream;

use super::model::{Line, Operation};
use super::{Operations, store};
use crate::kernel::id::OperationId;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;

/// Lines read at a time.
pub(super) const PAGE: u32 = 500;

/// What a follower sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowItem {
    /// The next line.
    Line(Line),
    /// It has ended; the last item.
    End(Box<Operation>),
}

struct Follower {
    operations: Operations,
    tenant: Tenant,
    id: OperationId,
    after: i64,
    page: std::collections::VecDeque<Line>,
    ended: bool,
}

impl Operations {
    /// The lines after `after`, then new ones as they come, then the end. The stream can be dropped and taken up
    /// again with the last number seen.
    pub fn follow(
        &self,
        tenant: &Tenant,
        id: &OperationId,
        after: i64,
    ) -> impl Stream<Item = Result<FollowItem, StoreError>> + Send + use<> {
        let start = Follower {
            operations: self.clone(),
            tenant: tenant.clone(),
            id: id.clone(),
            after,
            page: std::collections::VecDeque::new(),
            ended: false,
        };
        futures_util::stream::try_unfold(start, |mut f| async move {
            let item = f.next().await?;
            Ok(item.map(|item| (item, f)))
        })
    }

    /// Waits until an operation has ended.
    ///
    /// # Errors
    /// When the database cannot be read, or there is no such operation.
    pub async fn wait(&self, tenant: &Tenant, id: &OperationId) -> Result<Operation, StoreError> {
        loop {
            // Listen before looking, so that a ring in between is not missed.
            let bell = self.inner.bell.notified();
            match self.get(tenant, id).await? {
                Some(operation) if operation.state.is_final() => return Ok(operation),
                Some(_) => bell.await,
                None => return Err(StoreError::Corrupt(format!("operation {id} is gone"))),
            }
        }
    }
}

impl Follower {
    async fn next(&mut self) -> Result<Option<FollowItem>, StoreError> {
        loop {
            if let Some(line) = self.page.pop_front() {
                self.after = line.seq;
                return Ok(Some(FollowItem::Line(line)));
            }
            if self.ended {
                return Ok(None);
            }
            let operations = self.operations.clone();
            let bell = operations.inner.bell.notified();
            // The row is read before the lines: what ended before had all its lines on disk by then.
            let Some(operation) = self.operations.get(&self.tenant, &self.id).await? else { return Ok(None) };
            let lines = store::lines(&self.operations.inner.store, &self.tenant, &self.id, self.after, PAGE).await?;
            if !lines.is_empty() {
                self.page.extend(lines);
            } else if operation.state.is_final() {
                self.ended = true;
                return Ok(Some(FollowItem::End(Box::new(operation))));
            } else {
                bell.await;
            }
        }
    }
}
