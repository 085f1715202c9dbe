//! The processes of a demo: a relay and its peers.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::SyncSender,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::words;

/// How long a process may take to end after Ctrl-C. It waits up to 2 s for its last acks.
const FAREWELL: Duration = Duration::from_secs(10);
/// The lines of a process's log that are shown after an error.
const LOG_LINES: usize = 20;

/// The part that a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Relay,
    A,
    B,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Relay => "relay",
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Something that the demo hears, from a process or from the person.
#[derive(Debug)]
pub(super) enum Saying {
    /// A process printed an event.
    Event(Role, Value),
    /// A process closed its output.
    Ended(Role),
    /// The person typed a line.
    Typed(String),
    /// The person has closed stdin.
    Quit,
}

/// All running processes. Dropping this kills them.
#[derive(Debug)]
pub(super) struct Cast {
    program: PathBuf,
    /// The relay's data directory, which goes with the demo.
    data: TempDir,
    sayings: SyncSender<Saying>,
    actors: BTreeMap<Role, Actor>,
    names: BTreeMap<String, Role>,
}

impl Cast {
    pub(super) fn new(program: &Path, sayings: SyncSender<Saying>) -> Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            data: tempfile::tempdir().context("cannot make a temporary folder")?,
            sayings,
            actors: BTreeMap::new(),
            names: BTreeMap::new(),
        })
    }

    pub(super) fn start_relay(&mut self) -> Result<()> {
        let data = self.data.path().to_string_lossy().into_owned();
        self.start(
            Role::Relay,
            &[
                "relay",
                "--port",
                "0",
                "--data-dir",
                &data,
                "--www",
                "www",
                "--json",
            ],
        )
    }

    pub(super) fn start_peer(&mut self, role: Role, relay_url: &str) -> Result<()> {
        self.start(role, &["--relay", relay_url, "--json"])
    }

    fn start(&mut self, role: Role, args: &[&str]) -> Result<()> {
        println!("{role:>5} $ punchline {}", args.join(" "));
        let actor = Actor::start(&self.program, args, role, self.sayings.clone())?;
        self.actors.insert(role, actor);
        Ok(())
    }

    /// Types a line into a peer's terminal.
    pub(super) fn type_line(&mut self, role: Role, line: &str) -> Result<()> {
        println!("{role:>5} > {line}");
        let actor = self.actors.get_mut(&role);
        let stdin = actor.and_then(|actor| actor.stdin.as_mut());
        let stdin = stdin.with_context(|| format!("{role} is not running"))?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .with_context(|| format!("{role} reads no more lines"))
    }

    /// Stops the relay as its operator would, by Ctrl-C.
    pub(super) fn stop_relay(&mut self) -> Result<()> {
        println!("{:>5} ^C", Role::Relay);
        let Some(mut relay) = self.actors.remove(&Role::Relay) else {
            return Ok(());
        };
        relay.interrupt();
        relay.wait(Role::Relay)
    }

    /// Ends all processes by Ctrl-C, and fails unless each ends with success.
    pub(super) fn leave(mut self) -> Result<()> {
        for actor in self.actors.values_mut() {
            actor.interrupt();
        }
        self.actors
            .iter_mut()
            .try_for_each(|(role, actor)| actor.wait(*role))
    }

    /// Whether a process has been stopped by the demo itself.
    pub(super) fn may_end(&self, role: Role) -> bool {
        !self.actors.contains_key(&role)
    }

    /// Shows an event, and remembers whose peer id is whose.
    pub(super) fn hear(&mut self, role: Role, event: &Value) {
        if event["event"] == "started"
            && let Some(peer) = event["peer_id"].as_str()
        {
            self.names.insert(peer.into(), role);
        }
        if let Some(line) = words::of(event, &self.names) {
            println!("{role:>5} | {line}");
        }
    }

    /// Ends all processes, and shows the end of their logs.
    pub(super) fn show_logs(self) {
        for (role, actor) in self.actors {
            for line in actor.last_lines() {
                eprintln!("{role:>5} ! {line}");
            }
        }
    }
}

#[derive(Debug)]
struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Reads the log, and returns its last lines when the process has closed it.
    log: Option<JoinHandle<VecDeque<String>>>,
}

impl Actor {
    fn start(
        program: &Path,
        args: &[&str],
        role: Role,
        sayings: SyncSender<Saying>,
    ) -> Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || pass_events(stdout, role, &sayings));
        }
        let stderr = child.stderr.take();
        let log = stderr.map(|stderr| thread::spawn(move || last_lines(stderr)));
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, log })
    }

    /// Asks the process to end. The standard library can only kill, so a shell sends the signal; where there is no shell,
    /// the process is killed.
    fn interrupt(&mut self) {
        let kill = format!("kill -INT {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        if !sent.is_ok_and(|status| status.success()) {
            // It fails only if the process has ended, which is what was wanted.
            let _ = self.child.kill();
        }
    }

    fn wait(&mut self, role: Role) -> Result<()> {
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{role} ended badly after Ctrl-C: {status}"),
                // The standard library has no wait with a deadline.
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
        bail!("{role} still runs {} s after Ctrl-C", FAREWELL.as_secs())
    }

    fn last_lines(mut self) -> VecDeque<String> {
        // The log ends with the process. This fails if it has ended before.
        let _ = self.child.kill();
        let log = self.log.take().map(JoinHandle::join);
        log.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Both fail only if the process has ended, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_events(stdout: impl Read, role: Role, sayings: &SyncSender<Saying>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // A line that is no JSON is shown as it is.
        let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
        // Without a receiver reading goes on, as the process would block on a full pipe.
        let _ = sayings.send(Saying::Event(role, event));
    }
    let _ = sayings.send(Saying::Ended(role));
}

fn last_lines(stderr: impl Read) -> VecDeque<String> {
    let mut last = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if last.len() == LOG_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}
