//! What a connection of webrtc-direct costs the listener: makes a hundred, and looks at its memory before and after.
//!
//! ```sh
//! punchline relay --port 0 --json        # in another terminal
//! cargo run -p punchline-webrtc --example hundred_connections -- ADDRESS PROCESS_ID
//! ```
//!
//! Linux only, as it reads /proc.

use std::{error::Error, fs, future::poll_fn, pin::Pin, time::Duration};

use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint, StreamMuxer as _,
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
};
use punchline_webrtc::{direct::Transport, platform::native::Native};

const CONNECTIONS: usize = 100;
/// Some before the rest: what the first ones set up is no price of one.
const WARM: usize = 5;
/// What is under way ends, and what was needed only for a handshake is gone.
const REST: Duration = Duration::from_secs(5);

#[tokio::main]
#[allow(clippy::print_stdout, reason = "a figure is what this is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(process)) = (args.next(), args.next()) else {
        return Err("ADDRESS PROCESS_ID are wanted".into());
    };
    let address: Multiaddr = address.parse()?;
    for _ in 0..WARM {
        connect(&address).await?;
    }
    tokio::time::sleep(REST).await;
    let before = resident_kib(&process)?;
    for _ in 0..CONNECTIONS {
        connect(&address).await?;
    }
    tokio::time::sleep(REST).await;
    let after = resident_kib(&process)?;
    let each = after.saturating_sub(before) as f64 / CONNECTIONS as f64;
    println!("{each:.0} KiB for each connection ({before} KiB before, {after} KiB after)");
    Ok(())
}

/// Makes a connection, of a program of its own as far as the other side can tell, and keeps it.
async fn connect(address: &Multiaddr) -> Result<(), Box<dyn Error>> {
    let mut transport = Transport::new(&Keypair::generate_ed25519(), Native::new());
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let (_, mut connection) = transport.dial(address.clone(), options)?.await?;
    tokio::spawn(async move {
        // It goes on until one side ends it.
        let _ = poll_fn(|cx| Pin::new(&mut connection).poll(cx)).await;
    });
    Ok(())
}

fn resident_kib(process: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("no VmRSS")?.trim().parse()?)
}
