//! Holds the steps of a build to their share of the disk.
//!
//! Neither BuildKit nor overlayfs knows quotas, so what steps write is measured where it lands: the writable layer of
//! each running step, and what was changed since the build began in the cache mounts of it. A build that passes its limit is ended by the caller,
//! and what it wrote goes with the builder's leftovers.
//! Not measured: what the builder itself copies, which the limit on the source's size bounds.
//! Builds that run at the same time are measured together, as their memory is (see [`super::limits`]).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::limits;

/// The shortest time between two measurements.
const INTERVAL: Duration = Duration::from_millis(500);
/// Measuring may take at most one part in so many of the time.
const SHARE: u32 = 10;

/// Returns when the steps have written more than `limit_bytes`, with what they had written; otherwise never.
pub(super) async fn exceeded(limit_bytes: u64) -> u64 {
    // Files bear the time of the kernel's last tick, which lies a little back.
    let began = SystemTime::now() - Duration::from_secs(1);
    let mut written = Written::since(began);
    loop {
        let started = Instant::now();
        let measured = tokio::task::spawn_blocking(move || {
            for process in limits::step_processes(Path::new(limits::ROOT)) {
                written.add(&PathBuf::from(format!("/proc/{process}")));
            }
            written
        });
        // The task ends by panic only; a build is not to be ended for that.
        let Ok(next) = measured.await else { return std::future::pending().await };
        written = next;
        if written.total() > limit_bytes {
            return written.total();
        }
        tokio::time::sleep(INTERVAL.max(started.elapsed() * SHARE)).await;
    }
}

/// What was written so far: the greatest size seen of each step's writable layer and of the changes in each cache.
#[derive(Debug, Default)]
struct Written {
    /// Seconds since the epoch at which the build began.
    began: i64,
    bytes: BTreeMap<String, u64>,
}

impl Written {
    fn since(began: SystemTime) -> Self {
        let seconds = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { began: i64::try_from(seconds).unwrap_or_default(), bytes: BTreeMap::new() }
    }

    fn total(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// Measures the mounts of one process of a step. One that has ended is measured no more.
    fn add(&mut self, process: &Path) {
        let Ok(mounts) = std::fs::read_to_string(process.join("mountinfo")) else { return };
        for mount in mounts.lines().filter_map(Mount::parse) {
            let (place, size) = match mount {
                Mount::Layer { upper } => (upper.clone(), changed(Path::new(&upper), self.began)),
                Mount::Cache { source, target } => {
                    (source, changed(&process.join("root").join(target.trim_start_matches('/')), self.began))
                }
            };
            let most = self.bytes.entry(place).or_default();
            *most = size.max(*most);
        }
    }
}

/// A place on the disk a step may write to.
#[derive(Debug, PartialEq, Eq)]
enum Mount {
    /// The step's root: what it writes lands in `upper` on the host.
    Layer { upper: String },
    /// A directory of the builder's that outlives the step.
    Cache { source: String, target: String },
}

impl Mount {
    /// Reads a line of `/proc/PID/mountinfo` (see proc(5)).
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (device, root, target, options) = (mount.next()?, mount.next()?, mount.next()?, mount.next()?);
        if options.split(',').any(|o| o == "ro") {
            return None;
        }
        let mut filesystem = filesystem.split(' ');
        let (kind, superblock) = (filesystem.next()?, filesystem.nth(1)?);
        match (kind, target) {
            ("overlay", "/") => {
                let upper = superblock.split(',').find_map(|o| o.strip_prefix("upperdir="))?;
                upper.starts_with('/').then(|| Self::Layer { upper: upper.to_owned() })
            }
            // Files the builder lays over the step's own (`/etc/hosts`, …) are small; a mount of the whole disk is none of its.
            (_, "/") => None,
            ("proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" | "cgroup" | "cgroup2", _) => None,
            _ if root == "/" && kind != "overlay" => None,
            _ => Some(Self::Cache { source: format!("{device}{root}"), target: target.to_owned() }),
        }
    }
}

/// Bytes on disk of what was made or changed at or below a path since a time in seconds; nobody but the kernel sets the
/// time it goes by (ctime). What vanishes on the way counts as nothing.
fn changed(path: &Path, since: i64) -> u64 {
    let Ok(about) = std::fs::symlink_metadata(path) else { return 0 };
    let own = if about.ctime() >= since { about.blocks() * 512 } else { 0 };
    if !about.is_dir() {
        return own;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| changed(&entry.path(), since)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_a_step_can_write_to() {
        let layer = "61 50 0:45 / / rw,relatime - overlay overlay rw,lowerdir=/d/l/A:/d/l/B,upperdir=/d/overlay2/x/diff,workdir=/d/overlay2/x/work";
        assert_eq!(Mount::parse(layer), Some(Mount::Layer { upper: "/d/overlay2/x/diff".into() }));
        let cache = "70 61 254:0 /var/lib/docker/overlay2/y/diff /root/.cache rw,relatime - ext4 /dev/vda rw";
        let source = "254:0/var/lib/docker/overlay2/y/diff".to_owned();
        assert_eq!(Mount::parse(cache), Some(Mount::Cache { source, target: "/root/.cache".to_owned() }));
        for none in [
            "71 61 254:0 /x /ro ro,relatime - ext4 /dev/vda rw",
            "62 61 0:50 / /proc rw,nosuid - proc proc rw",
            "63 61 0:51 / /dev rw,nosuid - tmpfs tmpfs rw",
            "64 1 254:0 / / rw - ext4 /dev/vda rw",
            "nonsense",
        ] {
            assert_eq!(Mount::parse(none), None, "{none}");
        }
    }

    #[test]
    fn counts_what_the_build_wrote_and_keeps_the_most_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, process) = (dir.path().join("upper"), dir.path().join("process"));
        let cache = process.join("root/cache");
        std::fs::create_dir_all(&upper).unwrap();
        std::fs::create_dir_all(&cache).unwrap();
        let mounts = format!(
            "1 0 0:1 / / rw - overlay overlay rw,upperdir={}\n2 1 254:0 /c /cache rw - ext4 /dev/x rw\n",
            upper.display()
        );
        std::fs::write(process.join("mountinfo"), mounts).unwrap();
        std::fs::write(cache.join("one"), vec![1; 1 << 20]).unwrap();
        std::fs::write(upper.join("two"), vec![1; 1 << 21]).unwrap();
        let mut later = Written::since(SystemTime::now() + Duration::from_secs(3600));
        later.add(&process);
        assert_eq!(later.total(), 0, "it was there before");
        let mut written = Written::default();
        written.add(&process);
        let first = written.total();
        assert!((3 << 20..4 << 20).contains(&first), "{first}");
        std::fs::remove_file(upper.join("two")).unwrap();
        written.add(&process);
        written.add(Path::new("/nowhere"));
        assert_eq!(written.total(), first);
    }
}
