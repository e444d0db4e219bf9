//! Whether a new version does worse than the old one, by what the ingress counted of both. Pure statistics.
//!
//! A new version is called worse only when the difference matters (it is beyond the tolerance) and cannot well be chance
//! (a one-sided test at [`ALPHA`]). Shares of errors are compared by Fisher's exact test, or by the two-proportion z-test
//! where the counts are large enough for it; latencies by the share of the new version's requests that are slower than
//! a bound that only 5 % of the old one's may pass. Two bad verdicts on separate windows in a row (the default) end a
//! rollout, so that a good version is taken back by chance about once in 10,000 windows.

use crate::stack::model::Analysis;

/// The chance at which a difference counts as shown.
const ALPHA: f64 = 0.01;
/// The z-test may be used when each of the four expected counts is at least this (Cochran's rule).
const ENOUGH_FOR_Z: f64 = 5.0;
/// The quantile that is compared, as a share.
const QUANTILE: f64 = 0.95;
/// A quantile is not called slower for less than this: below, timers and schedulers decide.
const FLOOR_US: f64 = 5_000.0;

/// What one version answered in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: u64,
    /// Answers of the 5xx class, and requests that got none.
    pub errors: u64,
    pub latency: Latencies,
}

/// How long answers took: counts by upper bound in microseconds, bounds ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(pub Vec<(u64, u64)>);

impl Latencies {
    fn total(&self) -> u64 {
        self.0.iter().map(|(_, n)| n).sum()
    }

    /// The bound below which this share of all lies; `None` without any.
    fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.total() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = |(_, n): &&(u64, u64)| {
            seen += n;
            seen >= wanted
        };
        self.0.iter().find(reached).map(|(bound, _)| *bound)
    }

    /// How many took longer than this.
    fn above(&self, bound: f64) -> u64 {
        self.0.iter().filter(|(b, _)| *b as f64 > bound).map(|(_, n)| n).sum()
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        let mut all: std::collections::BTreeMap<u64, u64> = self.0.iter().copied().collect();
        for (bound, n) in &other.0 {
            *all.entry(*bound).or_default() += n;
        }
        self.0 = all.into_iter().collect();
    }
}

impl Tally {
    /// Adds what another instance of the same version answered.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.add(&other.latency);
    }

    /// What was added to an earlier total; everything, when that was larger (whoever counts began anew).
    #[must_use]
    pub fn minus(&self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier.filter(|e| e.requests <= self.requests && e.errors <= self.errors) else {
            return self.clone();
        };
        let before: std::collections::BTreeMap<u64, u64> = earlier.latency.0.iter().copied().collect();
        let added = |(bound, n): &(u64, u64)| (*bound, n.saturating_sub(before.get(bound).copied().unwrap_or(0)));
        let latency = self.latency.0.iter().map(added).filter(|(_, n)| *n > 0).collect();
        Self {
            requests: self.requests - earlier.requests,
            errors: self.errors - earlier.errors,
            latency: Latencies(latency),
        }
    }

    fn error_share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// What the comparison comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Too few requests to say anything.
    Unknown {
        answered: u64,
        needed: u64,
    },
    Good,
    /// In words that follow the version's name.
    Worse(String),
}

/// Compares what the new version did with what the old one did at the same time.
#[must_use]
pub fn compare(old: &Tally, new: &Tally, rules: &Analysis) -> Verdict {
    let needed = u64::from(rules.min_requests.max(1));
    let answered = old.requests.min(new.requests);
    if answered < needed {
        return Verdict::Unknown { answered, needed };
    }
    let tolerance = f64::from(rules.error_rate_permille) / 1_000.0;
    let (before, after) = (old.error_share(), new.error_share());
    if after > before + tolerance && errors_by_chance(old, new) < ALPHA {
        return Verdict::Worse(format!(
            "answers {} of its {} requests with an error ({:.1} %), the old version {:.1} %",
            new.errors,
            new.requests,
            after * 100.0,
            before * 100.0
        ));
    }
    if let Some(text) = slower(&old.latency, &new.latency, f64::from(rules.latency_permille) / 1_000.0) {
        return Verdict::Worse(text);
    }
    Verdict::Good
}

/// How likely it is that the new version shows so many errors or more when both are equally good.
#[must_use]
pub fn errors_by_chance(old: &Tally, new: &Tally) -> f64 {
    let (n1, n2) = (old.requests as f64, new.requests as f64);
    let errors = (old.errors + new.errors) as f64;
    let share = errors / (n1 + n2);
    let least = [n1 * share, n2 * share, n1 * (1.0 - share), n2 * (1.0 - share)].into_iter().fold(f64::MAX, f64::min);
    if least >= ENOUGH_FOR_Z {
        let spread = (share * (1.0 - share) * (1.0 / n1 + 1.0 / n2)).sqrt();
        return normal_tail((new.error_share() - old.error_share()) / spread);
    }
    fisher_tail(old.requests, old.errors, new.requests, new.errors)
}

/// Whether the new version's 95th percentile lies beyond `factor` times the old one's, and not by chance: of the new
/// version's requests more are above that bound than 5 % can explain.
fn slower(old: &Latencies, new: &Latencies, factor: f64) -> Option<String> {
    let (before, after) = (old.quantile(QUANTILE)? as f64, new.quantile(QUANTILE)? as f64);
    let bound = (before * factor).max(before + FLOOR_US);
    if after <= bound {
        return None;
    }
    let (n, expected) = (new.total() as f64, 1.0 - QUANTILE);
    let above = new.above(bound) as f64 / n;
    let z = (above - expected) / (expected * (1.0 - expected) / n).sqrt();
    let text = || {
        format!(
            "answers 95 % of its requests within {:.0} ms, the old version within {:.0} ms",
            after / 1e3,
            before / 1e3
        )
    };
    (normal_tail(z) < ALPHA).then(text)
}

/// The probability that a standard normal value is above `z` (Abramowitz and Stegun 26.2.17, error below 1e-7).
#[must_use]
pub fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let coefficients = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = coefficients.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

/// Fisher's exact test, one-sided: the chance of `errors_new` or more errors among `n_new`, given the sum of errors.
#[must_use]
pub fn fisher_tail(n_old: u64, errors_old: u64, n_new: u64, errors_new: u64) -> f64 {
    let errors = errors_old + errors_new;
    let log_choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let all = log_choose(n_old + n_new, errors);
    let chance = |k: u64| (log_choose(n_new, k) + log_choose(n_old, errors - k) - all).exp();
    (errors_new..=errors.min(n_new)).filter(|k| errors - k <= n_old).map(chance).sum::<f64>().min(1.0)
}

/// ln n!, exact up to 255 and by Stirling's series above (error below 1e-10).
fn ln_factorial(n: u64) -> f64 {
    if n < 256 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}
