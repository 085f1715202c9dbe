//! The web peer.
