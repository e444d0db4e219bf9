//! A Wharf to tell stories with: started on free ports, set up, and taken away with all it made in Docker.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apps::Files;
use crate::command::{Done, done};
use crate::http::{self, Load, Reply};
use crate::repo::Repo;

/// No single step of a story takes longer, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The organisation of every story.
pub(crate) const TENANT: &str = "acme";
const WHARF: &str = env!("CARGO_BIN_EXE_wharf");
const PASSWORD: &str = "correct horse battery";

/// One installation.
pub(crate) struct World {
    dir: PathBuf,
    serve: Mutex<Child>,
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) ssh: u16,
    docker: PathBuf,
    installation: String,
    pub(crate) token: String,
}

/// A story's hold on a world; says what the server logged when the story fails.
pub(crate) struct Hold(Arc<World>);

impl Deref for Hold {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tell_what_happened();
        }
    }
}

impl World {
    /// The one that stories share; it goes when no story holds it any more.
    pub(crate) fn shared() -> Hold {
        static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());
        let mut shared = locked(&SHARED);
        if let Some(world) = shared.upgrade() {
            return Hold(world);
        }
        let hold = Self::start();
        *shared = Arc::downgrade(&hold.0);
        hold
    }

    /// One for a single story.
    pub(crate) fn start() -> Hold {
        Self::start_on(Path::new("/var/run/docker.sock"))
    }

    /// One for a single story, on the Docker with this socket.
    pub(crate) fn start_on(docker: &Path) -> Hold {
        Self::start_with(docker, (free_port(), free_port()), "")
    }

    /// One that speaks HTTP and HTTPS on these ports, with these settings of its operator (`wharf.toml`).
    pub(crate) fn start_with(docker: &Path, (http, https): (u16, u16), settings: &str) -> Hold {
        needs_docker(docker);
        let dir = tempfile::Builder::new().prefix("wharf-it-").tempdir().unwrap().keep();
        for name in ["home", "apps"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let ssh = free_port();
        if !settings.is_empty() {
            std::fs::create_dir(dir.join("data")).unwrap();
            std::fs::write(dir.join("data/wharf.toml"), settings).unwrap();
        }
        let serve = Mutex::new(spawn_serve(&dir, docker, (http, https, ssh)));
        let (installation, token) = (String::new(), String::new());
        let mut world = Self { dir, serve, http, https, ssh, docker: docker.to_owned(), installation, token };
        let ready = world.wait_until_ready();
        world.installation = ready["installation"].as_str().unwrap().to_owned();
        world.http = u16::try_from(ready["http_port"].as_u64().unwrap()).unwrap();
        world.https = u16::try_from(ready["https_port"].as_u64().unwrap()).unwrap();
        world.ssh = u16::try_from(ready["ssh_port"].as_u64().unwrap()).unwrap();
        let run = world.dir.join("run").display().to_string();
        let setup =
            ["setup", "--run", &run, "--email", "ann@example.com", "--org", TENANT, "--password-stdin", "--json"];
        world.token = world.cli_with(&setup, &[], PASSWORD).ok().json()["token"].as_str().unwrap().to_owned();
        Hold(Arc::new(world))
    }

    fn wait_until_ready(&self) -> Value {
        let file = self.dir.join("run/ready.json");
        let pid = locked(&self.serve).id();
        until("`wharf serve` is ready", || {
            if let Some(status) = locked(&self.serve).try_wait().unwrap() {
                self.tell_what_happened();
                panic!("`wharf serve` ended: {status}");
            }
            let ready: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            (ready["pid"].as_u64() == Some(u64::from(pid))).then_some(ready)
        })
    }

    /// Runs the command line as ann, outside of any repository.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Done {
        self.cli_with(arguments, &[], "")
    }

    /// The same with other variables (an empty value takes one away) and something on standard input.
    pub(crate) fn cli_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Done {
        done(self.cli_command(arguments, variables), input)
    }

    /// A command line that was not started yet.
    pub(crate) fn cli_command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(WHARF);
        self.clean(&mut command);
        command.args(arguments).current_dir(self.dir.join("home"));
        command.env("WHARF_URL", self.portal()).env("WHARF_TENANT", TENANT);
        if !self.token.is_empty() {
            command.env("WHARF_TOKEN", &self.token);
        }
        for (name, value) in variables {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        command
    }

    /// Nothing of this machine's or its user's configuration.
    pub(crate) fn clean(&self, command: &mut Command) {
        let home = self.dir.join("home");
        command.env("HOME", &home).env("XDG_CONFIG_HOME", home.join(".config"));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("no_proxy", "*")
            .env("NO_COLOR", "1");
        for name in ["WHARF_APP", "WHARF_TENANT", "WHARF_URL", "WHARF_TOKEN", "WHARF_RUN", "WHARF_DATA"] {
            command.env_remove(name);
        }
    }

    /// The data directory of the server.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn portal(&self) -> String {
        format!("http://wharf.localhost:{}", self.http)
    }

    /// A fresh directory.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        tempfile::Builder::new().prefix(name).tempdir_in(self.dir.join("apps")).unwrap().keep()
    }

    /// Makes an app, and a repository for it with these files as its first commit.
    pub(crate) fn app(&self, name: &str, files: &Files) -> Repo<'_> {
        self.cli(&["apps", "create", name, "--no-remote"]).ok();
        let repo = self.repository(name);
        repo.commit(files);
        repo
    }

    /// An empty repository for an app.
    pub(crate) fn repository(&self, app: &str) -> Repo<'_> {
        let repo = Repo { world: self, app: app.to_owned(), dir: self.directory(app) };
        repo.git(&["init", "--quiet", "--initial-branch=main", "."]).ok();
        repo
    }

    /// Asks an app.
    pub(crate) fn get(&self, app: &str, path: &str) -> Reply {
        let host = format!("{app}.localhost");
        http::get(self.http, &host, path).unwrap_or_else(|e| panic!("{host}{path}: {e}"))
    }

    /// Constant load on an app.
    pub(crate) fn load(&self, app: &str, rate: u32) -> Load {
        Load::start(self.http, &format!("{app}.localhost"), rate)
    }

    /// The name of this Wharf, as the labels of what it makes in Docker have it.
    pub(crate) fn installation(&self) -> &str {
        &self.installation
    }

    /// The newest operation of an app.
    pub(crate) fn newest_operation(&self, app: &str) -> Value {
        self.cli(&["ops", "list", "--app", app, "--json"]).ok().json()[0].clone()
    }

    /// The ids of what this Wharf has in Docker of a kind: `container`, `network`, `volume`, `image`.
    pub(crate) fn in_docker(&self, kind: &str, filter: Option<&str>) -> Vec<String> {
        let mut command = docker(&self.docker);
        command.args([kind, "ls", "--quiet", "--filter", &format!("label=wharf.installation={}", self.installation)]);
        if !["network", "volume"].contains(&kind) {
            command.arg("--all");
        }
        if let Some(filter) = filter {
            command.args(["--filter", filter]);
        }
        let mut ids: Vec<String> = done(command, "").ok().out.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Waits until no app has anything in Docker any more.
    pub(crate) fn until_nothing_is_left(&self) {
        until("nothing of any app is left in Docker", || {
            let left = ["container", "network", "volume"].map(|kind| self.in_docker(kind, None).len());
            // The base of static sites belongs to the platform, and stays.
            let images = self.in_docker("image", Some("label=wharf.environment"));
            (left == [0, 0, 0] && images.is_empty()).then_some(())
        });
    }

    /// `kill -9` of the control plane.
    pub(crate) fn kill_serve(&self) {
        let mut serve = locked(&self.serve);
        serve.kill().unwrap();
        serve.wait().unwrap();
    }

    /// The file that says at which place the control plane dies; see `kernel::fail_point`.
    pub(crate) fn fail_points(&self) -> PathBuf {
        self.dir.join("fail-points")
    }

    /// Whether the control plane has ended.
    pub(crate) fn serve_has_ended(&self) -> bool {
        locked(&self.serve).try_wait().unwrap().is_some()
    }

    /// Starts the control plane again and waits until it is ready.
    pub(crate) fn start_serve(&self) {
        *locked(&self.serve) = spawn_serve(&self.dir, &self.docker, (self.http, self.https, self.ssh));
        self.wait_until_ready();
    }

    /// The process ids of this Wharf's ingress.
    pub(crate) fn ingress_pids(&self) -> Vec<String> {
        let run = self.dir.join("run").display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = Vec::new();
        for process in processes {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
            if words.get(1) == Some(&b"ingress".as_slice()) && words.contains(&run.as_bytes()) {
                pids.push(process.file_name().to_string_lossy().into_owned());
            }
        }
        pids
    }

    fn tell_what_happened(&self) {
        for name in ["serve.log", "data/ingress.log"] {
            let text = std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- the end of {} ({} lines)", self.dir.join(name).display(), lines.len());
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("{line}");
            }
        }
        // Kept for whoever looks into the failure.
        let _ = std::fs::write(self.dir.join("keep"), "");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let serve = self.serve.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = serve.kill();
        let _ = serve.wait();
        for pid in self.ingress_pids() {
            let _ = Command::new("kill").args(["-9", &pid]).output();
        }
        if !self.installation.is_empty() {
            let remove = [
                ("container", vec!["rm", "--force", "--volumes"]),
                ("network", vec!["rm"]),
                ("volume", vec!["rm", "--force"]),
                ("image", vec!["rm", "--force"]),
            ];
            for (kind, words) in remove {
                let ids = self.in_docker(kind, None);
                if !ids.is_empty() {
                    let _ = docker(&self.docker).arg(kind).args(words).args(ids).output();
                }
            }
        }
        if !self.dir.join("keep").exists() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Docker's own command line, for the engine with this socket.
pub(crate) fn docker(socket: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", socket.display()));
    command
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn needs_docker(socket: &Path) {
    let answer = docker(socket).args(["version", "--format", "{{.Server.Version}}"]).output();
    assert!(
        answer.is_ok_and(|o| o.status.success()),
        "no Docker daemon answers; `make test` installs and starts one (tests/prepare.sh does it alone)"
    );
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn_serve(dir: &Path, docker: &Path, (http, https, ssh): (u16, u16, u16)) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("serve.log")).unwrap();
    let mut command = Command::new(WHARF);
    command.arg("serve").arg("--data").arg(dir.join("data")).arg("--run").arg(dir.join("run"));
    command.args([
        "--http-port",
        &http.to_string(),
        "--https-port",
        &https.to_string(),
        "--ssh-port",
        &ssh.to_string(),
    ]);
    command.arg("--docker").arg(docker);
    command.env("WHARF_FAIL_POINTS", dir.join("fail-points"));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// Asks again and again until there is something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same, within this time.
pub(crate) fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {patience:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
