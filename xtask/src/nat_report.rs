//! `cargo xtask nat-report`: measures how soon two peers behind every pair of NATs talk, and talk directly.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    pages::put_between,
    run::{Cmd, workspace_root},
    setup::{self, For},
};

/// The page with the tables.
const PAGE: &str = "docs/nat.md";
const COMMAND: &str = "cargo xtask nat-report";

/// The file for the figures of each run of a cell, one JSON object a line.
const FIGURES: &str = "target/nat-report.jsonl";
const TESTS: &str = "cargo test --workspace --release --test nat --";
/// The end of the names of cells with a delay, each of which there is without one, too.
const DELAYED: &str = "_20ms";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each cell is run; the figures are medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Cells at a time. They mostly wait, but too many of them disturb each other.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Only cells whose name contains this. The table is then printed, and docs/nat.md stays.
    filter: Option<String>,
}

/// Measures in a release build, as people run one.
pub(crate) fn main(args: &Args) -> Result<()> {
    setup::set_up(For::Tests, false)?;
    let filter = format!("matrix::{}", args.filter.as_deref().unwrap_or_default());
    let cells = cells(&Cmd::new(TESTS).arg(&filter).arg("--list").read()?);
    if cells.is_empty() {
        bail!("no cell is called {filter}");
    }
    let figures = workspace_root().join(FIGURES);
    if figures.exists() {
        fs::remove_file(&figures).with_context(|| format!("cannot remove {FIGURES}"))?;
    }
    for run in 1..=args.runs {
        println!("\nrun {run} of {}", args.runs);
        let tests = Cmd::new(TESTS)
            .arg(&filter)
            .arg(format!("--test-threads={}", args.jobs))
            .hidden_env("PUNCHLINE_NAT_REPORT", &figures);
        if let Err(error) = tests.run() {
            // A cell that failed is no reason to stop: the table shows how often each has passed.
            println!("{error:#}");
        }
    }
    let lines = fs::read_to_string(&figures).with_context(|| format!("cannot read {FIGURES}"))?;
    let table = table(&cells, &read(&lines)?, args.runs);
    println!("\n{table}");
    if args.filter.is_none() {
        let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
        fs::write(PAGE, put_between(&page, COMMAND, &table)?)?;
    }
    Ok(())
}

/// The names of the cells in a list of tests, without those with a delay.
fn cells(list: &str) -> Vec<String> {
    list.lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter_map(|name| name.strip_prefix("matrix::"))
        .filter(|name| !name.ends_with(DELAYED))
        .map(Into::into)
        .collect()
}

/// The figures of all runs of a cell.
#[derive(Debug, Default)]
struct Cell {
    transport: String,
    first_words: Vec<u64>,
    direct: Vec<u64>,
}

fn read(lines: &str) -> Result<BTreeMap<String, Cell>> {
    let mut cells = BTreeMap::<String, Cell>::new();
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| format!("in {FIGURES}"))?;
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let cell = cells.entry(text("cell")).or_default();
        cell.transport = text("transport");
        cell.first_words.extend(value["first_words_ms"].as_u64());
        cell.direct.extend(value["direct_ms"].as_u64());
    }
    Ok(cells)
}

fn table(cells: &[String], figures: &BTreeMap<String, Cell>, runs: u16) -> String {
    let mut table = String::from(
        "| cell | path | first words | direct after | passed | 20 ms: first words | direct after | passed |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let nothing = Cell::default();
    for name in cells {
        let near = figures.get(name).unwrap_or(&nothing);
        let far = figures.get(&format!("{name}{DELAYED}")).unwrap_or(&nothing);
        let path = [near, far]
            .iter()
            .find(|cell| !cell.transport.is_empty())
            .map_or("?", |cell| &cell.transport);
        let _ = writeln!(
            table,
            "| `{name}` | {path} | {} | {} |",
            figures_of(near, runs),
            figures_of(far, runs),
        );
    }
    table
}

fn figures_of(cell: &Cell, runs: u16) -> String {
    format!(
        "{} | {} | {}/{runs}",
        median(&cell.first_words),
        median(&cell.direct),
        cell.first_words.len(),
    )
}

fn median(millis: &[u64]) -> String {
    let mut sorted = millis.to_vec();
    sorted.sort_unstable();
    sorted
        .get(sorted.len() / 2)
        .map_or_else(|| "–".into(), |ms| format!("{ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_listed_once() {
        let list = "matrix::cone_open: test\nmatrix::cone_open_20ms: test\n\
                    lab::probe: test\n\n3 tests\n";
        assert_eq!(cells(list), ["cone_open"]);
    }

    #[test]
    fn the_table_has_medians_and_counts() {
        let lines = r#"{"cell":"a","transport":"quic","first_words_ms":30,"direct_ms":300}
{"cell":"a","transport":"quic","first_words_ms":10,"direct_ms":100}
{"cell":"a","transport":"quic","first_words_ms":20,"direct_ms":200}
{"cell":"b_20ms","transport":"circuit","first_words_ms":9,"direct_ms":null}"#;
        let table = table(&["a".into(), "b".into()], &read(lines).unwrap(), 4);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| `a` | quic | 20 ms | 200 ms | 3/4 | – | – | 0/4 |",
                "| `b` | circuit | – | – | 0/4 | 9 ms | – | 1/4 |",
            ]
        );
    }
}
