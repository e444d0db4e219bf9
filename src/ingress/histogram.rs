//! A base-2 exponential histogram: four buckets per doubling, so a value is known to within 19 %.
//!
//! Bucket `i` counts values in `(2^(i/4), 2^((i+1)/4)]`, which is scale 2 of OpenTelemetry's exponential histogram:
//! histograms of several threads, processes and times add up exactly.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// 2^(BUCKETS/4) µs = 67 s; longer values count in the last bucket.
pub(crate) const BUCKETS: usize = 104;
/// Buckets per doubling = 2^SCALE.
pub(crate) const SCALE: u32 = 2;

/// Written by one thread, readable by all.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU32; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one value in microseconds.
    pub(crate) fn record(&self, micros: u64) {
        let bucket = &self.buckets[bucket(micros)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        self.sum.store(self.sum.load(Relaxed).wrapping_add(micros), Relaxed);
    }

    /// Adds this histogram to a sum.
    pub(crate) fn add_to(&self, counts: &mut [u64; BUCKETS], sum: &mut u64) {
        for (total, bucket) in counts.iter_mut().zip(&self.buckets) {
            *total += u64::from(bucket.load(Relaxed));
        }
        *sum += self.sum.load(Relaxed);
    }
}

/// Index of the bucket that holds a value.
pub(crate) fn bucket(micros: u64) -> usize {
    if micros <= 1 {
        return 0;
    }
    let quarter_doublings = (micros as f64).log2() * f64::from(1u32 << SCALE);
    (quarter_doublings.ceil() as usize - 1).min(BUCKETS - 1)
}
