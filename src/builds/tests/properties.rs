//! Whatever a tree or an archive holds: detection never panics, and unpacking never writes outside its folder.

use proptest::prelude::*;

use crate::builds::archive::{IgnoreFiles, Limits, pack, unpack};
use crate::builds::{Settings, SourceTree, detect, render};

/// Names that detection looks at, and a few that it does not.
const NAMES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "deno.json",
    "deno.jsonc",
    "Procfile",
    "app.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "uv.lock",
    "manage.py",
    "app.py",
    "web/settings.py",
    "go.mod",
    "go.work",
    "main.go",
    "cmd/web/main.go",
    "Cargo.toml",
    "src/main.rs",
    "Gemfile",
    "config.ru",
    "composer.json",
    "index.php",
    "public/index.php",
    "pom.xml",
    "build.gradle",
    "App.csproj",
    "global.json",
    "mix.exs",
    "index.html",
    "Staticfile",
    "Dockerfile",
    ".nvmrc",
    ".python-version",
    ".tool-versions",
    "mise.toml",
    "angular.json",
    "next.config.js",
    ".gitmodules",
    "x/y/z.txt",
    "vite.config.ts",
];

/// Pieces that files are made of, so that the parsers get past their first character.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "=",
    "\n",
    " ",
    "'",
    "|",
    "^",
    "~",
    ">=",
    "1",
    "18.x",
    "scripts",
    "start",
    "build",
    "dependencies",
    "vite",
    "next",
    "express",
    "django",
    "flask==3",
    "[project]",
    "[tool.poetry]",
    "requires-python",
    "web: ",
    "node a.js",
    "$PORT",
    "&&",
    "FROM a",
    "EXPOSE 80",
    "CMD ",
    "<TargetFramework>",
    "net8.0",
    "go 1.22",
    "package main",
    "engines",
    "node",
    "ü",
    "\u{0}",
    "\\",
    "path = a",
    "-r",
    "app = Flask(",
    "/*",
    "//",
    "lts/*",
    "é=",
    "<java.version>",
    "app: :",
    "elixir: \"",
    "output: 'export'",
];

fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES), 0..14).prop_map(|p| p.concat()),
        1 => any::<String>(),
        1 => Just("{\"scripts\":{\"build\":\"x\",\"start\":\"y\"},\"dependencies\":{\"next\":\"1\"}}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn detection_never_panics_and_is_the_same_every_time(
        files in prop::collection::btree_map(prop::sample::select(NAMES), content(), 0..7)
    ) {
        let tree = SourceTree::from_files(files.iter().map(|(n, c)| (*n, c.clone())));
        let first = detect(&tree, &Settings::default());
        prop_assert_eq!(&first, &detect(&tree, &Settings::default()));
        match first {
            Ok(plan) => {
                let text = render(&plan);
                let froms = text.lines().filter(|l| l.starts_with("FROM ")).count();
                prop_assert!(plan.dockerfile.is_some() || (1..=2).contains(&froms), "{}", text);
                let json = serde_json::to_string(&plan).unwrap();
                prop_assert_eq!(serde_json::from_str::<crate::builds::BuildPlan>(&json).unwrap(), plan);
            }
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "c", "..", ".", "", "/"]);
    prop::collection::vec(part, 1..5).prop_map(|p| p.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unpacking_never_leaves_its_folder(
        entries in prop::collection::vec((name(), 0u8..4, name(), ".{0,4}"), 1..9)
    ) {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("deep/er/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let mut bytes = Vec::new();
        for (name, kind, target, data) in &entries {
            let kind = [tar::EntryType::Regular, tar::EntryType::Directory, tar::EntryType::Symlink, tar::EntryType::Link][usize::from(*kind)];
            let size = if kind == tar::EntryType::Regular { data.len() } else { 0 };
            let mut header = tar::Header::new_old();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_entry_type(kind);
            header.set_size(size as u64);
            header.set_mode(0o644);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&data.as_bytes()[..size]);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        let unpacked = unpack(bytes.as_slice(), &inner, &Limits::default());
        // Outside: only the folders made above.
        let outside: Vec<_> = [outer.path().to_owned(), outer.path().join("deep"), outer.path().join("deep/er")]
            .iter()
            .flat_map(|d| std::fs::read_dir(d).unwrap().map(|e| e.unwrap().file_name()))
            .collect();
        prop_assert_eq!(outside, ["deep", "er", "inner"]);
        // Every link that is there resolves inside, or nowhere.
        for entry in ignore::WalkBuilder::new(&inner).standard_filters(false).build() {
            let path = entry.unwrap().into_path();
            if let Ok(real) = path.canonicalize() {
                prop_assert!(real.starts_with(inner.canonicalize().unwrap()), "{} leads to {}", path.display(), real.display());
            }
        }
        // What could be unpacked can be packed again.
        if unpacked.is_ok() {
            prop_assert!(pack(&inner, std::io::sink(), &Limits::default(), IgnoreFiles::Docker, &[]).is_ok());
        }
    }
}
