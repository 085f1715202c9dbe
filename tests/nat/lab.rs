//! A small internet: routers of every kind, and hosts behind them.
//!
//! patchbay makes the namespaces, links and addresses; rules of `nft` in a router's namespace make the router
//! a NAT of some kind. The machine's own network stays as it is: the test process enters a user namespace, where
//! it has no power outside. A namespace lasts as long as a process is in it, and processes end with the test that
//! started them, even when that test is killed.
//!
//! ```text
//! let lab = Lab::new(None);
//! let site = lab.site("home", Nat::Cone);
//! let host = lab.host("a", &site);
//! let relay = host.relay(1, &[]);
//! let peer = host.punchline("a", &["--relay", &relay.url()]);
//! ```

#![allow(dead_code, reason = "each test uses what it needs")]

mod delay;
mod gateway;
mod host;
mod router;

use std::{cell::RefCell, future::Future, sync::Arc, time::Duration};

use patchbay::{IpSupport, RouterBuilder, RouterPreset};
use tokio::runtime::{Builder, Runtime};

use self::delay::Delay;
pub(crate) use self::{
    gateway::{Gateway, Speaks},
    host::{Host, RELAY_PORT, Relay, TURN_PASSWORD, clock_is_off_by},
    router::{Nat, Router},
};

/// How long a packet takes from one site to another, one way.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(20);

/// The network inside every NAT. As in real homes, different sites have the same inner addresses.
const HOME: &str = "192.168.1.0/24";
/// The network between the two routers of a double NAT.
const CARRIER: &str = "10.64.0.0/24";
/// A provider's network. Unlike the addresses that are set apart for tests, programs take these for public.
const PROVIDER: &str = "5.1.1.0/24";
/// The network that Docker gives its first bridge.
const DOCKER: &str = "172.17.0.0/24";

/// Enters a user namespace, or returns why there can be no lab on this machine.
///
/// Call it before there is a second thread: the kernel refuses it to a process with several.
pub(crate) fn enter() -> Result<(), String> {
    patchbay::init_userns().map_err(|e| format!("no user namespace: {e}"))?;
    let lab = Runner::new().and_then(|run| {
        let lab = run.wait(patchbay::Lab::builder().build())?;
        let router = run.wait(
            lab.add_router("probe")
                .preset(RouterPreset::PublicV4)
                .build(),
        )?;
        router::nft(&router, "add table inet probe".into())
    });
    lab.map_err(|e| format!("no lab of network namespaces: {e:#}"))
}

/// The network of one test. Dropping it removes all that was made for it.
pub(crate) struct Lab {
    /// Declared first, so that they end before the namespaces do.
    delays: RefCell<Vec<Delay>>,
    lab: patchbay::Lab,
    delay: Option<Duration>,
    run: Runner,
}

impl Lab {
    /// Makes an internet without sites. With a delay, every packet takes that long from site to site.
    pub(crate) fn new(delay: Option<Duration>) -> Self {
        let run = Runner::new().unwrap();
        let lab = run.wait(patchbay::Lab::builder().build()).unwrap();
        Self {
            delays: RefCell::default(),
            lab,
            delay,
            run,
        }
    }

    /// Adds a router that is connected to the internet.
    pub(crate) fn site(&self, name: &str, nat: Nat) -> Router {
        let builder = self.lab.add_router(name);
        let builder = match nat {
            Nat::None => builder.preset(RouterPreset::Public),
            Nat::V6Firewall => builder
                .preset(RouterPreset::Public)
                .ip_support(IpSupport::V6Only)
                .firewall(patchbay::Firewall::BlockInbound),
            // The preset's IPv6 addresses are global, which is what these kinds are about.
            Nat::SymmetricAndV6Firewall => builder
                .preset(RouterPreset::Public)
                .nat(patchbay::Nat::Strict)
                .firewall(patchbay::Firewall::BlockInbound),
            Nat::Symmetric => inside(builder, HOME).nat(patchbay::Nat::Strict),
            Nat::Provider => inside(builder, PROVIDER).nat(patchbay::Nat::None),
            Nat::Carrier => inside(builder, CARRIER).nat(patchbay::Nat::Moderate),
            Nat::Cone | Nat::Translated | Nat::UdpBlocked | Nat::OnlyTcp443 | Nat::Docker => {
                inside(builder, HOME).nat(patchbay::Nat::Moderate)
            }
        };
        let node = self.run.wait(builder.build()).unwrap();
        let router = Router::new(node, nat, "ix");
        let delay = self.delay.map(|time| router.delay(time));
        self.delays.borrow_mut().extend(delay);
        router
    }

    /// Adds a router whose outside is another router's inside.
    pub(crate) fn site_behind(&self, name: &str, outer: &Router, nat: Nat) -> Router {
        let cidr = if nat == Nat::Docker { DOCKER } else { HOME };
        let builder = inside(self.lab.add_router(name), cidr)
            .nat(patchbay::Nat::Moderate)
            .upstream(outer.id());
        let node = self.run.wait(builder.build()).unwrap();
        // No delay: it is between sites, not within one.
        Router::new(node, nat, "wan")
    }

    /// Adds a computer inside a router's network.
    pub(crate) fn host(&self, name: &str, router: &Router) -> Host {
        let device = self.lab.add_device(name).iface(host::LINK, router.id());
        let device = self.run.wait(device.build()).unwrap();
        Host::new(device, self.run.clone())
    }

    /// Adds a site with IPv4 and IPv6, and starts a relay there whose key is made of the seed.
    pub(crate) fn relay(&self, seed: u8) -> (Host, Relay) {
        let site = self.site(&format!("relay-site-{seed}"), Nat::None);
        let host = self.host(&format!("relay-{seed}"), &site);
        let relay = host.relay(seed, &[]);
        (host, relay)
    }
}

fn inside(builder: RouterBuilder, cidr: &str) -> RouterBuilder {
    builder
        .ip_support(IpSupport::V4Only)
        .downstream_cidr(cidr.parse().unwrap())
}

/// A runtime that waits for patchbay's futures.
#[derive(Clone)]
pub(crate) struct Runner(Arc<Runtime>);

impl Runner {
    fn new() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Arc::new(runtime)))
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}
