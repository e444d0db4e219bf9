//! Child processes: an argument vector, an explicit environment, a deadline and a limit on output.
//! There is no way to pass a command line as a string, so there is no shell to inject into.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt;

/// Output kept of a child, in bytes; what goes beyond is read and dropped.
const OUTPUT_LIMIT: usize = 1024 * 1024;

/// What to run. The environment of the parent is not inherited except for `PATH`.
#[derive(Debug, Clone)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    deadline: Duration,
}

/// Why a child process did not do its work.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start `{program}`; is it installed?")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// Its output could not be read.
    #[error("cannot read the output of `{program}`")]
    Read {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// It ran too long and was killed.
    #[error("`{program}` did not end within {seconds} s and was stopped")]
    TimedOut { program: String, seconds: u64 },
    /// It ended with a failure.
    #[error("`{program}` failed ({status}): {stderr}")]
    Failed { program: String, status: String, stderr: String },
}

/// What a child that succeeded has printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
}

impl Command {
    /// A command without arguments, with a deadline of 60 seconds.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            deadline: Duration::from_secs(60),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Changes the deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The argument vector, for logs and tests.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.program).chain(&self.args).map(|a| a.to_string_lossy().into_owned()).collect()
    }

    /// The same as a tokio command with piped streams that dies with its handle, for callers that stream.
    #[must_use]
    pub fn to_tokio(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts it as a process of its own that outlives this one: no input, output appended to a file, a process group
    /// of its own. Gives its process id.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn spawn_detached(&self, log: &Path) -> Result<u32, ProcessError> {
        let program = self.program.to_string_lossy().into_owned();
        let start = |source| ProcessError::Start { program: program.clone(), source };
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(start)?;
        let err = out.try_clone().map_err(start)?;
        let child = self
            .to_tokio()
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(start)?;
        Ok(child.id().unwrap_or_default())
    }

    /// Runs it to its end without input and gives back what it printed.
    ///
    /// # Errors
    /// When it cannot be started, ends with a failure, or passes its deadline (then it is killed).
    pub async fn run(&self) -> Result<Output, ProcessError> {
        let program = self.program.to_string_lossy().into_owned();
        let mut child = self
            .to_tokio()
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (out, err) = tokio::join!(read_limited(stdout), read_limited(stderr));
            let read = |source| ProcessError::Read { program: program.clone(), source };
            let status = child.wait().await.map_err(read)?;
            let output = Output { stdout: out.map_err(read)?, stderr: err.map_err(read)? };
            if status.success() {
                return Ok(output);
            }
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(ProcessError::Failed { program: program.clone(), status: status.to_string(), stderr })
        };
        match tokio::time::timeout(self.deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(ProcessError::TimedOut { program, seconds: self.deadline.as_secs() }),
        }
    }
}

async fn read_limited(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return Ok(kept) };
    // On the heap: two of these inside every future that runs a child would make it large.
    let mut chunk = vec![0; 8192];
    loop {
        let n = stream.read(&mut chunk).await?;
        if n == 0 {
            return Ok(kept);
        }
        let room = OUTPUT_LIMIT.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&chunk[..room]);
    }
}
