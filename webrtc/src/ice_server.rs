//! Servers that help to find candidates.

/// A server that says where it sees us (STUN), or carries what nothing else does (TURN).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IceServer {
    /// `stun:HOST:PORT`, `turn:HOST:PORT` or `turns:HOST:PORT` ([RFC 7064], [RFC 7065]).
    ///
    /// [RFC 7064]: https://www.rfc-editor.org/rfc/rfc7064
    /// [RFC 7065]: https://www.rfc-editor.org/rfc/rfc7065
    pub url: String,
    /// For TURN.
    pub username: Option<String>,
    /// For TURN.
    pub credential: Option<String>,
}

impl IceServer {
    /// One that wants no credentials, as STUN.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            credential: None,
        }
    }
}
