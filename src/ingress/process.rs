//! The life of the process: take over or start, serve, drain, leave.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::control::{self, Control, Leave};
use super::disk::SnapshotFile;
use super::engine::Engine;
use super::error::IngressError;
use super::handover::{self, Inheritance};
use super::listen::{Door, Sockets};
use super::log_level::LogLevel;
use super::resilience::{probe, sweep};
use super::shared::Shared;
use super::snapshot::{Snapshot, VERSION};
use super::tls::{self, Resolver};
use super::{access_log, config_file, listen};

/// Descriptors left for files, the control socket and connections to upstreams beside clients.
const RESERVED_FILES: u64 = 256;
/// How long a lock that is just being let go is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// Pause between looks at routes held against a suspect snapshot.
const REVIEW: Duration = Duration::from_secs(5);

/// How to run an ingress.
#[derive(Clone, Debug, Default)]
pub struct IngressConfig {
    /// Holds the control socket `ingress.sock` and its lock.
    pub run_dir: PathBuf,
    /// Holds `ingress/snapshot.json` and `telemetry/access.log`.
    pub data_dir: PathBuf,
    /// Addresses for plain HTTP; bound exactly as given. Not used when sockets are inherited.
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTPS; certificates come with the snapshot.
    pub https: Vec<SocketAddr>,
    /// Worker threads; 0 = one per CPU.
    pub workers: usize,
    /// How long open requests may take to finish after a stop or a handover.
    pub drain: Duration,
    /// Stand-alone: serve this snapshot file instead of the one in the data directory, and each later version of it.
    pub config_file: Option<PathBuf>,
    /// What the process logs, if that can be changed.
    pub log_level: Option<LogLevel>,
}

/// Runs an ingress until `shutdown` completes, a drain is asked for, or a successor has taken over.
///
/// When an ingress runs in the same run directory already, its sockets are taken over and it drains.
///
/// # Errors
/// When a file, socket or thread that is needed cannot be had; nothing is left behind then.
pub async fn run(config: IngressConfig, shutdown: impl Future<Output = ()>) -> Result<(), IngressError> {
    // First of all: a file that cannot be used must not disturb an ingress that runs.
    let configured = config.config_file.as_deref().map(config_file::read).transpose()?;
    make_dir(&config.run_dir)?;
    make_dir(&config.data_dir)?;
    let socket = config.run_dir.join("ingress.sock");
    let start = Start::find(&config.run_dir, &socket).await?;
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let disk = SnapshotFile::in_data_dir(&config.data_dir);
    let (snapshot, disk) = match (configured, &start) {
        (Some(snapshot), _) => (snapshot, None),
        (None, Start::Inherit(inheritance)) => (inheritance.snapshot.clone(), Some(disk)),
        (None, Start::Fresh(_)) => (disk.load().unwrap_or_else(empty), Some(disk)),
    };
    let (doors, inheritance, lock) = match start {
        Start::Inherit(mut inheritance) => {
            let doors = with_https(std::mem::take(&mut inheritance.doors), &config, workers);
            (doors, Some(inheritance), None)
        }
        Start::Fresh(lock) => (bind_all(&config, workers)?, None, Some(lock)),
    };
    let mut inheritance = inheritance;
    let ports = inheritance.as_mut().map(|inheritance| std::mem::take(&mut inheritance.ports)).unwrap_or_default();
    let folder = config.data_dir.join("telemetry");
    let log = access_log::start(&folder).map_err(|source| IngressError::File {
        action: "open the access log in",
        path: folder,
        source,
    })?;
    let resolver = Arc::new(Resolver::default());
    let tls = tls::server_config(Arc::clone(&resolver))?;
    let shared = Arc::new(Shared::new(workers, log, raise_file_limit()));
    let (engine, threads) = Engine::start(snapshot, disk, shared, workers, Sockets { doors, ports }, tls, resolver)?;
    engine.follow_listeners().await;
    let lock = match (lock, inheritance) {
        (Some(lock), _) => lock,
        (None, inheritance) => take_over(inheritance, &config.run_dir).await?,
    };
    let engine = Arc::new(engine);
    let following = config.config_file.map(|path| tokio::spawn(config_file::follow(path, Arc::clone(&engine))));
    let leave = serve_control(&engine, &socket, lock, config.log_level, shutdown).await?;
    following.iter().for_each(tokio::task::JoinHandle::abort);
    tracing::info!(?leave, "draining");
    engine.drain(threads, config.drain).await;
    Ok(())
}

