//! The table that `/peers` prints: no wider than a terminal is at first.

use std::time::Duration;

use punchline::node::PeerInfo;

use super::Renderer;
use crate::common::sanitise::sanitised;

/// Columns of the narrowest terminal that is common.
const WIDTH: usize = 80;
/// Columns for a name and the end of an id.
const NAME_WIDTH: usize = 24;

impl Renderer {
    /// Who is here. `verbose`: with id and address, on a line of their own.
    pub(crate) fn peers(&mut self, peers: &[PeerInfo], verbose: bool) -> String {
        if peers.is_empty() {
            return "nobody is here yet".into();
        }
        let heading = ["name", "path", "transport", "rtt", "unacked", "note"];
        let mut rows = vec![heading.map(String::from)];
        rows.extend(peers.iter().map(|peer| self.row(peer)));
        if rows[1..].iter().all(|row| row[5].is_empty()) {
            rows[0][5].clear();
        }
        let mut rows = table(&rows).into_iter();
        let mut lines: Vec<_> = rows.next().into_iter().collect();
        for (row, peer) in rows.zip(peers) {
            lines.push(row);
            if verbose {
                lines.push(details(peer));
            }
            if let Some(reason) = &peer.reason {
                lines.push(fitted(&format!(
                    "    why not direct: {}",
                    sanitised(reason)
                )));
            }
        }
        lines.join("\n")
    }

    fn row(&mut self, peer: &PeerInfo) -> [String; 6] {
        let no_path = || "-".to_owned();
        let note = if peer.in_room { "" } else { "other room" };
        [
            cut(&sanitised(&self.names.of(peer.peer)), NAME_WIDTH),
            peer.path
                .map_or_else(|| "away".into(), |path| path.to_string()),
            peer.transport
                .map_or_else(no_path, |transport| transport.to_string()),
            peer.rtt.map_or_else(no_path, milliseconds),
            peer.unacked.to_string(),
            note.into(),
        ]
    }
}

fn details(peer: &PeerInfo) -> String {
    let address = peer.address.as_ref().map(ToString::to_string);
    let address = address.map_or_else(String::new, |address| {
        format!(" at {}", sanitised(&address))
    });
    format!("    {}{address}", peer.peer)
}

fn milliseconds(rtt: Duration) -> String {
    format!("{:.1} ms", rtt.as_secs_f64() * 1_000.0)
}

/// The text in at most this many columns. The end stays: it tells one name from another.
fn cut(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    if count <= columns {
        return text.into();
    }
    let end: String = text.chars().skip(count - (columns - 1)).collect();
    format!("…{end}")
}

/// Rows with aligned columns.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        fitted(&format!("  {}", padded.join("  ").trim_end()))
    };
    rows.iter().map(line).collect()
}

/// The line, cut where it would be too long.
fn fitted(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some(_) => line.chars().take(WIDTH - 1).chain(['…']).collect(),
        None => line.into(),
    }
}
