//! From what a service says of its rollout to the way it goes.

use crate::releases::rollout::Progress;
use crate::stack::model::{Rollout, Strategy, UpdateOrder};
use crate::stack::{Service, ServiceKind};

/// The way one service goes from the old version to the new one.
pub(super) enum Course<'a> {
    /// The whole new set beside the old one, then all traffic.
    AtOnce,
    /// A few instances at a time.
    Rolling(Pace),
    /// A growing share of the traffic.
    Canary(&'a Rollout),
    /// The old one is gone before the new one starts.
    Alone,
}

/// How fast a rolling change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Instances beyond the wanted number at most.
    pub surge: u32,
    /// Instances below the wanted number at most.
    pub unavailable: u32,
    /// Milliseconds between two batches.
    pub delay_ms: i64,
    /// Milliseconds an instance must have been healthy to count.
    pub settle_ms: i64,
}

/// The way from this version of a service to that one. Two that may not run side by side never do.
pub(super) fn course<'a>(old: &Service, new: &'a Service, progress: &Progress) -> Course<'a> {
    let rollout = &new.rollout;
    if !old.may_overlap() || !new.may_overlap() || rollout.strategy == Strategy::Recreate {
        return Course::Alone;
    }
    let routed = old.kind == ServiceKind::Web && new.kind == ServiceKind::Web;
    match rollout.strategy {
        _ if progress.at_once => Course::AtOnce,
        Strategy::Rolling => Course::Rolling(pace(rollout, new.replicas)),
        Strategy::Canary if routed && !rollout.steps.is_empty() => Course::Canary(rollout),
        _ => Course::AtOnce,
    }
}

fn pace(rollout: &Rollout, replicas: u32) -> Pace {
    let first = rollout.order == UpdateOrder::StartFirst;
    let surge = rollout.max_surge.map_or(u32::from(first), |a| a.of_up(replicas));
    let unavailable = rollout.max_unavailable.map_or(u32::from(!first), |a| a.of_down(replicas));
    Pace {
        // One of both must be possible, or nothing could ever change.
        surge: if unavailable == 0 { surge.max(1) } else { surge },
        unavailable,
        delay_ms: i64::from(rollout.delay_seconds) * 1_000,
        settle_ms: i64::from(rollout.min_healthy_seconds.unwrap_or(0)) * 1_000,
    }
}

/// How long the old set is kept running after the new one took over, in milliseconds.
pub(super) fn warm_ms(service: &Service) -> i64 {
    let rollout = &service.rollout;
    let usual = if rollout.strategy == Strategy::BlueGreen { WARM_SECONDS } else { 0 };
    let kept = rollout.strategy != Strategy::Rolling && service.may_overlap();
    if kept { i64::from(rollout.keep_warm_seconds.unwrap_or(usual)) * 1_000 } else { 0 }
}

/// How long the old set of a blue-green switch is kept unless the manifest says otherwise.
const WARM_SECONDS: u32 = 600;
