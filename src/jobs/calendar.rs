//! What schedules owe, written down: runs that are due, and those that were missed.

use std::collections::BTreeMap;

use super::due::{Due, due};
use super::handle::{Jobs, SCHEDULE, StartError, Wanted};
use super::model::{Definition, Run, RunState, Trigger};
use super::places::Place;
use super::store::{runs, schedules};
use super::task::CALM_MS;
use super::timetable::Timetable;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::OperationId;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;

impl Jobs {
    /// Makes the runs that are due; gives the next moments.
    pub(super) async fn follow_schedules(&self, place: &Place) -> Result<Vec<Timestamp>, StoreError> {
        let Some((revision, definitions)) = &place.serving else { return Ok(Vec::new()) };
        let scheduled: Vec<&Definition> = definitions.iter().filter(|d| d.schedule.is_some()).collect();
        let tenant = Tenant::platform(place.environment.tenant_id.clone());
        let (id, parts) = (&place.environment.id, &self.inner.parts);
        let cursors = schedules::list(&parts.store, &tenant, id).await?;
        let now = parts.clock.now();
        let mut next = Vec::new();
        for definition in &scheduled {
            let Some(schedule) = &definition.schedule else { continue };
            let table = match Timetable::new(schedule) {
                Ok(table) => table,
                Err(reason) => {
                    tracing::error!(environment.id = %id, subject = %definition.subject, reason, "a schedule cannot be followed");
                    continue;
                }
            };
            let text = format!("{} {}", schedule.cron, schedule.zone);
            let cursor = cursors.iter().find(|c| c.subject == definition.subject && c.timetable == text);
            let owed = match cursor {
                // It begins with what comes from now on. A clock that was set back far begins anew as well.
                None => None,
                Some(c) if c.seen_until.since_ms(now) > CALM_MS => None,
                Some(c) if c.suspended_by.is_some() => continue,
                Some(c) => match due(&table, definition.misfire, c.seen_until, now) {
                    Some(owed) => Some(owed),
                    None => {
                        next.extend(table.after(now));
                        continue;
                    }
                },
            };
            next.extend(table.after(now));
            let mut tx = parts.store.write().await?;
            schedules::put(&mut tx, &tenant, id, &definition.subject, &text, now).await?;
            if let Some(owed) = owed.filter(|_| place.runs) {
                self.pay(&mut tx, &tenant, place, definition, *revision, owed).await?;
            }
            tx.commit().await?;
        }
        for cursor in cursors.iter().filter(|c| scheduled.iter().all(|d| d.subject != c.subject)) {
            let mut tx = parts.store.write().await?;
            schedules::remove(&mut tx, &tenant, id, &cursor.subject).await?;
            tx.commit().await?;
        }
        Ok(next)
    }

    /// Records what a schedule owes.
    async fn pay(
        &self,
        tx: &mut crate::store::Write,
        tenant: &Tenant,
        place: &Place,
        definition: &Definition,
        revision: i64,
        owed: Due,
    ) -> Result<(), StoreError> {
        let environment = &place.environment.id;
        let (moment, trigger) = match owed {
            Due::Run { moment, trigger } => (moment, trigger),
            Due::Missed { moment } => (moment, Trigger::Schedule),
        };
        if runs::is_known(tx, tenant, environment, &definition.subject, moment).await? {
            // The clock was set back over it.
            return Ok(());
        }
        let missed = matches!(owed, Due::Missed { .. });
        let unable = definition.with(BTreeMap::new()).err();
        if let Some(reason) = unable.or_else(|| missed.then(|| "the platform was not running at its time".to_owned())) {
            return self.leave_out(tx, tenant, place, definition, revision, moment, reason).await;
        }
        let program = definition.with(BTreeMap::new()).unwrap_or_else(|_| definition.program.clone());
        let wanted =
            Wanted { environment, definition, program, revision, trigger, actor: SCHEDULE, moment: Some(moment) };
        match self.enter(tx, tenant, wanted).await {
            Ok(run) => {
                tracing::info!(run.id = %run.id, subject = %run.subject, number = run.number, state = run.state.as_str(), "a run is due");
                Ok(())
            }
            Err(StartError::Store(error)) => Err(error),
            Err(error) => self.leave_out(tx, tenant, place, definition, revision, moment, error.to_string()).await,
        }
    }

    /// Notes a run that does not take place.
    #[expect(clippy::too_many_arguments, reason = "all that a run is known by")]
    async fn leave_out(
        &self,
        tx: &mut crate::store::Write,
        tenant: &Tenant,
        place: &Place,
        definition: &Definition,
        revision: i64,
        moment: Timestamp,
        reason: String,
    ) -> Result<(), StoreError> {
        let (parts, environment) = (&self.inner.parts, &place.environment.id);
        let now = parts.clock.now();
        let run = Run {
            id: OperationId::new(now, &parts.random),
            tenant: tenant.id().clone(),
            environment: environment.clone(),
            subject: definition.subject.clone(),
            number: runs::next_number(tx, tenant, environment, &definition.subject).await?,
            revision,
            trigger: Trigger::Schedule,
            actor: SCHEDULE.to_owned(),
            scheduled_for: Some(moment),
            program: definition.program.clone(),
            state: RunState::Skipped,
            alone: true,
            cancelled_by: None,
            reason: Some(reason),
            created_at: now,
            started_at: None,
            finished_at: Some(now),
        };
        runs::insert(tx, tenant, &run).await?;
        self.forget_old(tx, tenant, &run, definition.history).await
    }
}
