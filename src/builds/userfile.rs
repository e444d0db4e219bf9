//! A light reading of the app's own Dockerfile: what its last stage exposes, starts and checks. The build itself is Docker's.

use serde::{Deserialize, Serialize};

use super::command::CommandLine;

/// What is known of a Dockerfile without building it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerfileFacts {
    /// Path inside the source.
    pub path: String,
    /// TCP ports of the last stage's `EXPOSE` lines that are plain numbers.
    pub expose: Vec<u16>,
    /// The last stage's `CMD`.
    pub cmd: Option<CommandLine>,
    /// The last stage's `ENTRYPOINT`.
    pub entrypoint: Option<CommandLine>,
    /// The command of the last stage's `HEALTHCHECK`.
    pub healthcheck: Option<String>,
    /// `PORT` as the last stage sets it.
    pub port_env: Option<u16>,
    /// How many stages there are.
    pub stages: usize,
    /// Base image of the last stage as written.
    pub base: Option<String>,
    /// User of the last stage; `None` is mostly root.
    pub user: Option<String>,
}

/// Reads a Dockerfile; lines that can't be understood are left to Docker, which says more about them.
pub(crate) fn read(path: &str, text: &str) -> DockerfileFacts {
    let mut facts = DockerfileFacts { path: path.to_owned(), ..DockerfileFacts::default() };
    for line in logical_lines(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "FROM" => {
                let base = rest.split_whitespace().find(|w| !w.starts_with("--"));
                facts = DockerfileFacts {
                    path: path.to_owned(),
                    stages: facts.stages + 1,
                    base: base.map(str::to_owned),
                    ..DockerfileFacts::default()
                };
            }
            "EXPOSE" => {
                let ports = rest.split_whitespace().filter(|p| !p.ends_with("/udp"));
                facts
                    .expose
                    .extend(ports.filter_map(|p| p.trim_end_matches("/tcp").parse::<u16>().ok()).filter(|p| *p > 0));
            }
            "ENV" => facts.port_env = env_port(rest).or(facts.port_env),
            "CMD" => facts.cmd = Some(command(rest)),
            "ENTRYPOINT" => facts.entrypoint = Some(command(rest)),
            "USER" => facts.user = Some(rest.to_owned()),
            "HEALTHCHECK" => {
                facts.healthcheck = rest.split_once("CMD").map(|(_, c)| c.trim().to_owned());
            }
            _ => {}
        }
    }
    facts
}

fn env_port(rest: &str) -> Option<u16> {
    if let Some(value) = rest.strip_prefix("PORT ") {
        return value.trim().parse().ok();
    }
    let pair = rest.split_whitespace().find_map(|w| w.strip_prefix("PORT="))?;
    pair.trim_matches('"').parse().ok()
}

fn command(rest: &str) -> CommandLine {
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(argv) => CommandLine { text: argv.join(" "), argv },
        Err(_) => CommandLine { text: rest.to_owned(), argv: vec!["/bin/sh".into(), "-c".into(), rest.to_owned()] },
    }
}

/// Instructions with their continuation lines joined and comments left out.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        match trimmed.strip_suffix('\\') {
            Some(part) => {
                open.push_str(part);
                open.push(' ');
            }
            None => {
                open.push_str(trimmed);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    if !open.is_empty() {
        lines.push(open);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_counts() {
        let facts = read(
            "Dockerfile",
            "FROM --platform=$X golang:1 AS build\nEXPOSE 1\nCMD x\n# c\nFROM debian:bookworm-slim\nENV A=1 PORT=9000\nEXPOSE 9000/tcp \\\n 53/udp $X 0\nHEALTHCHECK --interval=5s CMD curl -f localhost\nUSER app\nENTRYPOINT [\"/app\"]\nCMD run $PORT",
        );
        assert_eq!((facts.stages, facts.expose.as_slice()), (2, [9000].as_slice()));
        assert_eq!(facts.entrypoint.unwrap().argv, ["/app"]);
        assert_eq!(facts.cmd.unwrap().argv, ["/bin/sh", "-c", "run $PORT"]);
        assert_eq!(facts.port_env, Some(9000));
        assert_eq!(facts.healthcheck.as_deref(), Some("curl -f localhost"));
        assert_eq!(facts.base.as_deref(), Some("debian:bookworm-slim"));
    }
}
