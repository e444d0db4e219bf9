//! Looks at the machine: how much memory is free, and how busy its processors are.

use super::handle::Scheduler;
use super::pressure::Figures;
use crate::stack::placement::Machine;

impl Scheduler {
    /// The machine that apps run on; `None` where the kernel does not tell.
    #[must_use]
    pub fn machine(&self) -> Option<Machine> {
        let figures = Node::default().look()?;
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(Machine { host_name, memory_mib: figures.memory_total_mib, cpu_millis: figures.cpu_millis })
    }
}

/// Looks again and again; processor time is what was used since the look before.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Time that was used and all time, in ticks, at the last look.
    before: Option<(u64, u64)>,
}

impl Node {
    /// The figures now; `None` where the kernel does not tell.
    pub(super) fn look(&mut self) -> Option<Figures> {
        let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        self.read(&memory, &stat)
    }

    fn read(&mut self, memory: &str, stat: &str) -> Option<Figures> {
        let mib = |name: &str| {
            let line = memory.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
        };
        let (busy, all) = ticks(stat)?;
        let (busy_before, all_before) = self.before.replace((busy, all)).unwrap_or((busy, all));
        let (busy, all) = (busy.saturating_sub(busy_before), all.saturating_sub(all_before));
        let processors = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count() as u64;
        Some(Figures {
            memory_total_mib: mib("MemTotal:")?,
            memory_free_mib: mib("MemAvailable:")?,
            cpu_busy_permille: u32::try_from(busy * 1_000 / all.max(1)).unwrap_or(1_000),
            cpu_millis: processors * 1_000,
        })
    }
}

/// The time the processors were used and all their time, in ticks.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|l| l.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal
    let fields: Vec<u64> = line.split_whitespace().take(8).filter_map(|f| f.parse().ok()).collect();
    let idle = fields.get(3)? + fields.get(4)?;
    let all: u64 = fields.iter().sum();
    Some((all - idle, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_kernel_says() {
        let memory = "MemTotal:       25165824 kB\nMemFree:          100 kB\nMemAvailable:    2097152 kB\n";
        let first = "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
        let second = "cpu  190 0 100 710 100 0 0 0 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
        let mut node = Node::default();
        assert_eq!(node.read(memory, first).map(|f| f.cpu_busy_permille), Some(0), "nothing is known yet");
        let expected =
            Figures { memory_total_mib: 24_576, memory_free_mib: 2_048, cpu_busy_permille: 900, cpu_millis: 2_000 };
        assert_eq!(node.read(memory, second), Some(expected));
        assert_eq!(node.read("", second), None);
    }

    #[test]
    fn this_machine_tells() {
        let figures = Node::default().look().expect("a Linux machine");
        assert!(figures.memory_free_mib <= figures.memory_total_mib && figures.cpu_millis >= 1_000, "{figures:?}");
    }
}
