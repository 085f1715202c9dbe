//! `punchline doctor`: finds out within ten seconds what this network allows.
//!
//! The probes [`mod@find`], [`stun`] and [`dial`] do the I/O and record [`observations`]. [`verdict`] draws the
//! conclusions without any I/O, with [`nat`] for the kinds of NAT, and makes a [`mod@report`]. [`render`] turns that
//! into text for a person; with `--json` it is printed as it is.

mod dial;
mod find;
mod nat;
mod observations;
mod render;
mod report;
mod stun;
mod verdict;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future;
use punchline::address;
use tokio::time::{self, Instant};

use self::{dial::Probe, find::Target, observations::Observations};
use crate::{
    cli::{DoctorArgs, RelaySpec},
    common::{
        output::Output,
        signals::{self, Stop},
    },
};

/// How long a run takes at most.
const LIMIT: Duration = Duration::from_secs(10);
/// The part of it that is kept for the verdict and the output.
const RESERVE: Duration = Duration::from_millis(500);
/// How long it may take to find the addresses of the relays.
const FIND_TIMEOUT: Duration = Duration::from_secs(4);
/// Addresses outside this network, to learn which own address packets to them would have. No packet is sent: they
/// are reserved for documentation (RFC 5737, RFC 3849).
const FAR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Any port will do.
const FAR_PORT: u16 = 9;

/// Probes the network, prints the report, and returns its exit status.
pub(crate) async fn run(args: DoctorArgs, mut stop: Stop) -> anyhow::Result<ExitCode> {
    let seen = tokio::select! {
        seen = probe(&args.relay) => seen?,
        () = signals::asked(&mut stop) => bail!("stopped before anything was known"),
    };
    let report = verdict::judge(&seen);
    let mut output = Output::stdout().context("cannot start the output thread")?;
    match args.json {
        true => output.line(serde_json::to_string(&report).context("no JSON for the report")?),
        false => render::lines(&report)
            .into_iter()
            .for_each(|line| output.line(line)),
    }
    if !output.finish() {
        // Said on stderr already: whoever goes by the status has no report to go with it.
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::from(report.exit_status))
}

async fn probe(relays: &[RelaySpec]) -> anyhow::Result<Observations> {
    let end = Instant::now() + LIMIT - RESERVE;
    let mut seen = Observations::default();
    seen.v4.own = stun::own_address((FAR_V4, FAR_PORT).into());
    seen.v6.own = stun::own_address((FAR_V6, FAR_PORT).into());
    if relays.is_empty() {
        return Ok(seen);
    }
    let mut wanted: Vec<RelaySpec> = Vec::new();
    for relay in relays {
        if !wanted.contains(relay) {
            wanted.push(relay.clone());
        }
    }
    let targets = future::join_all(wanted.into_iter().map(find)).await;
    add_own_addresses(&mut seen, &targets);
    let servers = |is_of: fn(&SocketAddr) -> bool| -> Vec<_> {
        let all = targets.iter().flat_map(|t| t.stun.iter().copied());
        all.filter(is_of).collect()
    };
    let (v4, v6) = (servers(SocketAddr::is_ipv4), servers(SocketAddr::is_ipv6));
    seen.v4.stun_asked = v4.len();
    seen.v6.stun_asked = v6.len();
    let mut dial_probe = Probe::start(&targets)?;
    let dialling = time::timeout_at(end, dial_probe.run());
    let asking = future::join(
        time::timeout_at(end, stun::ask(v4)),
        time::timeout_at(end, stun::ask(v6)),
    );
    let (dialled, (v4, v6)) = future::join(dialling, asking).await;
    if dialled.is_err() {
        tracing::debug!("time ran out");
    }
    seen.v4.stun = v4.unwrap_or_default();
    seen.v6.stun = v6.unwrap_or_default();
    dial_probe.add_to(&mut seen);
    Ok(seen)
}

/// Finds one relay within the time limit.
async fn find(spec: RelaySpec) -> Target {
    let given = spec.to_string();
    let found = time::timeout(FIND_TIMEOUT, find::find(spec)).await;
    found.unwrap_or_else(|_| Target {
        given,
        peer: None,
        addresses: Vec::new(),
        stun: Vec::new(),
        http: Some(Err(format!(
            "where it is could not be found out within {} s",
            FIND_TIMEOUT.as_secs()
        ))),
    })
}

/// Adds the own addresses towards the relays, for a network that has relays but no way out.
fn add_own_addresses(seen: &mut Observations, targets: &[Target]) {
    let dialled = targets.iter().flat_map(|t| &t.addresses);
    let sockets: Vec<_> = dialled.filter_map(address::socket_of).collect();
    let own = |known: Option<IpAddr>, is_of: fn(&SocketAddr) -> bool| {
        let mut relays = sockets.iter().copied().filter(is_of);
        known.or_else(|| relays.find_map(stun::own_address))
    };
    seen.v4.own = own(seen.v4.own, SocketAddr::is_ipv4);
    seen.v6.own = own(seen.v6.own, SocketAddr::is_ipv6);
}
