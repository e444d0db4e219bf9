//! BuildKit's progress (a graph of vertices with chunks of output) as a plain sequence of events. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use bollard::models::{BuildInfo, BuildInfoAux};

use crate::engine::BuildEvent;

/// Longest line passed on; programs that print without line ends are cut here.
const LINE_LIMIT: usize = 8 * 1024;

/// Follows one build.
#[derive(Debug, Default)]
pub(super) struct Trace {
    announced: BTreeSet<String>,
    open_lines: BTreeMap<String, Vec<u8>>,
    failed_step: Option<(String, String)>,
    image: Option<String>,
}

impl Trace {
    /// Takes one message of the stream; `Err` is the build's failure in the builder's words.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<Vec<BuildEvent>, String> {
        if let Some(message) = super::raw::stream_error(line) {
            return Err(self.failure(&message));
        }
        let Ok(info) = serde_json::from_slice::<BuildInfo>(line) else {
            // A message this client does not know is no reason to fail a build.
            return Ok(Vec::new());
        };
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => Ok(self.progress(&status)),
            Some(BuildInfoAux::Default(image)) => {
                self.image = image.id.or(self.image.take());
                Ok(Vec::new())
            }
            None => Ok(Vec::new()),
        }
    }

    /// What is left at the end of the stream: open lines, then the image. `Err` when there is none.
    pub(super) fn end(mut self) -> Result<Vec<BuildEvent>, String> {
        let open = std::mem::take(&mut self.open_lines);
        let mut events: Vec<BuildEvent> =
            open.into_values().filter(|line| !line.is_empty()).map(|line| output(&line)).collect();
        let Some(image) = self.image.take() else {
            return Err(self.failure("the builder ended without an image"));
        };
        events.push(BuildEvent::Built(image));
        Ok(events)
    }

    fn progress(&mut self, status: &StatusResponse) -> Vec<BuildEvent> {
        let mut events = Vec::new();
        for vertex in &status.vertexes {
            self.vertex(vertex, &mut events);
        }
        for log in &status.logs {
            let line = self.open_lines.entry(log.vertex.clone()).or_default();
            for byte in &log.msg {
                match byte {
                    b'\n' => events.push(output(&std::mem::take(line))),
                    _ => line.push(*byte),
                }
                if line.len() >= LINE_LIMIT {
                    events.push(output(&std::mem::take(line)));
                }
            }
        }
        events
    }

    fn vertex(&mut self, vertex: &Vertex, events: &mut Vec<BuildEvent>) {
        if !vertex.error.is_empty() && self.failed_step.is_none() && !vertex.error.contains("context canceled") {
            self.failed_step = Some((vertex.name.clone(), vertex.error.clone()));
        }
        // Old builders name one step of their own, the unpacking of the context, without the mark.
        let internal = vertex.name.starts_with("[internal]") || ["", "copy /context /"].contains(&vertex.name.as_str());
        if vertex.started.is_none() || internal || !self.announced.insert(vertex.digest.clone()) {
            return;
        }
        let cached = if vertex.cached { " (cached)" } else { "" };
        events.push(BuildEvent::Step(format!("{}{cached}", vertex.name)));
    }

    /// The failing step's own words are clearer than the builder's summary of all.
    fn failure(&self, message: &str) -> String {
        let hint = if message.contains("exit code: 137") {
            "; the step was killed, most likely because it used more memory than a build may"
        } else if super::errors::says_unreachable(message) {
            "; the registry of a base image cannot be reached from this machine"
        } else {
            ""
        };
        match &self.failed_step {
            Some((step, error)) => format!("in step {step}: {error}{hint}"),
            None => format!("{message}{hint}"),
        }
    }
}

/// One line; of a progress bar that overwrites itself only the last state is kept.
fn output(bytes: &[u8]) -> BuildEvent {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    BuildEvent::Output(text.rsplit('\r').next().unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use bollard::moby::buildkit::v1::VertexLog;

    use super::*;

    fn step(digest: &str, name: &str) -> Vertex {
        let started = Some(Default::default());
        Vertex { digest: digest.to_owned(), name: name.to_owned(), started, ..Default::default() }
    }

    fn log(digest: &str, text: &str) -> VertexLog {
        VertexLog { vertex: digest.to_owned(), msg: text.as_bytes().to_vec(), ..Default::default() }
    }

    fn progress(trace: &mut Trace, vertexes: Vec<Vertex>, logs: Vec<VertexLog>) -> Vec<BuildEvent> {
        trace.progress(&StatusResponse { vertexes, logs, ..Default::default() })
    }

    fn said(text: &str) -> BuildEvent {
        BuildEvent::Output(text.to_owned())
    }

    #[test]
    fn a_step_is_announced_once_when_it_begins() {
        let mut trace = Trace::default();
        let waiting = Vertex { started: None, ..step("a", "[1/2] FROM x") };
        assert_eq!(progress(&mut trace, vec![waiting, step("i", "[internal] load context")], vec![]), []);
        let begun = vec![step("a", "[1/2] FROM x"), Vertex { cached: true, ..step("b", "[2/2] RUN y") }];
        let expected = ["[1/2] FROM x", "[2/2] RUN y (cached)"].map(|s| BuildEvent::Step(s.to_owned()));
        assert_eq!(progress(&mut trace, begun.clone(), vec![]), expected);
        assert_eq!(progress(&mut trace, begun, vec![]), []);
    }

    #[test]
    fn output_is_joined_to_lines_for_each_step() {
        let mut trace = Trace::default();
        assert_eq!(progress(&mut trace, vec![], vec![log("a", "hel"), log("b", "other\n")]), [said("other")]);
        assert_eq!(progress(&mut trace, vec![], vec![log("a", "lo\n\n")]), [said("hello"), said("")]);
        assert_eq!(progress(&mut trace, vec![], vec![log("a", "10 %\r50 %\r100 %\r\n")]), [said("100 %")]);
        let long = "x".repeat(LINE_LIMIT + 1);
        assert_eq!(progress(&mut trace, vec![], vec![log("a", &long)]), [said(&long[..LINE_LIMIT])]);
        assert!(trace.add(br#"{"id":"moby.image.id","aux":{"ID":"sha256:1"}}"#).unwrap().is_empty());
        assert_eq!(trace.end().unwrap(), [said("x"), BuildEvent::Built("sha256:1".to_owned())]);
    }

    #[test]
    fn a_failure_names_its_step_and_its_likely_cause() {
        let mut trace = Trace::default();
        let failed = Vertex { error: "exit code: 137".to_owned(), ..step("a", "[2/2] RUN y") };
        let cancelled = Vertex { error: "context canceled".to_owned(), ..step("b", "[1/2] RUN z") };
        progress(&mut trace, vec![cancelled, failed], vec![]);
        let error = trace.add(br#"{"errorDetail":{"message":"executor failed: exit code: 137"}}"#).unwrap_err();
        assert!(error.starts_with("in step [2/2] RUN y: exit code: 137; the step was killed"), "{error}");
        let offline = br#"{"errorDetail":{"message":"docker.io/x: dial tcp: lookup registry: no such host"}}"#;
        assert!(Trace::default().add(offline).unwrap_err().contains("cannot be reached"));
    }

    #[test]
    fn no_image_is_a_failure_and_unknown_messages_are_none() {
        let mut trace = Trace::default();
        assert_eq!(trace.add(br#"{"news":1}"#), Ok(vec![]));
        assert_eq!(trace.add(b"no json"), Ok(vec![]));
        assert!(trace.end().unwrap_err().contains("without an image"));
    }
}
