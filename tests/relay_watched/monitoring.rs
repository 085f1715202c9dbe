//! What docs/monitoring has for Prometheus and Grafana, and what the manual says, against the real figures.

use std::{
    collections::BTreeSet,
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    NO_ARGS, POLL,
    common::{DEADLINE, Killed, Relay, http_get},
    metrics,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn monitoring(file: &str) -> PathBuf {
    root().join("docs/monitoring").join(file)
}

/// Finds a program of the package prometheus. Where there is none the test is left out, but not in CI.
fn program(name: &str) -> Option<PathBuf> {
    let ours = root().join("target/tools/prometheus/usr/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut all = std::iter::once(ours).chain(env::split_paths(&path));
    let found = all.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()));
    if found.is_none() {
        assert!(env::var_os("CI").is_none(), "no {name}: cargo xtask setup");
        println!("left out: no {name}; `cargo xtask setup` brings it");
    }
    found
}

fn promtool(words: &[&str], file: &str) {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let output = Command::new(promtool)
        .args(words)
        .arg(monitoring(file))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn prometheus_takes_the_configuration_and_the_alerts() {
    promtool(&["check", "config"], "prometheus.yaml");
    promtool(&["check", "rules", "--lint-fatal"], "alerts.yaml");
    promtool(&["test", "rules"], "alerts.test.yaml");
}

/// `promtool check metrics` reads Prometheus' older format, so the answer is put into that.
#[test]
fn prometheus_finds_no_fault_with_the_names() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let relay = Relay::start(NO_ARGS);
    let (_, text) = http_get(relay.http, "/metrics");
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, older_format(&text).as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// There a counter's family has the suffix of its series, and there are neither units nor infos.
fn older_format(text: &str) -> String {
    let kinds = metrics_of(text).families;
    let mut older = String::new();
    for line in text
        .lines()
        .filter(|l| !l.starts_with("# UNIT") && *l != "# EOF")
    {
        let mut words: Vec<_> = line.splitn(4, ' ').map(str::to_owned).collect();
        if words[0] == "#" {
            match kinds[&words[2]].as_str() {
                "counter" => words[2].push_str("_total"),
                "info" => words[2].push_str("_info"),
                _ => {}
            }
            if words[1] == "TYPE" && words[3] == "info" {
                words[3] = "gauge".into();
            }
        }
        older.push_str(&words.join(" "));
        older.push('\n');
    }
    older
}

fn metrics_of(text: &str) -> crate::openmetrics::Metrics {
    crate::openmetrics::Metrics::parse(text)
}

/// The names of ours, and of the process, in a query.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|w| w.starts_with("punchline_relay_") || w.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_ask_for_what_there_is() {
    let relay = Relay::start(NO_ARGS);
    let there = metrics(&relay).names();
    for file in ["dashboard.json", "alerts.yaml", "alerts.test.yaml"] {
        let asked = names_in(&fs::read_to_string(monitoring(file)).unwrap());
        assert!(asked.len() > 4, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&there).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(monitoring("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = BTreeSet::new();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            asked.extend(names_in(target["expr"].as_str().unwrap()));
        }
    }
    // A histogram is shown by its buckets.
    let shown = |name: &String| {
        let bucket = name.replace("_sum", "_bucket").replace("_count", "_bucket");
        asked.contains(name) || asked.contains(&bucket)
    };
    let left_out: Vec<_> = there.iter().filter(|name| !shown(name)).collect();
    assert_eq!(
        left_out,
        ["punchline_relay_build_info"],
        "it chooses the relay"
    );
}

/// The table in docs/operating.md has exactly the families that there are, with their types and labels.
#[test]
fn the_manual_has_each_metric() {
    let manual = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let section = manual.split("\n## Watching it\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (name, kind, what) = (cells.next()?, cells.next()?, cells.next()?);
        let name = name.strip_suffix('`')?;
        let (name, label) = name.split_once('{').unwrap_or((name, ""));
        (name.starts_with("punchline_") || name.starts_with("process_")).then(|| {
            let label = label.trim_end_matches('}').to_owned();
            (name.to_owned(), label, kind.to_owned(), what.to_owned())
        })
    });
    let rows: Vec<_> = rows.collect();
    let relay = Relay::start(NO_ARGS);
    let metrics = metrics(&relay);
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let families = metrics.families.iter();
    let there: BTreeSet<_> = families
        .map(|(name, kind)| (format!("{name}{}", suffix(kind)), kind.clone()))
        .collect();
    let described: BTreeSet<_> = rows
        .iter()
        .map(|(n, _, k, _)| (n.clone(), k.clone()))
        .collect();
    assert_eq!(described, there);
    for (name, label, _, what) in &rows {
        let values = metrics.values_of(name, label);
        assert_eq!(values.is_empty(), label.is_empty(), "{name} has labels");
        // Transports are listed once.
        if label != "transport" && label != "version" {
            for value in values {
                assert!(what.contains(&format!("`{value}`")), "{name}: {value}");
            }
        }
    }
}

/// The real Prometheus reads the real figures: the format is one that it takes.
#[test]
fn prometheus_scrapes_a_relay() {
    let Some(prometheus) = program("prometheus") else {
        return;
    };
    let relay = Relay::start(NO_ARGS);
    let data = tempfile::tempdir().unwrap();
    let example = fs::read_to_string(monitoring("prometheus.yaml")).unwrap();
    let (port, changed) = (relay.http.port(), data.path().join("prometheus.yaml"));
    let rules = monitoring("alerts.yaml").canonicalize().unwrap();
    let config = example
        .replace("localhost:45680", &format!("localhost:{port}"))
        .replace("15s", "1s")
        .replace("alerts.yaml", rules.to_str().unwrap());
    fs::write(&changed, config).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let child = Command::new(prometheus)
        .arg(format!("--config.file={}", changed.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            data.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _child = Killed(child.unwrap());
    let start = Instant::now();
    // Asking a server that is not up yet fails: it may take some seconds.
    while std::net::TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < DEADLINE, "Prometheus does not start");
        thread::sleep(POLL);
    }
    loop {
        let (_, targets) = http_get(address, "/api/v1/targets?state=active");
        let (_, ready) = http_get(address, "/api/v1/query?query=punchline_relay_ready");
        let is_up = targets.contains(r#""health":"up""#);
        if is_up && ready.contains(r#""punchline_relay_ready""#) && ready.contains(r#""1"]"#) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{targets}\n{ready}");
        thread::sleep(POLL);
    }
}
