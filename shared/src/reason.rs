//! Why something failed, in words for a person: short, and without Rust's nesting.

use std::{error::Error, io};

use libp2p::{TransportError, swarm::DialError};

/// The innermost cause of an error that says anything, which is what a person can act on.
pub(crate) fn of_chain(error: &(dyn Error + 'static)) -> String {
    let mut reason = one_line(&error.to_string());
    let mut next = inner(error);
    while let Some(error) = next {
        let cause = one_line(&error.to_string());
        if !cause.is_empty() {
            reason = cause;
        }
        next = inner(error);
    }
    reason
}

/// An I/O error's own content is no source of it.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(content) => Some(content),
        None => error.source(),
    }
}

pub(crate) fn of_transport(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "no transport for this kind of address".into(),
        TransportError::Other(e) => of_chain(e),
    }
}

/// Why nobody was reached.
#[must_use]
pub fn of_dial(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => {
            let mut reasons = Vec::new();
            for reason in errors.iter().map(|(_, e)| of_transport(e)) {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            reasons.join("; ")
        }
        DialError::WrongPeerId { obtained, .. } => {
            format!("another peer answers there: {obtained}")
        }
        DialError::LocalPeerId { .. } => "that is this peer itself".into(),
        DialError::NoAddresses => "no address is known".into(),
        DialError::Aborted => "given up".into(),
        DialError::Denied { .. } => "too many connections".into(),
        DialError::DialPeerConditionFalse(_) => "it is connected already".into(),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
