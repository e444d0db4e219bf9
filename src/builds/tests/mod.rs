//! Fixtures are small trees in a text form: `== path` begins a file, the lines after it are its content.

mod archives;
mod fixtures;
mod inputs;
mod properties;
mod site;

use super::{Settings, SourceTree, detect, render};

/// Reads the text form of a tree.
fn tree(text: &str) -> SourceTree {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("== ") {
            Some(path) => files.push((path.trim().to_owned(), String::new())),
            None => {
                let (_, content) = files.last_mut().expect("a fixture begins with `== path`");
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    SourceTree::from_files(files)
}

/// The plan in short and the Dockerfile of a tree, or the error.
fn report(text: &str, settings: &Settings) -> String {
    match detect(&tree(text), settings) {
        Err(e) => format!("error: {e}\n"),
        Ok(plan) => {
            let mut out = String::new();
            for note in &plan.notes {
                out.push_str(&format!("{note:?}\n"));
            }
            for (name, process) in &plan.processes {
                out.push_str(&format!("{name}: {:?}\n", process.argv));
            }
            if let Some(release) = &plan.release {
                out.push_str(&format!("release: {:?}\n", release.argv));
            }
            out.push_str(&render(&plan));
            out
        }
    }
}
