//! What this machine has left, as the kernel says.

/// Amounts that are free now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Thousandths of processor cores: all of them but those that had work in the last minute.
    pub cpu_millis: u64,
    /// Memory that programs can get without others being pushed out, in MiB.
    pub memory_mib: u64,
}

/// What is free now; `None` where the kernel does not say.
#[must_use]
pub fn free() -> Option<Free> {
    let cores = std::thread::available_parallelism().ok()?.get();
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    parse(&memory, &load, cores as u64)
}

fn parse(meminfo: &str, loadavg: &str, cores: u64) -> Option<Free> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // `1.25`: hundredths, always two of them.
    let (whole, hundredths) = loadavg.split(' ').next()?.split_once('.')?;
    let busy = whole.parse::<u64>().ok()? * 1_000 + hundredths.parse::<u64>().ok()? * 10;
    Some(Free { cpu_millis: (cores * 1_000).saturating_sub(busy), memory_mib: kib / 1_024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let memory = "MemTotal:       24600000 kB\nMemFree:  100 kB\nMemAvailable:   2097152 kB\n";
        let free = parse(memory, "1.25 0.90 0.80 3/400 1234\n", 4);
        assert_eq!(free, Some(Free { cpu_millis: 2_750, memory_mib: 2_048 }));
        assert_eq!(parse(memory, "9.00 1.00 1.00 1/1 1", 4).map(|f| f.cpu_millis), Some(0));
        assert_eq!(parse("", "1.00 1.00 1.00 1/1 1", 4), None);
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(free().is_some_and(|f| f.memory_mib > 0));
    }
}
