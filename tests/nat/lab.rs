//! A small internet: routers of every kind, and hosts behind them.
//!
//! patchbay makes the namespaces, links and addresses; `nft` in a router's namespace makes it a
//! NAT of some kind. Nothing outside the lab's namespaces is touched: this process is in a user
//! namespace of its own, in which it has no power over the machine's network. Namespaces last as
//! long as somebody is in them, and processes end with the test that started them, even when it is
//! killed.
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
    host::{Host, RELAY_PORT, Relay},
    router::{Nat, Router},
};

/// How long a packet takes from one site to another, one way.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(20);

/// The inside of every NAT, as everywhere: so inner addresses of different sites are the same.
const HOME: &str = "192.168.1.0/24";
/// Between the two routers of a double NAT.
const CARRIER: &str = "10.64.0.0/24";
/// A provider's network whose addresses are none of those set apart for tests: programs take them for
/// public.
const PROVIDER: &str = "5.1.1.0/24";
/// What Docker gives its first bridge.
const DOCKER: &str = "172.17.0.0/24";

/// Enters a user namespace, and says why there can be no lab if so. To be called first of all.
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

/// Everything that is in one test. It is gone when dropped.
pub(crate) struct Lab {
    /// Ends before the namespaces do.
    delays: RefCell<Vec<Delay>>,
    lab: patchbay::Lab,
    delay: Option<Duration>,
    run: Runner,
}

impl Lab {
    /// An internet without anybody in it. With a delay, every packet takes it from site to site.
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

    /// A router at the internet, of some kind.
    pub(crate) fn site(&self, name: &str, nat: Nat) -> Router {
        let builder = self.lab.add_router(name);
        let builder = match nat {
            Nat::None => builder.preset(RouterPreset::Public),
            Nat::V6Firewall => builder
                .preset(RouterPreset::Public)
                .ip_support(IpSupport::V6Only)
                .firewall(patchbay::Firewall::BlockInbound),
            // The preset's addresses are global, which matters for IPv6 only.
            Nat::SymmetricAndV6Firewall => builder
                .preset(RouterPreset::Public)
                .nat(patchbay::Nat::Strict)
                .firewall(patchbay::Firewall::BlockInbound),
            Nat::Symmetric => inside(builder, HOME).nat(patchbay::Nat::Strict),
            Nat::Provider => inside(builder, PROVIDER).nat(patchbay::Nat::None),
            Nat::Carrier => inside(builder, CARRIER).nat(patchbay::Nat::Moderate),
            _ => inside(builder, HOME).nat(patchbay::Nat::Moderate),
        };
        let node = self.run.wait(builder.build()).unwrap();
        let router = Router::new(node, nat, "ix");
        let delay = self.delay.map(|time| router.delay(time));
        self.delays.borrow_mut().extend(delay);
        router
    }

    /// A router inside another one's network.
    pub(crate) fn site_behind(&self, name: &str, outer: &Router, nat: Nat) -> Router {
        let cidr = if nat == Nat::Docker { DOCKER } else { HOME };
        let builder = inside(self.lab.add_router(name), cidr)
            .nat(patchbay::Nat::Moderate)
            .upstream(outer.id());
        let node = self.run.wait(builder.build()).unwrap();
        // The delay is between sites, not within one.
        Router::new(node, nat, "wan")
    }

    /// A computer in a router's network.
    pub(crate) fn host(&self, name: &str, router: &Router) -> Host {
        let device = self.lab.add_device(name).iface(host::LINK, router.id());
        let device = self.run.wait(device.build()).unwrap();
        Host::new(device, self.run.clone())
    }

    /// A relay at a site of its own, with IPv4 and IPv6. Its peer id is that of the seed.
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

/// Waits for patchbay's futures.
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
