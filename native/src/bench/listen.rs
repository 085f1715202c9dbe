//! The side that is measured: says where it is, takes what comes, and shows who is there.

use anyhow::bail;
use futures::StreamExt;
use libp2p::Multiaddr;
use punchline::{
    address,
    event::Event,
    node::{self, Node},
    path::Transport,
};

use crate::{
    cli::BenchArgs,
    common::{output::Output, sanitise::sanitised, shell::quoted},
};

/// Runs until its future is dropped.
pub(super) async fn run(args: &BenchArgs, output: &mut Output) -> anyhow::Result<()> {
    let (config, key) = super::config(args).await?;
    let (node, mut events, event_loop) = node::new(config, key)?;
    tokio::spawn(event_loop.run());
    while let Some(event) = events.next().await {
        if args.json {
            // Thousands of messages a second are what it is for, and nobody wants to read them.
            if !matches!(event, Event::Message { .. } | Event::Delivery { .. }) {
                output.line(serde_json::to_string(&event)?);
            }
        } else if let Some(line) = line(args, &node, &event) {
            output.line(line);
        }
    }
    bail!("the node has stopped unexpectedly")
}

fn line(args: &BenchArgs, node: &Node, event: &Event) -> Option<String> {
    let text = match event {
        Event::Listening { address } if args.relay.is_empty() && is_for_others(address) => {
            let address = address::with_peer(address.clone(), node.peer_id());
            format!("on the other machine: {}", command(args, Some(&address)))
        }
        Event::Registered { .. } => format!("on the other machine: {}", command(args, None)),
        Event::Connected {
            name,
            path,
            transport,
            ..
        } => {
            format!("{name} is here, {path} over {transport}")
        }
        Event::PathChanged { to, transport, .. } => {
            format!("the path is {to} now, over {transport}")
        }
        Event::Disconnected { reason, .. } => format!("it is gone: {reason}"),
        Event::Error { message, .. } => format!("error: {message}"),
        _ => return None,
    };
    Some(sanitised(&text).into_owned())
}

/// Whether another machine may dial it, by the best transport: one for each network is enough.
fn is_for_others(address: &Multiaddr) -> bool {
    Transport::of(address) == Transport::Quic && address::leads_beyond(address)
}

/// What the other side types.
fn command(args: &BenchArgs, address: Option<&Multiaddr>) -> String {
    let mut words = vec!["punchline".to_owned(), "bench".to_owned()];
    words.extend(address.map(Multiaddr::to_string));
    for relay in &args.relay {
        words.push("--relay".into());
        words.push(relay.to_string());
    }
    if let Some(named) = &args.named {
        words.push(format!("--namespace={}", quoted(named)));
    }
    words.join(" ")
}
