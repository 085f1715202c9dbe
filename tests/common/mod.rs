//! Runs the real binary, and reads what it prints.
//!
//! No test sleeps. It waits for an event, for a line or for the end of a process; when the deadline passes, the failure
//! names what did not come and shows what the process has printed.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(unreachable_pub, reason = "public to the test that includes it")]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// How long a wait may take. It only ends a hang: machines that run tests are busy.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How often to look where the system offers no wait with a deadline.
const POLL: Duration = Duration::from_millis(10);
/// The most events of a process that wait to be looked at.
const QUEUE_LEN: usize = 65_536;

/// A process under test. It is killed when dropped.
#[derive(Debug)]
pub struct Proc {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    /// Every line of stdout, for the message of a failure.
    transcript: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// Events that a wait has passed over. Later waits look at them first.
    passed: Vec<Value>,
    /// How long a wait for an event may take.
    patience: Duration,
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl Proc {
    /// Starts `punchline` with those arguments.
    pub fn start<S: AsRef<OsStr>>(name: &str, args: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
        command.args(args);
        Self::spawn(name, command)
    }

    /// Starts a command that was prepared elsewhere, with an environment or in a network namespace.
    pub fn spawn(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        let (events_tx, events) = sync_channel(QUEUE_LEN);
        let transcript = Arc::new(Mutex::new(Vec::new()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().unwrap();
        let lines = transcript.clone();
        let read_stdout = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A line without JSON is for people. The transcript has every line before its event is seen.
                let event = serde_json::from_str(&line);
                lines.lock().unwrap().push(line);
                if let Ok(event) = event {
                    let _ = events_tx.try_send(event);
                }
            }
        });
        let errors = child.stderr.take().unwrap();
        let text = stderr.clone();
        let read_stderr = thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut text = text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self {
            name: name.into(),
            stdin: child.stdin.take(),
            child,
            events,
            transcript,
            stderr,
            readers: vec![read_stdout, read_stderr],
            passed: Vec::new(),
            patience: DEADLINE,
        }
    }

    /// Sets how long each later wait for an event may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Waits for an event that is `wanted`, and takes it out of the queue. Events before it stay for other waits.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let position = self.position_of(what, wanted);
        self.passed.remove(position)
    }

    /// Waits as [`Self::wait_for`] does, but leaves the event in the queue, too.
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let position = self.position_of(what, wanted);
        self.passed[position].clone()
    }

    fn position_of(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> usize {
        if let Some(position) = self.passed.iter().position(&wanted) {
            return position;
        }
        let patience = self.patience;
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    let found = wanted(&event);
                    self.passed.push(event);
                    if found {
                        return self.passed.len() - 1;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {what} within {patience:?}\n{}", self.report())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before {what}\n{}", self.report())
                }
            }
        }
    }

    /// Waits for the next event of that name, and takes it out of the queue.
    pub fn wait_event(&mut self, name: &str) -> Value {
        self.wait_for(name, |event| event["event"] == name)
    }

    /// Waits for a line on stdout that starts with `start`.
    pub fn wait_line(&self, start: &str) -> String {
        self.wait_line_that(start, |line| line.starts_with(start))
    }

    /// Waits for a line on stdout that is `wanted`.
    pub fn wait_line_that(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| wanted(line)) {
                return line;
            }
            assert!(
                Instant::now() < deadline,
                "no line {what:?} within {DEADLINE:?}\n{}",
                self.report()
            );
            thread::sleep(POLL);
        }
    }

    /// Returns the events that no wait has taken so far.
    pub fn pending_events(&mut self) -> &[Value] {
        self.passed.extend(self.events.try_iter());
        &self.passed
    }

    /// Forgets unwanted events among those that no wait has taken so far.
    pub fn forget(&mut self, unwanted: impl Fn(&Value) -> bool) {
        self.pending_events();
        self.passed.retain(|event| !unwanted(event));
    }

    /// Writes a line to stdin, as typing does.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin has been closed");
        writeln!(stdin, "{line}").unwrap_or_else(|e| panic!("{} does not read: {e}", self.name));
    }

    /// Writes bytes to stdin that need not be lines.
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin has been closed");
        stdin
            .write_all(bytes)
            .unwrap_or_else(|e| panic!("{} does not read: {e}", self.name));
    }

    /// Hands stdin out, so that another thread can write. Methods that type fail from then on.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin has been closed")
    }

    /// Closes stdin, as Ctrl-D does.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap_or_else(|e| panic!("{} cannot be signalled: {e}", self.name));
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines on stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.transcript.lock().unwrap().clone()
    }

    /// The text on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the process has ended, and returns all that it has printed.
    pub fn finish(mut self) -> Finished {
        let status = self.wait_exit();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let mut stdout = self.transcript.lock().unwrap().join("\n");
        if !stdout.is_empty() {
            stdout.push('\n');
        }
        Finished {
            code: status.code(),
            stdout,
            stderr: self.stderr(),
        }
    }

    /// Waits until the process has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        match wait_exit(&mut self.child) {
            Some(status) => status,
            None => panic!("did not end within {DEADLINE:?}\n{}", self.report()),
        }
    }

    /// Formats all that the process has printed so far, for the message of a failure.
    pub fn report(&self) -> String {
        format!(
            "--- stdout of {name}:\n{}\n--- stderr of {name}:\n{}",
            self.transcript.lock().unwrap().join("\n"),
            self.stderr(),
            name = self.name
        )
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is killed when dropped.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a peer whose stdout only the test reads, if it does, and returns it with its address.
pub fn unread_peer(args: &[&str]) -> (Killed, BufReader<ChildStdout>, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_punchline"))
        .arg("--json")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut address = None;
    let mut line = String::new();
    while !line.contains(r#""event":"ready""#) {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "no listener");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "listening" {
            address = Some(text(&event, "address"));
        }
    }
    (child, stdout, address.unwrap())
}

