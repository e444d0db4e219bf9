//! Active checks: the ingress asks the upstreams of routes that want it, each at the route's interval, and keeps those
//! out that do not answer well until they do again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ingress::engine::Engine;
use crate::ingress::h1::response;
use crate::ingress::snapshot::{ActiveCheck, UpstreamAddress};
use crate::ingress::stats::UpstreamState;

/// How often it is looked whether a check is due.
const TICK: Duration = Duration::from_millis(100);
/// How often, while no route wants checks.
const IDLE: Duration = Duration::from_secs(1);
/// Checks at once.
const MAX_AT_ONCE: usize = 64;
/// Largest head of an answer.
const MAX_HEAD: usize = 16 << 10;

/// Good or bad answers in a row, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    good: u32,
    bad: u32,
}

impl Streak {
    /// Takes in an answer; `Some(fails)` when the verdict is clear.
    pub(crate) fn tell(&mut self, rules: &ActiveCheck, good: bool) -> Option<bool> {
        if good {
            (self.good, self.bad) = (self.good.saturating_add(1), 0);
            (self.good >= rules.healthy_after.max(1)).then_some(false)
        } else {
            (self.good, self.bad) = (0, self.bad.saturating_add(1));
            (self.bad >= rules.unhealthy_after.max(1)).then_some(true)
        }
    }
}

/// What is known of one upstream.
struct Watched {
    due: Instant,
    running: bool,
    streak: Streak,
}

/// Checks for ever.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut watched: HashMap<u64, Watched> = HashMap::new();
    let mut checks: JoinSet<(u64, bool)> = JoinSet::new();
    loop {
        tokio::time::sleep(if watched.is_empty() { IDLE } else { TICK }).await;
        let table = engine.table();
        let now_ms = engine.shared.started.elapsed().as_millis() as u64;
        let wanted = || {
            let routes =
                table.routes.iter().filter_map(|entry| Some((entry, entry.route.policy.active_check.as_ref()?)));
            routes.flat_map(|(entry, rules)| entry.upstreams.iter().map(move |state| (state, rules)))
        };
        let by_serial: HashMap<u64, (&Arc<UpstreamState>, &ActiveCheck)> =
            wanted().map(|(state, rules)| (state.serial, (state, rules))).collect();
        while let Some(Ok((serial, good))) = checks.try_join_next() {
            let (Some(seen), Some((state, rules))) = (watched.get_mut(&serial), by_serial.get(&serial)) else {
                continue;
            };
            seen.running = false;
            if let Some(fails) = seen.streak.tell(rules, good) {
                judge(state, fails, now_ms);
            }
        }
        watched.retain(|serial, _| by_serial.contains_key(serial));
        for (serial, (state, rules)) in by_serial {
            let now = Instant::now();
            let seen = watched.entry(serial).or_insert_with(|| Watched {
                due: now,
                running: false,
                streak: Streak::default(),
            });
            if seen.running || seen.due > now || checks.len() >= MAX_AT_ONCE {
                continue;
            }
            (seen.running, seen.due) = (true, now + Duration::from_millis(rules.interval_ms));
            let (state, rules) = (Arc::clone(state), rules.clone());
            checks.spawn(async move { (serial, ask(&state.address, &rules).await) });
        }
    }
}

fn judge(state: &UpstreamState, fails: bool, now_ms: u64) {
    if state.health.fails_checks() != fails {
        let verdict = if fails { "fails its checks: left out" } else { "passes its checks again" };
        tracing::warn!(route = %state.route, upstream = %state.id, address = %state.address, verdict);
        state.health.set_checks_fail(fails, now_ms);
    }
}

/// One check: connects and, when there is a path, wants a 2xx or 3xx for it.
async fn ask(address: &UpstreamAddress, rules: &ActiveCheck) -> bool {
    let asking = async {
        match address {
            UpstreamAddress::Tcp(address) => talk(TcpStream::connect(address).await.ok()?, rules).await,
            UpstreamAddress::Unix(path) => talk(UnixStream::connect(path).await.ok()?, rules).await,
        }
    };
    let answered = tokio::time::timeout(Duration::from_millis(rules.timeout_ms), asking).await;
    answered.ok().flatten().unwrap_or(false)
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, rules: &ActiveCheck) -> Option<bool> {
    if rules.path.is_empty() {
        return Some(true);
    }
    let host = if rules.host.is_empty() { "health.internal" } else { &rules.host };
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: wharf-ingress\r\nconnection: close\r\n\r\n",
        rules.path
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 || bytes.len() > MAX_HEAD {
            return None;
        }
        match response::parse(&bytes, false, Vec::new()).ok()? {
            Some(head) if head.is_interim() => drop(bytes.drain(..head.len)),
            Some(head) => return Some((200..400).contains(&head.status)),
            None => {}
        }
    }
}
