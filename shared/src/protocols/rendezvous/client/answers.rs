//! What a rendezvous point's answers say.

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::{MAX_ADDRESSES_PER_PEER, MAX_REGISTRATIONS},
    protocols::rendezvous::packet::{Register, Status, read_record},
    reason::{Cause, Reason},
};

/// Returns the registrations that are signed by the peers they are of; the others are left out.
pub(super) fn read_registrations(
    point: PeerId,
    registrations: Vec<Register>,
    namespace: &str,
) -> Vec<(PeerId, Vec<Multiaddr>)> {
    registrations
        .into_iter()
        .take(MAX_REGISTRATIONS)
        .filter(|registration| registration.namespace.as_deref() == Some(namespace))
        .filter_map(|registration| {
            let record = read_record(&registration.record.unwrap_or_default());
            if record.is_none() {
                tracing::debug!(%point, "a registration without a valid peer record");
            }
            let record = record?;
            let addresses = record.addresses().iter().take(MAX_ADDRESSES_PER_PEER);
            Some((record.peer_id(), addresses.cloned().collect()))
        })
        .collect()
}

/// Whether a record is listed that is signed with our key, and is none that we have signed: somebody else has the key.
pub(super) fn has_stranger(
    registrations: &[Register],
    us: PeerId,
    is_ours: impl Fn(u64) -> bool,
) -> bool {
    let mut records = registrations.iter().take(MAX_REGISTRATIONS);
    records.any(|registration| {
        let record = registration.record.as_deref().and_then(read_record);
        record.is_some_and(|record| record.peer_id() == us && !is_ours(record.seq()))
    })
}

/// Returns why a rendezvous point refused; `None` when it did not.
pub(super) fn refusal(status: Option<i32>) -> Option<Cause> {
    let Some(number) = status else {
        let text = "it answered without a status";
        return Some(Cause::new(Reason::ProtocolViolation, text));
    };
    let refused = Reason::RendezvousRefused;
    let (code, text) = match Status::try_from(number) {
        Ok(Status::Ok) => return None,
        Ok(Status::InvalidNamespace) => {
            (Reason::NamespaceRefused, "it does not allow this namespace")
        }
        Ok(Status::InvalidRecord) => (refused, "it does not accept our peer record"),
        Ok(Status::InvalidTtl) => (refused, "it does not allow this time to live"),
        Ok(Status::InvalidCookie) => (refused, "it does not know the cookie"),
        Ok(Status::NotAuthorized) => (refused, "it does not allow us to"),
        Ok(Status::InternalError) => (refused, "it has an internal error"),
        Ok(Status::Unavailable) => (Reason::RendezvousFull, "it has no room"),
        Err(_) => {
            let text = format!("it answered with the unknown status {number}");
            return Some(Cause::new(Reason::ProtocolViolation, text));
        }
    };
    Some(Cause::new(code, text))
}
