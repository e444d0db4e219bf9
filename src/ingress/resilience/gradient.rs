//! The adaptive concurrency limit: Gradient2 of Netflix's concurrency-limits. The ratio of the long-term latency to that of the
//! last window is the gradient: when requests take longer than they used to, they queue somewhere, and the limit
//! shrinks by that ratio; otherwise it grows by a small queue. Pure.

/// The latency may rise by this factor before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// Requests that may queue: what the limit grows by.
const QUEUE: f64 = 4.0;
/// How fast the limit follows what was computed.
const SMOOTHING: f64 = 0.2;
/// Windows the long-term average spans.
const LONG_WINDOW: f64 = 600.0;
/// Windows that warm the long-term average up by a plain mean.
const WARM_UP: u32 = 10;
/// Samples a window needs.
const MIN_SAMPLES: u32 = 10;
/// Length of a window.
const WINDOW_MS: u64 = 1_000;

/// Bounds of the limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub min: f64,
    pub max: f64,
}

/// The limit and what it is computed from.
#[derive(Debug)]
pub(crate) struct Gradient {
    limit: f64,
    long_rtt: f64,
    windows: u32,
    window: Window,
}

#[derive(Debug, Default)]
struct Window {
    ends_ms: u64,
    samples: u32,
    sum_us: f64,
    most_in_flight: u32,
}

impl Gradient {
    pub(crate) fn new(initial: f64) -> Self {
        Self { limit: initial, long_rtt: 0.0, windows: 0, window: Window::default() }
    }

    /// A request ended after `micros` with so many in flight when it began; the limit, when a window was complete.
    pub(crate) fn sample(&mut self, bounds: Bounds, now_ms: u64, micros: u64, in_flight: u32) -> Option<f64> {
        let window = &mut self.window;
        if window.ends_ms == 0 {
            window.ends_ms = now_ms + WINDOW_MS;
        }
        window.samples += 1;
        window.sum_us += micros as f64;
        window.most_in_flight = window.most_in_flight.max(in_flight);
        if now_ms < window.ends_ms || window.samples < MIN_SAMPLES {
            return None;
        }
        let (rtt, in_flight) = (window.sum_us / f64::from(window.samples), window.most_in_flight);
        self.window = Window { ends_ms: now_ms + WINDOW_MS, ..Window::default() };
        Some(self.update(bounds, rtt, in_flight))
    }

    /// The limit after a window with this mean latency and most requests in flight.
    pub(crate) fn update(&mut self, bounds: Bounds, short_rtt: f64, in_flight: u32) -> f64 {
        let short_rtt = short_rtt.max(1.0);
        self.windows = self.windows.saturating_add(1);
        self.long_rtt = if self.windows <= WARM_UP {
            self.long_rtt + (short_rtt - self.long_rtt) / f64::from(self.windows)
        } else {
            let factor = 2.0 / (LONG_WINDOW + 1.0);
            self.long_rtt * (1.0 - factor) + short_rtt * factor
        };
        // Things became much faster for good: do not take hundreds of windows to notice.
        if self.long_rtt / short_rtt > 2.0 {
            self.long_rtt *= 0.95;
        }
        // Too few requests to learn anything about more of them.
        if f64::from(in_flight) < self.limit / 2.0 {
            return self.limit;
        }
        let gradient = (TOLERANCE * self.long_rtt / short_rtt).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + QUEUE;
        let smoothed = self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING;
        self.limit = smoothed.clamp(bounds.min, bounds.max);
        self.limit
    }
}
