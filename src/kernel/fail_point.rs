//! Places at which a test may let this process die, as by `kill -9`, to see what is true afterwards. A release build has
//! none of them.
//!
//! [`FILE`] names a file. While it holds a number, each place that is reached counts it down; the process dies at the place
//! that finds a 1, and leaves the name of the place in the file, so that the next process does not die again.

/// The environment variable that names the file.
pub const FILE: &str = "WHARF_FAIL_POINTS";

/// A place is reached.
#[cfg(debug_assertions)]
pub fn reach(place: &str) {
    use std::path::PathBuf;
    use std::sync::{Mutex, OnceLock, PoisonError};

    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let Some(path) = PATH.get_or_init(|| std::env::var_os(FILE).map(PathBuf::from)) else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let left = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match left {
        None | Some(0) => {}
        Some(1) => {
            let _ = std::fs::write(path, place);
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        Some(n) => drop(std::fs::write(path, (n - 1).to_string())),
    }
}

/// A place is reached, and nothing happens.
#[cfg(not(debug_assertions))]
pub fn reach(_place: &str) {}
