//! The fences between the rooms, held by a test: who may import whom, where SQL, Docker and child processes may stand,
//! and how large a file may grow. The order itself is explained in `docs/ARCHITECTURE.md`.

use std::path::{Path, PathBuf};

/// The rooms from the ground up. A room may import those of lower floors, never its own floor or one above.
const FLOORS: [&[&str]; 10] = [
    &["kernel"],
    &["store", "stack"],
    &["tenancy"],
    &["releases", "operations", "engine", "ingress", "certificates", "gateway"],
    &["scheduler", "builds"],
    &["pipelines", "jobs"],
    &["apps"],
    &["git", "api"],
    &["portal"],
    &["serve"],
];
/// The command line stands on top and may see all.
const TOP: &str = "cli";

/// Rooms that could be published by themselves, and all they may import.
const ALONE: [(&str, &[&str]); 2] = [("ingress", &["kernel"]), ("builds", &["kernel"])];

/// Lines a file may have; nine of ten stay below the lower figure.
const MOST_LINES: usize = 700;
const USUAL_LINES: usize = 400;

/// A text, and whether a file of this path may hold it.
type Fence = (&'static str, fn(&str) -> bool);

struct Source {
    /// Path below `src/`, with forward slashes.
    path: String,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut dirs, mut found) = (vec![root.clone()], Vec::new());
    while let Some(dir) = dirs.pop() {
        let entries = std::fs::read_dir(&dir).expect("the source tree can be read");
        for path in entries.map(|e| e.expect("an entry").path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(source(&root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let relative = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
    let room = relative.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    Source { path: relative, room, text: std::fs::read_to_string(path).expect("a source file can be read") }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("tests.rs")
        || path.ends_with("conformance.rs")
        || path.ends_with("matrix.rs")
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Every `crate::room` a file names, with its line.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let room: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            all.push((number + 1, room));
        }
    }
    all
}

#[test]
fn rooms_import_only_rooms_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !is_test(&s.path) && s.room != TOP && floor(&s.room).is_some()) {
        let own = floor(&source.room).expect("filtered");
        for (line, room) in imports(&source.text) {
            let above = floor(&room).is_some_and(|f| f >= own) || room == TOP;
            let alone = ALONE.iter().find(|(r, _)| *r == source.room);
            let beyond = alone.is_some_and(|(_, allowed)| floor(&room).is_some() && !allowed.contains(&room.as_str()));
            if room != source.room && (above || beyond) {
                wrong.push(format!("src/{}:{line} imports `{room}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of the rooms:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_floor() {
    let outside = ["lib", "main", "architecture", TOP];
    let missing: Vec<String> = sources()
        .into_iter()
        .filter(|s| floor(&s.room).is_none() && !outside.contains(&s.room.as_str()))
        .map(|s| s.path)
        .collect();
    assert!(missing.is_empty(), "these files belong to no room of the order: {missing:?}");
}

#[test]
fn sql_docker_and_child_processes_stand_where_they_belong() {
    // Built from parts, so that this file does not find itself.
    let fences: [Fence; 4] = [
        (concat!("sqlx::que", "ry"), |path| path.contains("store") || path.contains("tests")),
        (concat!("boll", "ard::"), |path| path.starts_with("engine/docker")),
        (concat!("process::Command::", "new(\"sh\""), |_| false),
        (concat!("std::process::", "Command"), |path| path.starts_with("kernel/process") || path.contains("tests")),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        for (needle, allowed) in &fences {
            if source.text.contains(needle) && !allowed(&source.path) {
                wrong.push(format!("src/{}: {needle}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "outside their fences:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let sizes: Vec<(String, usize)> = sources().into_iter().map(|s| (s.path, s.text.lines().count())).collect();
    let giants: Vec<&(String, usize)> = sizes.iter().filter(|(_, n)| *n > MOST_LINES).collect();
    assert!(giants.is_empty(), "files over {MOST_LINES} lines: {giants:?}");
    let large = sizes.iter().filter(|(_, n)| *n > USUAL_LINES).count();
    assert!(large * 10 <= sizes.len(), "{large} of {} files have more than {USUAL_LINES} lines", sizes.len());
}
