//! How much memory the relay may have: above a share of that it takes no new work, and goes on with the old.
//!
//! What it may have is what the machine has, or less where the service manager or a container sets a limit to its control
//! group: beyond that the system would kill it. libp2p-memory-connection-limits 0.6 knows the machine's memory alone, and bounds
//! connections alone.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{common::every, watch::resident_bytes};

/// How often to look how much it has.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Where the limits of control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Whether there is memory for more. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<AtomicBool>);

impl Memory {
    /// Whether new work has to be refused.
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn short() -> Self {
        let memory = Self::default();
        memory.look(Some(1), 0);
        memory
    }

    fn look(&self, resident: Option<u64>, most: u64) {
        let is_short = resident.is_some_and(|bytes| bytes > most);
        match (self.0.swap(is_short, Ordering::Relaxed), is_short) {
            (false, true) => tracing::warn!(most, "memory is short: new work is refused"),
            (true, false) => tracing::warn!(most, "there is memory for new work again"),
            _ => {}
        }
    }
}

/// Looks how much memory there is, for as long as it is polled, and refuses new work above so many percent.
pub(crate) async fn keep_up(memory: Memory, percent: u32) {
    let Some(allowed) = allowed() else {
        return tracing::warn!(
            "the system does not say how much memory there is: --max-memory-share has no effect"
        );
    };
    let most = allowed / 100 * u64::from(percent);
    let mut due = every(LOOK_INTERVAL);
    loop {
        due.tick().await;
        memory.look(resident_bytes(), most);
    }
}

/// Bytes that this process may have; `None` where the system does not say.
fn allowed() -> Option<u64> {
    // A service may see nothing in /proc but processes (`ProcSubset=pid`).
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups, Path::new(CGROUPS))
        .into_iter()
        .filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    limits.chain(machine).min()
}

/// What `/proc/meminfo` says the machine has.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim();
    kib.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The files with the limits of the groups that `/proc/self/cgroup` names, and of those around them: of version 2, or of version
/// 1's controller of memory.
fn limit_files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        files.extend(path.ancestors().map(|group| root.join(group).join(file)));
    }
    files
}

/// What such a file says: a number of bytes, or `max`.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_above_its_share_and_not_below() {
        let memory = Memory::default();
        for (resident, is_short) in [
            (Some(100), false),
            (Some(101), true),
            (Some(99), false),
            (None, false),
        ] {
            memory.look(resident, 100);
            assert_eq!(memory.clone().is_short(), is_short, "{resident:?}");
        }
    }

    #[test]
    fn the_limits_of_all_groups_around_count() {
        let files = |groups| {
            let files = limit_files(groups, Path::new("/c"));
            files
                .iter()
                .map(|file| file.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            files("0::/system.slice/relay.service\n"),
            [
                "/c/system.slice/relay.service/memory.max",
                "/c/system.slice/memory.max",
                "/c/memory.max",
            ]
        );
        assert_eq!(
            files("5:cpu,cpuacct:/a\n4:memory:/b\nnonsense\n"),
            [
                "/c/memory/b/memory.limit_in_bytes",
                "/c/memory/memory.limit_in_bytes"
            ]
        );
        assert!(files("").is_empty());
    }

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(
            total("MemFree: 1 kB\nMemTotal:       24 kB\n"),
            Some(24 * 1_024)
        );
        assert_eq!(total("MemTotal: much"), None);
        assert_eq!(
            (limit("1048576\n"), limit("max\n")),
            (Some(1_048_576), None)
        );
    }
}
