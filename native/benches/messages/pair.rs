//! The two processes of one measurement.

use std::{env, process::Stdio};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{Over, QUICK, common::Relay, report::Figures};

/// Starts a receiver, and a sender with where that is, and returns what the sender has measured.
pub(crate) async fn run(kind: &str, (name, over): (&str, Over), quick: bool) -> Result<Figures> {
    let relay = match over {
        Over::Relay => Some(Relay::start().await?),
        Over::Quic | Over::Tcp => None,
    };
    let relay_address = relay.as_ref().map(|relay| relay.address.to_string());
    let relay_address = relay_address.as_deref().unwrap_or("-");
    // It complains when the sender has gone; what went wrong there, the sender says.
    let mut receiver = start(&["receive", kind, name, relay_address], Stdio::null())?;
    let address = line(&mut receiver).await?;
    let load = if quick { QUICK } else { "full" };
    let words = ["send", kind, name, relay_address, &address, load];
    let mut sender = start(&words, Stdio::inherit())?;
    let figures = line(&mut sender).await?;
    drop(relay);
    serde_json::from_str(&figures).context("no figures")
}

fn start(words: &[&str], complaints: Stdio) -> Result<Child> {
    Command::new(env::current_exe()?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .kill_on_drop(true)
        .spawn()
        .context("a peer does not start")
}

/// The one line that a peer writes.
async fn line(peer: &mut Child) -> Result<String> {
    let stdout = peer.stdout.take().context("no stdout")?;
    match BufReader::new(stdout).lines().next_line().await? {
        Some(line) => Ok(line),
        None => bail!("a peer has stopped"),
    }
}
