//! What the process logs, changeable while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Change = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// The filter of the process's log, as the program that set logging up gives it to the ingress.
#[derive(Clone)]
pub struct LogLevel {
    current: Arc<Mutex<String>>,
    change: Arc<Change>,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").field("current", &self.get()).finish_non_exhaustive()
    }
}

impl LogLevel {
    /// `change` uses a new filter (`info`, `wharf::ingress=debug`) or says what is wrong with it.
    pub fn new(current: &str, change: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { current: Arc::new(Mutex::new(current.to_owned())), change: Arc::new(change) }
    }

    /// The filter in use.
    #[must_use]
    pub fn get(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses another filter.
    ///
    /// # Errors
    /// When the filter cannot be read; the one in use stays.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        (self.change)(filter)?;
        filter.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}
