//! What is read only when somebody asks: what others count themselves, and what the system says of this process.

use std::{fmt, fs, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{figures::PREFIX, reasons};

/// Reads one figure.
pub(crate) type Read<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where figures come from that are not [`Figures`](super::Figures).
pub(crate) struct Sources {
    /// How often what was refused, since the start.
    pub(crate) refusals: Read<Vec<(&'static str, u64)>>,
    /// HTTP connections within the limit.
    pub(crate) http_connections: Read<u64>,
    /// Lines that wait for the reader of stdout.
    pub(crate) stdout_queue: Read<u64>,
    /// Lines for which there was no room.
    pub(crate) stdout_dropped: Read<u64>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// Refusals by the label of their reason, all of them, those that never happened too.
    pub(super) fn refusals(&self) -> Vec<(&'static str, u64)> {
        reasons::by_label((self.refusals)())
    }
}

/// Encodes all of them.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) sources: std::sync::Arc<Sources>,
    pub(super) start: Instant,
}

impl Collector for Collected {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = &self.sources;
        let ours = |name| format!("{PREFIX}_{name}");
        let help = "What was refused or cut off, by reason.";
        let kind = MetricType::Counter;
        let name = ours("refusals");
        let mut refusals = to.encode_descriptor(&name, help, None, kind)?;
        for (reason, count) in sources.refusals() {
            let label = [("reason", reason)];
            ConstCounter::new(count).encode(refusals.encode_family(&label)?)?;
        }
        let help = "HTTP connections within the limit.";
        gauge(
            &mut to,
            &ours("http_connections"),
            help,
            (sources.http_connections)(),
        )?;
        let help = "Lines that wait for the reader of stdout.";
        gauge(
            &mut to,
            &ours("stdout_queue"),
            help,
            (sources.stdout_queue)(),
        )?;
        let help = "Lines that were dropped, as stdout was too slow.";
        let name = ours("stdout_dropped");
        let dropped = to.encode_descriptor(&name, help, None, MetricType::Counter)?;
        ConstCounter::new((sources.stdout_dropped)()).encode(dropped)?;
        let help = "Time since the start.";
        let (name, unit) = (ours("uptime"), Unit::Seconds);
        let uptime = to.encode_descriptor(&name, help, Some(&unit), MetricType::Gauge)?;
        ConstGauge::new(self.start.elapsed().as_secs_f64()).encode(uptime)?;
        self.encode_process(&mut to)
    }
}

impl Collected {
    /// Under the names that Prometheus gives them. Left out where the system does not say.
    fn encode_process(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = resident_bytes() {
            let (name, help) = ("process_resident_memory", "Memory in RAM.");
            let unit = Unit::Bytes;
            let resident = to.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?;
            ConstGauge::new(bytes).encode(resident)?;
        }
        if let Some(open) = open_files() {
            gauge(to, "process_open_fds", "Open file descriptors.", open)?;
        }
        if let Some(max) = max_files() {
            gauge(to, "process_max_fds", "The limit on them.", max)?;
        }
        Ok(())
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(gauge)
}

/// What of this process is in RAM, by `/proc`.
pub(crate) fn resident_bytes() -> Option<u64> {
    const BYTES_PER_KIB: u64 = 1024;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * BYTES_PER_KIB)
}

fn open_files() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // The directory itself is open while it is read.
    Some(open.saturating_sub(1))
}

fn max_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let mut lines = limits.lines();
    let files = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is left out.
    files.split_whitespace().next()?.parse().ok()
}
