//! Archives from outside: what must be refused, what must go through, and that both ways give the same tree.

use std::io::Write;
use std::path::Path;

use crate::builds::archive::{ArchiveError, IgnoreFiles, Limits, pack, unpack};
use crate::builds::{Finding, SourceTree};

/// One raw entry of an archive, written without the checks that tar libraries make.
enum Raw<'a> {
    File(&'a str, &'a str),
    Dir(&'a str),
    Link(&'a str, &'a str),
    Special(&'a str, tar::EntryType),
}

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let (name, kind, target, data) = match entry {
            Raw::File(name, data) => (name, tar::EntryType::Regular, "", *data),
            Raw::Dir(name) => (name, tar::EntryType::Directory, "", ""),
            Raw::Link(name, target) => (name, tar::EntryType::Symlink, *target, ""),
            Raw::Special(name, kind) => (name, *kind, "x", ""),
        };
        let mut header = tar::Header::new_old();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o4755);
        header.set_cksum();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(data.as_bytes()).unwrap();
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn refusal(entries: &[Raw<'_>]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(entries);
    let unpacked = unpack(bytes.as_slice(), dir.path(), &Limits::default()).unwrap_err().to_string();
    let read = SourceTree::from_tar(bytes.as_slice(), &Limits::default()).unwrap_err().to_string();
    assert_eq!(unpacked, read, "both ways refuse alike");
    unpacked
}

#[test]
fn what_could_do_harm_is_refused_by_name() {
    use Raw::{Dir, File, Link, Special};
    for (entries, expected) in [
        (vec![File("../x", "")], r#""../x", which is refused: its path holds `..`"#),
        (vec![File("a/../../x", "")], "its path holds `..`"),
        (vec![File("/etc/passwd", "")], r#""/etc/passwd", which is refused: its path is absolute"#),
        (vec![Link("a", "/etc")], r#"it is a link to "/etc", an absolute path"#),
        (vec![Link("a", "..")], "which leads out of the source"),
        (vec![Link("d/a", "../../x")], "which leads out of the source"),
        (vec![Link("a", "b/../../x")], "which holds `..` in its middle"),
        (vec![Dir("d"), Link("d/l", "."), File("d/l/x", "")], r#"it lies under "d/l", which is not a folder"#),
        (vec![Link("l", "d"), File("l", "")], "it is in the archive twice"),
        (vec![File("f", ""), File("f/x", "")], "which is not a folder"),
        (vec![File("d/x", ""), Link("d", "e")], "it is in the archive twice"),
        (vec![Special("h", tar::EntryType::Link)], "it is a hard link"),
        (vec![Special("b", tar::EntryType::Block)], "it is a device"),
        (vec![Special("c", tar::EntryType::Char)], "it is a device"),
        (vec![Special("p", tar::EntryType::Fifo)], "it is a named pipe"),
        (vec![File("a\nb", "")], "its name holds control characters"),
    ] {
        let message = refusal(&entries);
        assert!(message.contains(expected), "{message}\nlacks {expected}");
    }
}

#[test]
fn limits_name_the_entry_that_passed_them() {
    let bytes = archive(&[Raw::File("a", "12345"), Raw::File("b", "67890")]);
    let error = |limits: Limits| SourceTree::from_tar(bytes.as_slice(), &limits).unwrap_err().to_string();
    let limits = Limits::default();
    let size = error(Limits { total_bytes: 9, ..limits });
    assert!(size.contains("the size in bytes is more than 9 (reached at \"b\")"), "{size}");
    let count = error(Limits { entries: 1, ..limits });
    assert!(count.contains("the number of entries is more than 1 (reached at \"b\")"), "{count}");
    let path = error(Limits { path_bytes: 0, ..limits });
    assert!(path.contains("the length of a path"), "{path}");
}

#[test]
fn good_archives_go_through_without_the_modes_of_the_sender() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(&[
        Raw::Dir("./"),
        Raw::File("./bin/run", "#!"),
        Raw::Link("bin/go", "run"),
        Raw::Link("bin/up", "../bin/run"),
    ]);
    let totals = unpack(bytes.as_slice(), dir.path(), &Limits::default()).unwrap();
    assert_eq!((totals.entries, totals.bytes), (3, 2));
    assert_eq!(std::fs::read_to_string(dir.path().join("bin/up")).unwrap(), "#!");
    let mode = std::fs::metadata(dir.path().join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "set-user-id does not come through");
}

#[test]
fn a_broken_stream_is_an_error() {
    let bytes = archive(&[Raw::File("a", "12345")]);
    let cut = &bytes[..514];
    let error = unpack(cut, tempfile::tempdir().unwrap().path(), &Limits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn packing_leaves_out_what_the_ignore_files_leave_out() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            (".gitignore", "*.log\n/tmp/\n"),
            (".dockerignore", "docs\n.env\nDockerfile\n"),
            (".git/config", "x"),
            (".env", "SECRET=1"),
            ("Dockerfile", "FROM scratch"),
            ("docs/a.md", "x"),
            ("tmp/x", "x"),
            ("app/a.log", "x"),
            ("app/main.py", "print(1)"),
            ("app/.gitignore", "cache\n"),
            ("app/cache/x", "x"),
        ],
    );
    let mut bytes = Vec::new();
    let extra: &[(&str, &[u8])] = &[("Dockerfile", b"FROM generated"), (".wharf/note", b"1")];
    pack(dir.path(), &mut bytes, &Limits::default(), IgnoreFiles::GitAndDocker, extra).unwrap();
    let mut again = Vec::new();
    pack(dir.path(), &mut again, &Limits::default(), IgnoreFiles::GitAndDocker, extra).unwrap();
    assert_eq!(bytes, again, "the same files give the same bytes");

    let tree = SourceTree::from_tar(bytes.as_slice(), &Limits::default()).unwrap();
    let paths: Vec<&str> = tree.paths().collect();
    assert_eq!(paths, [".dockerignore", ".gitignore", ".wharf/note", "Dockerfile", "app/.gitignore", "app/main.py"]);
    let committed = SourceTree::from_dir(dir.path(), &Limits::default(), IgnoreFiles::Docker).unwrap();
    let only_git_ignores: Vec<&str> = committed.paths().filter(|p| !tree.has(p)).collect();
    assert_eq!(only_git_ignores, ["app/a.log", "app/cache/x", "tmp/x"]);
    let out = tempfile::tempdir().unwrap();
    unpack(bytes.as_slice(), out.path(), &Limits::default()).unwrap();
    assert_eq!(std::fs::read_to_string(out.path().join("Dockerfile")).unwrap(), "FROM generated");
    assert_eq!(std::fs::read_to_string(out.path().join("app/main.py")).unwrap(), "print(1)");
}

#[test]
fn a_directory_with_a_link_that_leads_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("x")).unwrap();
    let error =
        SourceTree::from_dir(dir.path(), &Limits::default(), IgnoreFiles::GitAndDocker).unwrap_err().to_string();
    assert!(error.contains(r#"the source holds "x", which is refused: it is a link to "/etc/passwd""#), "{error}");
}

#[test]
fn lfs_pointers_and_empty_submodules_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    write(
        dir.path(),
        &[
            ("media/film.mp4", pointer),
            (".gitmodules", "[submodule \"a\"]\n\tpath = vendor/a\n\turl = x\n[submodule \"b\"]\n\tpath = vendor/b\n"),
            ("vendor/b/x", "1"),
        ],
    );
    std::fs::create_dir_all(dir.path().join("vendor/a")).unwrap();
    let tree = SourceTree::from_dir(dir.path(), &Limits::default(), IgnoreFiles::GitAndDocker).unwrap();
    assert_eq!(
        tree.findings(),
        [
            Finding::LfsPointer { path: "media/film.mp4".into() },
            Finding::UnfetchedSubmodule { path: "vendor/a".into() },
        ]
    );
    let text = tree.findings()[0].to_string();
    assert!(text.starts_with("media/film.mp4 is a Git LFS pointer, not the file itself"), "{text}");
}
