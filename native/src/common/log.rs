//! The log on stderr: what is in it, in which format, and how much of it there may be.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Deserialize;
use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    fmt::{format::Writer, time::FormatTime},
    layer::{Context, Filter, SubscriberExt},
    util::SubscriberInitExt,
};

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "warn";

/// What is logged of libraries unless `RUST_LOG` names them.
///
/// Remote IP addresses belong at debug level, and no remote may fill the log. But str0m and its parts, and those of TURN, write addresses into
/// their warnings, and quinn-udp warns of each address without a route, by name. libp2p-identify warns of each
/// push that a newer one overtakes, libp2p-autonat of each request that a remote breaks off, libp2p-relay and
/// libp2p-request-response of each stream beyond their limits.
const QUIET: &str = "str0m=off,is=off,dimpl=off,sctp_proto=off,turn_client_proto=off,turn_types=off,stun_proto=off,\
    stun_types=off,libp2p_identify=error,libp2p_autonat=error,\
    libp2p_relay=error,libp2p_request_response=error,quinn_udp=error";

/// How many lines one place in the program may write in a [`PERIOD`], from info upwards. Whoever asks for debug wants all.
const MAX_LINES: u32 = 10;
/// The period of that bound, and of the line which says what was left out.
const PERIOD: Duration = Duration::from_secs(10);

/// Lines for people, or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    #[default]
    Text,
    /// One object a line.
    Json,
}

static IS_JSON: AtomicBool = AtomicBool::new(false);
static LIMIT: OnceLock<Limit> = OnceLock::new();

/// Starts the log, once in a process. It is bounded where strangers can have lines written, and nobody watches.
pub(crate) fn start(format: Format, bounded: bool) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
    let filter = log_filter(std::env::var(EnvFilter::DEFAULT_ENV).ok());
    let limit = bounded.then(|| LIMIT.get_or_init(Limit::default).clone());
    let lines = fmt::layer().with_writer(io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            Box::new(lines.with_ansi(colours))
        }
        Format::Json => Box::new(lines.json().flatten_event(true)),
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match limit {
        Some(limit) => Box::new(lines.with_filter(limit).with_filter(filter)),
        None => Box::new(lines.with_filter(filter)),
    };
    tracing_subscriber::registry().with(lines).init();
}

/// Says how many lines were left out, of which part of the program, if any were. To be called once in a while.
pub(crate) fn report_left_out() {
    if let Some(text) = LIMIT.get().and_then(Limit::take) {
        tracing::warn!("left out of this log since the last such line: {text}");
    }
}

/// Puts a line that is no event, such as an error at the end, into the log's format.
pub(crate) fn format(line: &str) -> String {
    if !IS_JSON.load(Ordering::Relaxed) {
        return line.to_owned();
    }
    let (level, message) = match line.split_once(": ") {
        Some(("error", message)) => ("ERROR", message),
        Some(("warning", message)) => ("WARN", message),
        _ => ("INFO", line),
    };
    let mut timestamp = String::new();
    // Writing to a string does not fail.
    let _ = fmt::time::SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let object = serde_json::json!({ "timestamp": timestamp, "level": level, "message": message });
    object.to_string()
}

/// The filter for what `RUST_LOG` asks for. Of two directives for one target the later one counts.
fn log_filter(wanted: Option<String>) -> EnvFilter {
    let wanted = wanted.filter(|wanted| !wanted.trim().is_empty());
    let wanted = wanted.as_deref().unwrap_or(DEFAULT_LOG);
    EnvFilter::try_new(format!("{QUIET},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{DEFAULT_LOG}")))
}

/// Bounds what each place in the program writes. Clones share the counts.
#[derive(Debug, Clone, Default)]
struct Limit(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// When the period of a place began, and its lines since. There are as many as the program has places that log.
    written: HashMap<Identifier, (Instant, u32)>,
    /// Lines left out, by the module that they are of.
    left_out: BTreeMap<&'static str, u64>,
}

impl Limit {
    /// Whether there is room for one more line.
    fn admits(&self, of: &'static Metadata<'static>, now: Instant) -> bool {
        let mut counts = self.lock();
        let (begin, lines) = counts.written.entry(of.callsite()).or_insert((now, 0));
        if now.saturating_duration_since(*begin) >= PERIOD {
            (*begin, *lines) = (now, 0);
        }
        let admits = *lines < MAX_LINES;
        *lines = lines.saturating_add(1);
        if !admits {
            *counts.left_out.entry(of.target()).or_default() += 1;
        }
        admits
    }

    fn take(&self) -> Option<String> {
        let left_out = std::mem::take(&mut self.lock().left_out);
        let mut text = String::new();
        for (target, count) in &left_out {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{count} of {target}");
        }
        (!text.is_empty()).then_some(text)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        *event.metadata().level() > Level::INFO || self.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_more_verbose_log_still_has_no_addresses() {
        let filter = |wanted: &str| log_filter(Some(wanted.into())).to_string();
        for wanted in ["info", "debug", "punchline=debug"] {
            let filter = filter(wanted);
            assert!(filter.contains("str0m=off"), "{filter}");
            assert!(filter.contains(wanted), "{filter}");
        }
        let asked_for = filter("str0m=debug");
        assert!(!asked_for.contains("str0m=off"), "{asked_for}");
        for nothing in [None, Some(" ".into()), Some("no=such=thing".into())] {
            assert!(log_filter(nothing).to_string().ends_with("warn"));
        }
    }

    /// The metadata of one place that logs.
    macro_rules! place {
        () => {{
            use tracing::{Callsite, callsite::DefaultCallsite, metadata::Kind};
            static PLACE: DefaultCallsite = DefaultCallsite::new(&METADATA);
            static METADATA: Metadata<'static> = tracing::metadata! {
                name: "a place", target: "here", level: Level::WARN,
                fields: &[], callsite: &PLACE, kind: Kind::EVENT,
            };
            PLACE.metadata()
        }};
    }

    #[test]
    fn each_place_has_its_own_lines_in_each_period() {
        let (limit, now) = (Limit::default(), Instant::now());
        let (loud, quiet) = (place!(), place!());
        let admitted = |of, now| (0..100).filter(|_| limit.admits(of, now)).count();
        assert_eq!(admitted(loud, now), MAX_LINES as usize);
        assert!(limit.admits(quiet, now), "the other one is not to blame");
        assert_eq!(limit.take().as_deref(), Some("90 of here"));
        assert_eq!(limit.take(), None);
        assert_eq!(admitted(loud, now + PERIOD), MAX_LINES as usize);
        assert_eq!(limit.lock().written.len(), 2);
    }
}
