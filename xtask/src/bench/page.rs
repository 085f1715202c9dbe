//! docs/performance.md and its plot: what `cargo xtask bench --write` has measured.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context, Result};
use plotters::prelude::*;
use serde_json::Value;

use crate::pages::put_between;

const PAGE: &str = "docs/performance.md";
const PLOT: &str = "docs/performance.svg";

/// Kinds in the order of the table, and what each is.
const KINDS: [(&str, &str); 5] = [
    ("msg", "ours: `Node::send` to the event of its ack"),
    ("stream", "a libp2p stream, framed by prost-codec"),
    ("bare", "a libp2p stream, framed by a bare loop"),
    (
        "raw",
        "that loop without libp2p: QUIC by quinn with AES-128-GCM; TCP, unencrypted",
    ),
    ("raw-chacha", "the same QUIC with ChaCha20-Poly1305"),
];
const OVERS: [&str; 3] = ["quic", "tcp", "relay"];
/// A column: the field of a figure, its head, and what it is divided by.
const COLUMNS: [(&str, &str, f64); 3] = [
    ("rate", "64 B, thousands a second", 1e3),
    ("p50_us", "round trip p50, µs", 1.0),
    ("bytes", "64 KiB, MB a second", 1e6),
];
const SIZE: (u32, u32) = (960, 360);
const BAR: f64 = 0.4;

/// All figures, by transport, kind and field; those of one round have the same place.
#[derive(Debug, Default)]
struct Figures(BTreeMap<(String, String, &'static str), Vec<f64>>);

/// Writes the table and the plot of what the benchmark printed, one JSON object a line.
pub(super) fn write(lines: &str) -> Result<()> {
    let figures = Figures::read(lines)?;
    let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    let part = format!("{}\n\n{}", machine(), table(&figures));
    fs::write(
        PAGE,
        put_between(&page, "cargo xtask bench --write", &part)?,
    )?;
    plot(&figures)
}

impl Figures {
    fn read(lines: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in lines.lines().filter(|line| line.starts_with('{')) {
            let value: Value = serde_json::from_str(line).context("a figure is no JSON")?;
            for (field, ..) in COLUMNS {
                let word = |of: &str| value[of].as_str().unwrap_or_default().to_owned();
                let figures = all
                    .0
                    .entry((word("over"), word("kind"), field))
                    .or_default();
                figures.extend(value[field].as_f64());
            }
        }
        Ok(all)
    }

    fn of(&self, over: &str, kind: &str, field: &'static str) -> &[f64] {
        let figures = self.0.get(&(over.into(), kind.into(), field));
        figures.map_or(&[], Vec::as_slice)
    }

    /// The median over all rounds of msg's figure divided by another's of the same round.
    fn ratio(&self, over: &str, kind: &str, field: &'static str) -> Option<f64> {
        let ours = self.of(over, "msg", field).iter();
        let ratios = ours.zip(self.of(over, kind, field)).map(|(a, b)| a / b);
        median(ratios.collect())
    }
}

fn table(figures: &Figures) -> String {
    let mut table = String::from("| over | what |");
    for (_, head, _) in COLUMNS {
        let _ = write!(table, " {head} | msg / that |");
    }
    table.push_str("\n| --- | --- |");
    table.push_str(&" ---: | ---: |".repeat(COLUMNS.len()));
    for over in OVERS {
        for (kind, what) in KINDS {
            if figures.of(over, kind, "rate").is_empty() {
                continue;
            }
            let _ = write!(table, "\n| {over} | {what} |");
            for (field, _, unit) in COLUMNS {
                let figure = median(figures.of(over, kind, field).to_vec());
                let figure = figure.map_or("–".into(), |figure| format!("{:.0}", figure / unit));
                let ratio = figures.ratio(over, kind, field).filter(|_| kind != "msg");
                let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
                let _ = write!(table, " {figure} | {ratio} |");
            }
        }
    }
    table.push('\n');
    table
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What it was measured on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| model.trim_matches([' ', '\t', ':']));
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "Measured on: {model}, {cores} cores, Linux {}.",
        kernel.trim()
    )
}

/// Bars of the first and the last column, side by side.
fn plot(figures: &Figures) -> Result<()> {
    let root = SVGBackend::new(PLOT, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (field, head, unit)) in root
        .split_evenly((1, 2))
        .iter()
        .zip([COLUMNS[0], COLUMNS[2]])
    {
        let mut bars = Vec::new();
        for over in ["quic", "tcp"] {
            for (kind, _) in KINDS {
                if let Some(figure) = median(figures.of(over, kind, field).to_vec()) {
                    bars.push((over, kind, figure / unit));
                }
            }
        }
        let top = bars.iter().map(|(.., figure)| *figure).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(head, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(50)
            .y_label_area_size(50)
            .build_cartesian_2d(-0.5..bars.len() as f64 - 0.5, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .draw()?;
        for (nth, (over, kind, figure)) in bars.iter().enumerate() {
            let at = nth as f64;
            let colour = if *kind == "msg" {
                RED.to_rgba()
            } else {
                BLUE.mix(0.5)
            };
            chart.draw_series([Rectangle::new(
                [(at - BAR, 0.0), (at + BAR, *figure)],
                colour.filled(),
            )])?;
            for (line, word) in [over, kind].iter().enumerate() {
                let (x, y) = chart.backend_coord(&(at, 0.0));
                let (left, upper) = area.get_base_pixel();
                let at = (x - left - 22, y - upper + 6 + 15 * i32::try_from(line)?);
                area.draw(&Text::new((**word).to_owned(), at, ("sans-serif", 12)))?;
            }
        }
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_medians_and_ratios_of_rounds() {
        let line = |kind: &str, rate: f64| {
            format!(
                r#"{{"over":"quic","kind":"{kind}","round":1,"rate":{rate},"p50_us":10,"bytes":1e8}}"#
            )
        };
        // The machine is twice as slow in the second round.
        let lines = [
            line("msg", 9e5),
            line("raw", 1e6),
            line("msg", 4.5e5),
            line("raw", 5e5),
        ];
        let figures = Figures::read(&format!("noise\n{}", lines.join("\n"))).unwrap();
        let table = table(&figures);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows.len(), 2, "{table}");
        assert!(rows[0].ends_with("| 900 |  | 10 |  | 100 |  |"), "{table}");
        assert!(
            rows[1].ends_with("| 1000 | 0.90 | 10 | 1.00 | 100 | 1.00 |"),
            "{table}"
        );
    }
}
