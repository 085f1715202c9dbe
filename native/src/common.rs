//! What the command line, the peer, the relay and the doctor share.

mod period;
mod usage;

pub(crate) use self::{period::Period, usage::UsageError};
