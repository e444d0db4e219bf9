//! The planner's figures in one place. They are a value, so that a simulation can shorten them.

/// Deadlines, patience and bounds the planner works with. All times are milliseconds.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long an instance that left the routes may go on answering requests it already has.
    pub drain_ms: i64,
    /// How long a target may go without progress at most, whatever its services allow.
    pub rollout_ms: i64,
    /// How long a rollout waits for a person: in a pause, or at a step that somebody must end.
    pub patience_ms: i64,
    /// How often in a row a pet is started again before a person is called.
    pub pet_restarts: u32,
    /// First wait before a crashed instance is started again; doubles with each crash in a row.
    pub backoff_first_ms: i64,
    /// Longest wait between two starts of a crashing instance.
    pub backoff_max_ms: i64,
    /// A run this long after becoming healthy wipes out the crashes before it.
    pub stable_ms: i64,
    /// How long a serving instance may fail its checks before it is stopped and started again.
    pub ill_ms: i64,
    /// How long a new instance may listen on nothing but a wrong address before its revision is failed.
    pub misplaced_ms: i64,
    /// Instances of one environment that may be starting at the same time. It is per environment, so that
    /// one tenant's slow starts never hold up another's.
    pub parallel_starts: u32,
    /// How often an instance of a new revision may end, or fail to start, before the revision is failed.
    pub target_attempts: u32,
    /// Crashes in a row from which on people are told of a crash loop.
    pub crash_loop: u32,
    /// The machine is short of memory when less than this share of it is free, in thousandths.
    pub memory_low_permille: u64,
    /// What has yielded comes back when so much is free again.
    pub memory_enough_permille: u64,
    /// How long what has yielded may take to show in the figures, before more yields.
    pub yield_step_ms: i64,
    /// How long enough must be free before something that has yielded comes back.
    pub relief_ms: i64,
    /// The machine is short of processor time when it was busier than this all the while, in thousandths.
    pub cpu_busy_permille: u32,
    /// How long it must have been so.
    pub cpu_patience_ms: i64,
    /// A fault planted on purpose, to see that the checks find it.
    #[cfg(test)]
    pub bug: Option<Bug>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            drain_ms: 30_000,
            rollout_ms: 24 * 3_600_000,
            patience_ms: 24 * 3_600_000,
            pet_restarts: 3,
            backoff_first_ms: 1_000,
            backoff_max_ms: 300_000,
            stable_ms: 60_000,
            ill_ms: 15_000,
            misplaced_ms: 15_000,
            parallel_starts: 4,
            target_attempts: 2,
            crash_loop: 5,
            memory_low_permille: 30,
            memory_enough_permille: 100,
            yield_step_ms: 10_000,
            relief_ms: 60_000,
            cpu_busy_permille: 980,
            cpu_patience_ms: 300_000,
            #[cfg(test)]
            bug: None,
        }
    }
}

impl Policy {
    /// How long after its end an instance that ended `crashes` times in a row is started again.
    #[must_use]
    pub fn backoff_ms(&self, crashes: u32) -> i64 {
        match crashes {
            0 => 0,
            n => self.backoff_first_ms.saturating_mul(1_i64 << (n - 1).min(30)).min(self.backoff_max_ms),
        }
    }
}

/// Faults the simulation plants into the planner; each must be found by a property.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Stops what left the wanted set without waiting for the routes.
    StopWithoutDrain,
    /// Calls a target good when its first instance is.
    ServeTooEarly,
    /// Never removes what has ended.
    LeaveOrphans,
    /// Sends traffic to instances that have not passed.
    RouteUnproven,
    /// Never gives a target up.
    NeverFail,
    /// Takes the old revision away as soon as a target is set.
    RetireServingEarly,
    /// Does not start a crashed instance again.
    ForgetCrashed,
    /// Takes more old instances away in a rolling change than may be missing.
    BelowMinimum,
    /// Starts a second version of what must run alone.
    TwoWriters,
    /// Starts services before those they depend on, and stops them after.
    IgnoreOrder,
    /// Starts a pet again for ever.
    NeverGiveUpPet,
    /// Calls a canary good that does worse.
    IgnoreVerdict,
    /// Starts more than a quota allows.
    IgnoreQuota,
    /// Takes the instances of another tenant for its own.
    MixTenants,
    /// Lets what matters more yield first.
    YieldTheWrongWay,
}

/// Whether this fault is planted; always false outside tests.
macro_rules! planted {
    ($policy:expr, $bug:ident) => {{
        #[cfg(test)]
        let planted = $policy.bug == Some($crate::scheduler::policy::Bug::$bug);
        #[cfg(not(test))]
        let planted = {
            let _ = &$policy;
            false
        };
        planted
    }};
}
pub(crate) use planted;