/// What /proc says of a process's memory, in KiB: `VmRSS` is what it has resident, `VmHWM` the most that it has had. `None`
/// where the system does not say.
pub fn memory_kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub proc: Proc,
    /// Its peer id.
    pub peer_id: String,
    /// The address of its HTTP server on the loopback interface.
    pub http: SocketAddr,
    /// The addresses that it listens on, with `/p2p/…`.
    pub addresses: Vec<String>,
}

impl Relay {
    /// Starts a relay with `--port 0 --json` and these arguments, and waits until it is ready.
    pub fn start<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
        command.args(["relay", "--port", "0", "--json"]).args(args);
        Self::ready(Proc::spawn("relay", command))
    }

    /// Waits until a relay that was started with `--json` is ready.
    pub fn ready(mut proc: Proc) -> Self {
        let started = proc.wait_event("started");
        let http = proc.wait_event("http");
        proc.wait_event("ready");
        let addresses = proc
            .pending_events()
            .iter()
            .filter(|event| event["event"] == "listening")
            .map(|event| text(event, "address"))
            .collect();
        let url = text(&http, "url");
        Self {
            proc,
            peer_id: text(&started, "peer_id"),
            http: url.strip_prefix("http://").unwrap().parse().unwrap(),
            addresses,
        }
    }

    /// Its address on the IPv4 loopback interface that has `start`, `tcp` or `udp`, as its transport and `contains` in it.
    pub fn local_address(&self, start: &str, contains: &str) -> String {
        self.addresses
            .iter()
            .find(|a| a.starts_with(&format!("/ip4/127.0.0.1/{start}/")) && a.contains(contains))
            .unwrap_or_else(|| panic!("no {start} {contains} in {:?}", self.addresses))
            .clone()
    }

    /// The URL for `--relay`.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// Waits until a process has ended, and returns how. At the deadline it kills the process and returns `None`.
pub fn wait_exit(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(POLL);
    }
    let _ = child.kill();
    None
}

/// Returns a field of an event that has to be a string.
pub fn text(event: &Value, field: &str) -> String {
    event[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {event}"))
        .to_owned()
}

/// Sends a GET over a plain socket, and returns the status code and the body.
pub fn http_get(server: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Finds four ports in a row that are free for TCP and UDP, below those that the system gives out.
pub fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 300).unwrap() * 40;
    let is_free = |port| {
        TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok()
    };
    (0..1_000)
        .map(|_| 20_000 + (start + 4 * NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| (*port..port + 4).all(is_free))
        .expect("four free ports in a row")
}
