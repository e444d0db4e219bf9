//! Commands inside running containers, for health checks.
//!
//! Docker cannot end such a command. So that one that hangs does not become a hundred that hang, the last one of each
//! container is remembered, and no other is begun beside it.

use std::sync::PoisonError;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::{DockerEngine, errors};
use crate::engine::{EngineError, ExecEnd};

/// Bytes of output that are kept: the last line of it is a reason people read.
const OUTPUT_KEPT: usize = 4 * 1024;
/// Characters of the last line.
const LINE_KEPT: usize = 300;

impl DockerEngine {
    pub(super) async fn run_inside(
        &self,
        id: &str,
        command: &[String],
        within: Duration,
    ) -> Result<ExecEnd, EngineError> {
        let running = self.inspect_own(id).await?.state.and_then(|s| s.running).unwrap_or_default();
        if !running {
            self.forget_exec(id);
            return Err(EngineError::NotFound(format!("the running process of the container {id}")));
        }
        if self.is_hanging(id).await? {
            return Ok(ExecEnd::StillRunning);
        }
        let client = self.client().await?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let exec = client.create_exec(id, options).await.map_err(|e| errors::engine(&e, id))?.id;
        self.execs.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), exec.clone());
        let run = async {
            let started = client.start_exec(&exec, None).await.map_err(|e| errors::engine(&e, id))?;
            let mut kept = Vec::new();
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(Ok(chunk)) = output.next().await {
                    keep(&mut kept, &chunk);
                }
            }
            Ok::<_, EngineError>(kept)
        };
        let Ok(output) = tokio::time::timeout(within, run).await else { return Ok(ExecEnd::StillRunning) };
        let output = output?;
        let end = client.inspect_exec(&exec).await.map_err(|e| errors::engine(&e, id))?;
        match end.exit_code {
            Some(code) if end.running != Some(true) => {
                self.forget_exec(id);
                Ok(ExecEnd::Exited { code, last_line: last_line(&output) })
            }
            // It closed its output and goes on.
            _ => Ok(ExecEnd::StillRunning),
        }
    }

    /// Whether the last command of this container has not ended yet.
    async fn is_hanging(&self, id: &str) -> Result<bool, EngineError> {
        let last = self.execs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(exec) = last else { return Ok(false) };
        let hanging = match self.client().await?.inspect_exec(&exec).await {
            Ok(seen) => seen.running == Some(true),
            // Docker forgets those that have ended.
            Err(e) if errors::status(&e) == Some(404) => false,
            Err(e) => return Err(errors::engine(&e, id)),
        };
        if !hanging {
            self.forget_exec(id);
        }
        Ok(hanging)
    }

    pub(super) fn forget_exec(&self, id: &str) {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

fn keep(kept: &mut Vec<u8>, chunk: &LogOutput) {
    kept.extend_from_slice(chunk.as_ref());
    if kept.len() > OUTPUT_KEPT {
        kept.drain(..kept.len() - OUTPUT_KEPT);
    }
}

fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LINE_KEPT).collect()
}
