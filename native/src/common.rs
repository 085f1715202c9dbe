//! What the command line, the peer, the relay and the doctor share.

pub(crate) mod bootstrap;
pub(crate) mod company;
pub(crate) mod identity;
pub(crate) mod log;
pub(crate) mod os;
pub(crate) mod output;
mod period;
pub(crate) mod proxies;
pub(crate) mod proxy_header;
pub(crate) mod refusals;
pub(crate) mod sanitise;
pub(crate) mod shell;
pub(crate) mod signals;
pub(crate) mod trust;
mod usage;
pub(crate) mod watched;

pub(crate) use self::{
    period::{Period, every},
    usage::UsageError,
};
