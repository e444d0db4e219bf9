//! `pre-receive`: this binary under another name. It carries what git tells it to the server, prints what
//! the server says as it comes, and exits with the verdict. It decides nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use super::hook_protocol::{HookReply, HookRequest, RefUpdate, SOCKET_VARIABLE, TOKEN_VARIABLE};

/// More push options than this are not read; the server knows two.
const MAX_OPTIONS: usize = 64;

/// Whether this process was started as the hook, judged by its zeroth argument.
#[must_use]
pub fn is_hook(program: Option<&std::ffi::OsStr>) -> bool {
    program.is_some_and(|name| Path::new(name).file_name() == Some("pre-receive".as_ref()))
}

/// Runs the hook; call it from `main` when [`is_hook`] says so.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error of the hook reaches the pusher as `remote:` lines.
            let _ = writeln!(io::stderr(), "Wharf could not take this push: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let request = request(&mut io::stdin().lock(), |name| std::env::var(name).ok())?;
    let socket = variable(SOCKET_VARIABLE)?;
    let mut stream = UnixStream::connect(socket).map_err(|e| {
        io::Error::new(e.kind(), format!("the server does not answer ({e}); it may be restarting, push again"))
    })?;
    serde_json::to_writer(&mut stream, &request)?;
    stream.write_all(b"\n")?;
    let mut out = io::stdout().lock();
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            HookReply::Say(text) => {
                writeln!(out, "{text}")?;
                out.flush()?;
            }
            HookReply::End { accepted } => return Ok(accepted),
        }
    }
    Err(io::Error::other("the server broke off; look at `wharf status`, then push again"))
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| {
        io::Error::other(format!("{name} is not set; this program is run by git inside a push to Wharf, not by hand"))
    })
}

/// Collects what git gives the hook: updates on standard input, the rest in the environment.
fn request(input: &mut impl Read, variable_of: impl Fn(&str) -> Option<String>) -> io::Result<HookRequest> {
    let mut text = String::new();
    input.read_to_string(&mut text)?;
    let updates = text.lines().map(update).collect::<io::Result<Vec<_>>>()?;
    let count = variable_of("GIT_PUSH_OPTION_COUNT").and_then(|n| n.parse().ok()).unwrap_or(0_usize);
    let options = (0..count.min(MAX_OPTIONS)).filter_map(|n| variable_of(&format!("GIT_PUSH_OPTION_{n}"))).collect();
    let quarantine = variable_of("GIT_QUARANTINE_PATH")
        .and_then(|path| Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()));
    let token = variable_of(TOKEN_VARIABLE).unwrap_or_default();
    Ok(HookRequest { token, quarantine, options, updates })
}

fn update(line: &str) -> io::Result<RefUpdate> {
    let mut parts = line.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(old), Some(new), Some(name)) => {
            Ok(RefUpdate { old: old.to_owned(), new: new.to_owned(), name: name.to_owned() })
        }
        _ => Err(io::Error::other(format!("git gave a line that is no reference update: {line}"))),
    }
}