/// Serves the control socket until it is time to leave; then lets go of socket and lock.
async fn serve_control(
    engine: &Arc<Engine>,
    socket: &Path,
    lock: Lock,
    log_level: Option<LogLevel>,
    shutdown: impl Future<Output = ()>,
) -> Result<Leave, IngressError> {
    let listener = bind_control(socket)?;
    let (leave, mut leaving) = watch::channel(Leave::Stay);
    let (release, released) = watch::channel(false);
    let control = Arc::new(Control { engine: Arc::clone(engine), leave, log_level, released });
    let serving = tokio::spawn(control::serve(Arc::clone(&control), listener));
    let reviewed = Arc::clone(engine);
    let reviewing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(REVIEW).await;
            reviewed.review_held().await;
            reviewed.review_listeners().await;
        }
    });
    let sweeping = tokio::spawn(sweep::run(Arc::clone(engine)));
    let probing = tokio::spawn(probe::run(Arc::clone(engine)));
    tracing::info!(http = ?engine.addresses, https = ?engine.tls_addresses, generation = engine.table().snapshot.generation, "ingress serves");
    tokio::select! {
        () = shutdown => { control.leave.send_replace(Leave::Asked); }
        _ = leaving.wait_for(|leave| *leave != Leave::Stay) => {}
    }
    let why = *control.leave.borrow();
    serving.abort();
    reviewing.abort();
    sweeping.abort();
    probing.abort();
    // The file is removed while the lock is held, so it is surely ours; a successor renames its own over it.
    if why != Leave::Succeeded {
        let _ = fs::remove_file(socket);
    }
    drop(lock);
    release.send_replace(true);
    Ok(why)
}

/// How this process begins.
enum Start {
    Fresh(Lock),
    Inherit(Box<Inheritance>),
}

impl Start {
    /// Takes the lock, or the sockets of the process that has it.
    async fn find(run_dir: &Path, socket: &Path) -> Result<Self, IngressError> {
        let end = tokio::time::Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = Lock::take(run_dir)? {
                return Ok(Self::Fresh(lock));
            }
            let path = socket.to_owned();
            if let Some(inheritance) = blocking(move || handover::inherit(&path)).await? {
                return Ok(Self::Inherit(Box::new(inheritance)));
            }
            if tokio::time::Instant::now() >= end {
                return Err(IngressError::Locked { lock: run_dir.join("ingress.lock") });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn take_over(inheritance: Option<Box<Inheritance>>, run_dir: &Path) -> Result<Lock, IngressError> {
    if let Some(inheritance) = inheritance {
        blocking(move || inheritance.take_over()).await?;
    }
    let end = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = Lock::take(run_dir)? {
            return Ok(lock);
        }
        if tokio::time::Instant::now() >= end {
            return Err(IngressError::Locked { lock: run_dir.join("ingress.lock") });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngressError> + Send + 'static,
) -> Result<T, IngressError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| Err(IngressError::Handover { reason: error.to_string() }))
}

/// The right to own the control socket of a run directory; let go by the kernel when the process dies.
#[derive(Debug)]
struct Lock(#[expect(dead_code, reason = "held open: closing the file lets go of the lock")] File);

impl Lock {
    fn take(run_dir: &Path) -> Result<Option<Self>, IngressError> {
        let path = run_dir.join("ingress.lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| IngressError::File { action: "open", path, source })?;
        Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Self(file)))
    }
}

/// Binds the control socket beside its place and renames it there: whoever connects finds a socket that answers.
fn bind_control(socket: &Path) -> Result<UnixListener, IngressError> {
    let draft = socket.with_extension("sock.new");
    let failed = |source| IngressError::File { action: "bind", path: socket.to_owned(), source };
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&draft, socket).map_err(failed)?;
    Ok(listener)
}

fn bind_all(config: &IngressConfig, workers: usize) -> Result<Vec<Door>, IngressError> {
    if config.http.is_empty() && config.https.is_empty() {
        return Err(IngressError::NoAddress);
    }
    let plain = config.http.iter().map(|address| (address, false));
    let secure = config.https.iter().map(|address| (address, true));
    let mut doors = Vec::new();
    for (address, is_tls) in plain.chain(secure) {
        match listen::bind(*address, workers) {
            Ok(bound) => doors.extend(bound.into_iter().map(|listener| Door { listener, is_tls })),
            // A system without IPv6 still serves "all addresses".
            Err(IngressError::Bind { source, .. }) if is_ipv6_missing(*address, &source) && !doors.is_empty() => {
                tracing::warn!(%address, error = %source, "serving IPv4 only");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(doors)
}

/// Doors for HTTPS beside inherited ones that have none: the predecessor was started without. What cannot be had is left.
fn with_https(mut doors: Vec<Door>, config: &IngressConfig, workers: usize) -> Vec<Door> {
    if doors.iter().any(|door| door.is_tls) {
        return doors;
    }
    for address in &config.https {
        match listen::bind(*address, workers) {
            Ok(bound) => doors.extend(bound.into_iter().map(|listener| Door { listener, is_tls: true })),
            Err(error) => tracing::warn!(%address, %error, "no HTTPS here"),
        }
    }
    doors
}

fn is_ipv6_missing(address: SocketAddr, error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::NOPROTOOPT].map(|errno| Some(errno.raw_os_error()));
    address.is_ipv6() && address.ip().is_unspecified() && missing.contains(&code)
}

fn make_dir(path: &Path) -> Result<(), IngressError> {
    fs::create_dir_all(path).map_err(|source| IngressError::File { action: "create", path: path.to_owned(), source })
}

fn empty() -> Snapshot {
    Snapshot { version: VERSION, boot: "none".into(), ..Snapshot::default() }
}

/// Takes all open files the system allows; returns how many client connections that is enough for.
fn raise_file_limit() -> u32 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    // A busy client connection needs one to an upstream, but most are idle at any moment.
    u32::try_from(files.saturating_sub(RESERVED_FILES) / 3 * 2).unwrap_or(u32::MAX).max(64)
}
